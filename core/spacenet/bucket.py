"""SpaceNet's public bucket: which areas and products lie where, and anonymous access to it.

Keys as documented at https://registry.opendata.aws/spacenet/. Another bucket of the same keys (a mirror, moto's server)
stands in where AWS_ENDPOINT_URL says so.
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
LICENCE, LICENCE_URL = "CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/"

#: A machine without network hears of it after 15 s at most: no retry begins once RETRY_S have passed.
CONNECT_S, SILENCE_S, RETRY_S = 5.0, 7.0, 8.0
#: Bytes that are read at once; after each of them a download may be stopped.
_CHUNK = 256 * 1024


@dataclass(frozen=True)
class Product:
    """One kind of file of an area."""

    name: str  #: its folder in the bucket, for example PS-RGB
    title: str  #: for people
    typical_bytes: int  #: of one file, about; measured on a few
    file: str  #: its name, with {aoi} and {n}
    optional: bool = False  #: not needed to see a tile and to train on it


@dataclass(frozen=True)
class Area:
    """An area of interest and where its training tiles lie."""

    aoi: str  #: for example AOI_2_Vegas
    city: str
    dataset: str
    folder: str  #: holds one folder a product
    products: tuple[Product, ...]

    def product(self, name: str) -> Product:
        """A product by its name; raises UnknownProduct."""
        for product in self.products:
            if product.name == name:
                return product
        raise UnknownProduct(aoi=self.aoi, product=name, known=", ".join(p.name for p in self.products))

    @property
    def usual(self) -> tuple[str, ...]:
        """Names of the products to take when none are named: colour and labels."""
        return tuple(product.name for product in self.products if not product.optional)

    def folder_of(self, product: str) -> str:
        """The prefix of all keys of a product; raises UnknownProduct."""
        return f"{self.folder}/{self.product(product).name}"

    def key(self, product: str, number: int) -> str:
        """Where the file of a tile lies in the bucket; raises UnknownProduct."""
        return f"{self.folder_of(product)}/{self.product(product).file.format(aoi=self.aoi, n=number)}"


_RIO = (
    Product("3band", "colour, 0.5 m", 536_000, "3band_{aoi}_img{n}.tif"),
    Product("geojson", "building footprints", 6_000, "Geo_{aoi}_img{n}.geojson"),
    Product("8band", "eight bands, 2 m", 180_000, "8band_{aoi}_img{n}.tif", optional=True),
)
_SN2 = (
    Product("PS-RGB", "colour, 0.3 m", 2_540_000, "SN2_buildings_train_{aoi}_PS-RGB_img{n}.tif"),
    Product(
        "geojson_buildings", "building footprints", 20_000, "SN2_buildings_train_{aoi}_geojson_buildings_img{n}.geojson"
    ),
    Product("MS", "eight bands, 1.2 m", 425_000, "SN2_buildings_train_{aoi}_MS_img{n}.tif", optional=True),
)
_SN2_CITIES = {
    "AOI_2_Vegas": "Las Vegas", "AOI_3_Paris": "Paris", "AOI_4_Shanghai": "Shanghai", "AOI_5_Khartoum": "Khartoum",
}  # fmt: skip
#: The areas with building footprints, by name.
AREAS: Mapping[str, Area] = {
    "AOI_1_RIO": Area("AOI_1_RIO", "Rio de Janeiro", "SpaceNet 1", "spacenet/SN1_buildings/train", _RIO),
    **{
        aoi: Area(aoi, city, "SpaceNet 2", f"spacenet/SN2_buildings/train/{aoi}", _SN2)
        for aoi, city in _SN2_CITIES.items()
    },
}


def area_named(aoi: str) -> Area:
    """One of AREAS; raises UnknownArea."""
    if aoi not in AREAS:
        raise UnknownArea(aoi=aoi, known=", ".join(AREAS))
    return AREAS[aoi]


def is_in_bucket(aoi: str) -> bool:
    """Whether the bucket has training tiles of an area: an index may list others."""
    return aoi in AREAS


@dataclass(frozen=True)
class Object:
    """A file in the bucket, as the bucket described it."""

    key: str
    size: int  #: bytes
    etag: str  #: without quotes

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.key.rsplit("/", 1)[-1]

    @property
    def md5(self) -> str | None:
        """The checksum that the ETag is, None for one uploaded in parts, whose ETag is something else."""
        return self.etag if re.fullmatch(r"[0-9a-f]{32}", self.etag) else None


@dataclass(frozen=True)
class Bucket:
    """Anonymous access. Every call may raise BucketUnreachable or BucketRefused; threads may share it."""

    store: S3Store

    @classmethod
    def spacenet(cls) -> "Bucket":
        """SpaceNet's own, or what AWS_ENDPOINT_URL names; raises InvalidEndpoint."""
        endpoint = _endpoint()
        # `timeout` is for the whole of a file: a slow line is no reason to stop, silence is.
        client: ClientConfig = {
            "connect_timeout": timedelta(seconds=CONNECT_S), "read_timeout": timedelta(seconds=SILENCE_S),
            "timeout": timedelta(hours=1), "allow_http": endpoint.startswith("http://"),
        }  # fmt: skip
        retry: RetryConfig = {"max_retries": 4, "retry_timeout": timedelta(seconds=RETRY_S)}
        config: S3Config = {"region": REGION, "skip_signature": True, "endpoint": endpoint}
        return cls(S3Store(BUCKET, config=config, client_options=client, retry_config=retry))

    def objects(self, folder: str) -> dict[str, Object]:
        """All files below a folder, by key; a thousand are one request."""
        found: dict[str, Object] = {}
        with _in_words(folder):
            for batch in obstore.list(self.store, folder, chunk_size=1000):
                for meta in batch:
                    etag = (meta["e_tag"] or "").strip('"')
                    found[meta["path"]] = Object(meta["path"], meta["size"], etag)
        return found

    def read(self, wanted: Object, offset: int = 0) -> Iterator[bytes]:
        """Its bytes from an offset (less than its size) on, in pieces; raises NoSuchObject, and ObjectChanged where it
        is not what it was."""
        with _in_words(wanted.name):
            options = {"range": {"offset": offset}, "if_match": f'"{wanted.etag}"'}
            yield from obstore.get(self.store, wanted.key, options=options).stream(min_chunk_size=_CHUNK)  # type: ignore[arg-type]


def _endpoint() -> str:
    """Always named: obstore would look at the variable itself, and panics where it is empty or no address."""
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or _AWS
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidEndpoint(address=address)
    return address


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """What obstore raises as the sentence it means."""
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
        detail = f"it answered with status {status[1]}" if status else "no connection"
        raise BucketUnreachable(detail=detail) from error
