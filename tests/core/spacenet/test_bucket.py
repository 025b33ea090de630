"""What lies where in SpaceNet's bucket, and what is said when it does not answer."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.catalog import spacenet_names
from core.catalog.spacenet_names import parse
from core.errors import (
    BucketUnreachable,
    InvalidEndpoint,
    NoSuchObject,
    ObjectChanged,
    UnknownArea,
    UnknownProduct,
)
from core.spacenet import bucket as module
from core.spacenet.bucket import AREAS, Bucket, Object, area_named, is_in_bucket
from tests.core.spacenet_bucket import RIO, VEGAS, FakeBucket


def test_the_keys_are_those_of_the_real_bucket() -> None:
    vegas, rio = area_named(VEGAS), area_named(RIO)
    train = "spacenet/SN2_buildings/train/AOI_2_Vegas"
    assert vegas.key("PS-RGB", 225) == f"{train}/PS-RGB/SN2_buildings_train_AOI_2_Vegas_PS-RGB_img225.tif"
    assert vegas.key("geojson_buildings", 225) == (
        f"{train}/geojson_buildings/SN2_buildings_train_AOI_2_Vegas_geojson_buildings_img225.geojson"
    )
    assert vegas.key("MS", 225) == f"{train}/MS/SN2_buildings_train_AOI_2_Vegas_MS_img225.tif"
    assert rio.key("3band", 9) == "spacenet/SN1_buildings/train/3band/3band_AOI_1_RIO_img9.tif"
    assert rio.key("geojson", 9) == "spacenet/SN1_buildings/train/geojson/Geo_AOI_1_RIO_img9.geojson"
    assert rio.key("8band", 9) == "spacenet/SN1_buildings/train/8band/8band_AOI_1_RIO_img9.tif"


@pytest.mark.parametrize("aoi", AREAS)
def test_the_catalogue_knows_every_file_by_its_name(aoi: str) -> None:
    area = AREAS[aoi]
    for product in area.products:
        named = parse(Path(area.key(product.name, 7)))
        assert named is not None
        assert (named.aoi, named.tile) == (aoi, f"{aoi}_img7")
    assert spacenet_names.attribution(aoi) == "SpaceNet on AWS, Maxar, CosmiQ Works, CC BY-SA 4.0"


def test_another_area_or_product_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownArea, match=r"AOI_9_Mars is not a SpaceNet area .* AOI_1_RIO, AOI_2_Vegas"):
        area_named("AOI_9_Mars")
    with pytest.raises(UnknownProduct, match=r"no product \.\./\.\.\. Choose from PS-RGB, geojson_buildings, MS"):
        area_named(VEGAS).key("../..", 1)


def test_a_folder_is_listed_with_sizes_and_checksums(bucket: FakeBucket) -> None:
    for n in range(3):
        bucket.put(f"a/b/{n}.tif", b"x" * n)
    bucket.put("a/bc/other.tif", b"")
    found = Bucket.spacenet().objects("a/b")
    assert {key: one.size for key, one in found.items()} == {"a/b/0.tif": 0, "a/b/1.tif": 1, "a/b/2.tif": 2}
    assert found["a/b/2.tif"].md5 == "9336ebf25087d91c818ee6e9ec29f8c1"
    assert Bucket.spacenet().objects("nothing/here") == {}


def test_the_etag_of_an_upload_in_parts_is_no_checksum() -> None:
    assert Object("a/b.tif", 3, "9336ebf25087d91c818ee6e9ec29f8c1-2").md5 is None


def test_reading_begins_where_one_left_off(bucket: FakeBucket) -> None:
    bucket.put("a/b.tif", bytes(range(100)))
    [found] = Bucket.spacenet().objects("a").values()
    assert b"".join(Bucket.spacenet().read(found, 60)) == bytes(range(60, 100))


def test_a_file_that_went_or_changed_is_said_by_name(bucket: FakeBucket) -> None:
    bucket.put("a/b.tif", b"one")
    [found] = Bucket.spacenet().objects("a").values()
    bucket.put("a/b.tif", b"two")
    with pytest.raises(ObjectChanged, match=r"b\.tif changed"):
        list(Bucket.spacenet().read(found))
    bucket.remove("a/b.tif")
    with pytest.raises(NoSuchObject, match=r"no longer contains b\.tif"):
        list(Bucket.spacenet().read(found))


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.mark.usefixtures("silent_server")
def test_a_bucket_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr(module, "RETRY_TIMEOUT_S", 0.3)
    answers: list[Exception] = []

    def ask() -> None:
        with pytest.raises(BucketUnreachable, match="no connection") as caught:
            Bucket.spacenet().objects("a")
        answers.append(caught.value)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(20)
    assert answers


def test_the_waits_end_within_fifteen_seconds() -> None:
    """The last try begins before RETRY_S and lasts as long as one may be silent."""
    assert module.RETRY_TIMEOUT_S + max(module.CONNECT_TIMEOUT_S, module.READ_TIMEOUT_S) <= 15


def test_a_machine_without_network_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")  # closed by now
    with pytest.raises(BucketUnreachable, match="Check the network connection"):
        Bucket.spacenet().objects("a")


@pytest.mark.parametrize("address", ["here", "file:///etc", "http://", "s3://spacenet-dataset"])
def test_an_endpoint_that_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(InvalidEndpoint, match="AWS_ENDPOINT_URL"):
        Bucket.spacenet()


def test_an_index_may_list_areas_that_are_not_in_the_bucket() -> None:
    assert is_in_bucket(VEGAS)
    assert not is_in_bucket("AOI_9_Mars")
