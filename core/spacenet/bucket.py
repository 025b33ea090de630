"""SpaceNet's public S3 bucket: areas, products, keys and anonymous access.

Keys as documented at https://registry.opendata.aws/spacenet/. AWS_ENDPOINT_URL selects another server with the same
keys (a mirror, or moto in tests).
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import S3Store

from core.errors import (
    BucketRefused,
    BucketUnreachable,
    InvalidEndpoint,
    NoSuchObject,
    ObjectChanged,
    UnknownArea,
    UnknownProduct,
)

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

BUCKET, REGION = "spacenet-dataset", "us-east-1"
_AWS = f"https://s3.{REGION}.amazonaws.com"
LICENSE, LICENSE_URL = "CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/"

#: Timeouts [s]. Without a network the error comes within 15 s: no retry begins after RETRY_TIMEOUT_S.
CONNECT_TIMEOUT_S, READ_TIMEOUT_S, RETRY_TIMEOUT_S = 5.0, 7.0, 8.0
#: Bytes per read; a download can be stopped between two reads.
_CHUNK = 256 * 1024


@dataclass(frozen=True)
class Product:
    """Product of an area: one kind of file."""

    name: str  #: its folder in the bucket, such as PS-RGB
    description: str  #: for display
    typical_bytes: int  #: approximate size of one file, measured on a few
    file: str  #: file name with the placeholders {aoi} and {n}
    optional: bool = False  #: not needed to view a tile or to train on it


@dataclass(frozen=True)
class Area:
    """Area of interest and the location of its training tiles."""

    aoi: str  #: such as AOI_2_Vegas
    city: str
    dataset: str
    folder: str  #: key prefix; one folder per product below it
    products: tuple[Product, ...]

    def product(self, name: str) -> Product:
        """Look up a product by its name; raises UnknownProduct."""
        for product in self.products:
            if product.name == name:
                return product
        raise UnknownProduct(aoi=self.aoi, product=name, known=", ".join(candidate.name for candidate in self.products))

    @property
    def default_products(self) -> tuple[str, ...]:
        """Names of the products to download by default: RGB image and labels."""
        return tuple(product.name for product in self.products if not product.optional)

    def folder_of(self, product: str) -> str:
        """Build the key prefix of a product; raises UnknownProduct."""
        return f"{self.folder}/{self.product(product).name}"

    def key(self, product: str, number: int) -> str:
        """Build the key of a tile's file; raises UnknownProduct."""
        return f"{self.folder_of(product)}/{self.product(product).file.format(aoi=self.aoi, n=number)}"


_RIO = (
    Product("3band", "pan-sharpened RGB, 0.5 m", 536_000, "3band_{aoi}_img{n}.tif"),
    Product("geojson", "building footprints", 6_000, "Geo_{aoi}_img{n}.geojson"),
    Product("8band", "8-band multispectral, 2 m", 180_000, "8band_{aoi}_img{n}.tif", optional=True),
)
_SN2 = (
    Product("PS-RGB", "pan-sharpened RGB, 0.3 m", 2_540_000, "SN2_buildings_train_{aoi}_PS-RGB_img{n}.tif"),
    Product(
        "geojson_buildings", "building footprints", 20_000, "SN2_buildings_train_{aoi}_geojson_buildings_img{n}.geojson"
    ),
    Product("MS", "8-band multispectral, 1.2 m", 425_000, "SN2_buildings_train_{aoi}_MS_img{n}.tif", optional=True),
)
_SN2_CITIES = {
    "AOI_2_Vegas": "Las Vegas", "AOI_3_Paris": "Paris", "AOI_4_Shanghai": "Shanghai", "AOI_5_Khartoum": "Khartoum",
}  # fmt: skip
#: Areas with building footprints, by name.
AREAS: Mapping[str, Area] = {
    "AOI_1_RIO": Area("AOI_1_RIO", "Rio de Janeiro", "SpaceNet 1", "spacenet/SN1_buildings/train", _RIO),
    **{
        aoi: Area(aoi, city, "SpaceNet 2", f"spacenet/SN2_buildings/train/{aoi}", _SN2)
        for aoi, city in _SN2_CITIES.items()
    },
}


def area_named(aoi: str) -> Area:
    """Look up an area of AREAS; raises UnknownArea."""
    if aoi not in AREAS:
        raise UnknownArea(aoi=aoi, known=", ".join(AREAS))
    return AREAS[aoi]


def is_in_bucket(aoi: str) -> bool:
    """Tell whether the bucket has training tiles of an area; tile indexes may list others."""
    return aoi in AREAS


@dataclass(frozen=True)
class Object:
    """Object in the bucket, as listed."""

    key: str
    size: int  #: bytes
    etag: str  #: without quotes

    @property
    def name(self) -> str:
        """File name without the folders."""
        return self.key.rsplit("/", 1)[-1]

    @property
    def md5(self) -> str | None:
        """MD5 checksum given by the ETag; None for a multipart upload, whose ETag is no checksum."""
        return self.etag if re.fullmatch(r"[0-9a-f]{32}", self.etag) else None


@dataclass(frozen=True)
class Bucket:
    """Anonymous access to the bucket, thread-safe. Every call may raise BucketUnreachable or BucketRefused."""

    store: S3Store

    @classmethod
    def spacenet(cls) -> "Bucket":
        """Open SpaceNet's bucket, at AWS_ENDPOINT_URL if set; raises InvalidEndpoint."""
        endpoint = _endpoint()
        # `timeout` covers a whole file, so it must allow for a slow connection; `read_timeout` detects a dead one.
        client: ClientConfig = {
            "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S), "read_timeout": timedelta(seconds=READ_TIMEOUT_S),
            "timeout": timedelta(hours=1), "allow_http": endpoint.startswith("http://"),
        }  # fmt: skip
        retry: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S)}
        config: S3Config = {"region": REGION, "skip_signature": True, "endpoint": endpoint}
        return cls(S3Store(BUCKET, config=config, client_options=client, retry_config=retry))

    def objects(self, folder: str) -> dict[str, Object]:
        """List all objects below a folder, by key; one request returns a thousand."""
        objects: dict[str, Object] = {}
        with _translated_errors(folder):
            for batch in obstore.list(self.store, folder, chunk_size=1000):
                for meta in batch:
                    etag = (meta["e_tag"] or "").strip('"')
                    objects[meta["path"]] = Object(meta["path"], meta["size"], etag)
        return objects

    def read(self, remote: Object, offset: int = 0) -> Iterator[bytes]:
        """Stream an object from a byte offset on, which must be less than its size.

        Raises NoSuchObject, and ObjectChanged if its ETag has changed.
        """
        with _translated_errors(remote.name):
            options = {"range": {"offset": offset}, "if_match": f'"{remote.etag}"'}
            yield from obstore.get(self.store, remote.key, options=options).stream(min_chunk_size=_CHUNK)  # type: ignore[arg-type]


def _endpoint() -> str:
    """Read the endpoint; always passed on, since obstore reads the variable itself and panics on an invalid one."""
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or _AWS
    url = urlsplit(address)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise InvalidEndpoint(address=address)
    return address


@contextmanager
def _translated_errors(name: str) -> Iterator[None]:
    """Translate obstore's exceptions into those of `core.errors`."""
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchObject(name=name) from error
    except PreconditionError as error:
        raise ObjectChanged(name=name) from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise BucketRefused(name=name) from error
    except BaseError as error:
        status = re.search(r"status code: (\d+)", str(error))
        detail = f"HTTP status {status[1]}" if status else "no connection"
        raise BucketUnreachable(detail=detail) from error
