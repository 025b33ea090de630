"""From an image to a tile: all of it or nothing, and again after a stop."""

import io
from pathlib import Path

import numpy as np
import pytest

from core.catalog.scan import scan
from core.catalog.store import read_catalog
from core.catalog.tile_labels import read_tile_labels
from core.errors import EmptyImage, LabelsOutsideImage, NoSuchPath, NoSuchUpload, NotInInbox, SingleImageOnly
from core.geo import raster
from core.jobs.registry import TASKS
from core.progress import silent
from core.settings import settings
from core.tasks.data import upload_task
from core.uploads import ingest as module
from core.uploads.ingest import add, ingest, is_one_image
from core.uploads.upload import AOI, Upload, receive, rename, uploads
from core.uploads.validation import Georeference
from tests.core.geotiff import pixels_of, write_geotiff
from tests.core.tile_factory import HOUSES, grid_at, write_labels

pytestmark = pytest.mark.usefixtures("data")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_geotiff(tmp_path / "here" / "big.tif", pixels_of())


@pytest.fixture
def footprints(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "buildings.geojson", grid_at(), HOUSES)


def folders() -> list[Path]:
    return [*settings().uploads.iterdir()] if settings().uploads.exists() else []


# add: what a page received


def test_a_received_image_becomes_a_tile(image):
    upload = receive(io.BytesIO(image.read_bytes()), "big.tif")
    tile = add(upload.id)
    assert read_catalog().tiles == (tile,)
    assert (tile.id, tile.aoi, tile.title, tile.width, tile.dtype) == (upload.id, AOI, "big", 64, "uint8")
    assert (tile.is_downloaded, tile.is_labeled, tile.buildings, tile.nodata_share) == (True, False, None, 0)
    assert tile.image == upload.image
    np.testing.assert_array_equal(raster.read(tile.image).pixels, pixels_of())
    assert sorted(path.name for path in upload.folder.iterdir()) == ["image.tif", "upload.json"]


@pytest.mark.parametrize(("bands", "product", "eight"), [
    (1, "image", False), (3, "image", False), (8, "8band", True), (16, "image", False),
])  # fmt: skip
def test_eight_bands_are_taken_for_worldviews(tmp_path, bands, product, eight):
    path = write_geotiff(tmp_path / "a.tif", pixels_of("uint16", bands), photometric="minisblack")
    tile = ingest(path)
    assert [*tile.products] == [product]
    assert (tile.eight_bands is not None) == eight


def test_the_job_may_run_twice(image):
    upload = receive(io.BytesIO(image.read_bytes()), "big.tif")
    first = add(upload.id)
    made = upload.image.stat().st_mtime_ns
    assert add(upload.id) == first
    assert upload.image.stat().st_mtime_ns == made
    assert len(read_catalog().tiles) == 1


def test_a_stopped_job_leaves_nothing_on_the_map_and_can_be_tried_again(image):
    upload = receive(io.BytesIO(image.read_bytes()), "big.tif")

    def stop(share, _doing):
        if share > 0.05:
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        add(upload.id, stop)
    assert read_catalog().tiles == ()
    assert sorted(path.name for path in upload.folder.iterdir()) == ["original.tif", "upload.json"]
    assert add(upload.id).is_downloaded


def test_what_a_killed_job_left_is_removed_by_the_next(image):
    upload = receive(io.BytesIO(image.read_bytes()), "big.tif")
    (upload.folder / ".tmpabc").mkdir()
    (upload.folder / ".tmpabc" / "scratch.tif").touch()
    (upload.folder / ".half.tif").touch()
    add(upload.id)
    assert sorted(path.name for path in upload.folder.iterdir()) == ["image.tif", "upload.json"]


def test_a_name_given_meanwhile_counts(image, monkeypatch):
    upload, real = receive(io.BytesIO(image.read_bytes()), "big.tif"), module.make_cog

    def slow(*arguments):
        rename(upload.id, "Given meanwhile")
        return real(*arguments)

    monkeypatch.setattr(module, "make_cog", slow)
    assert add(upload.id).title == "Given meanwhile"


def test_a_deleted_upload_is_said_so():
    with pytest.raises(NoSuchUpload, match="may have been deleted"):
        add("upload_0123456789abcdef")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_place_given_by_hand_is_in_the_cog(tmp_path):
    path = write_geotiff(tmp_path / "a.tif", pixels_of(), bare=True)
    tile = ingest(path, georeference=Georeference(edges=(8.0, 50.0, 8.001, 50.001)))
    assert tile.bounds == pytest.approx((8.0, 50.0, 8.001, 50.001))
    assert raster.read_info(tile.image).grid.bounds == pytest.approx(tile.bounds)


# take_in: command line and inbox


def test_one_image_with_labels_and_a_name(image, footprints):
    seen = []
    tile = ingest(image, footprints, name="Old town", attribution="City", report=lambda share, _: seen.append(share))
    assert (tile.title, tile.attribution, tile.buildings) == ("Old town", "City", 2)
    assert len(read_tile_labels(tile)) == 2
    assert tile.built_share == pytest.approx((16 * 16 + 20 * 20) / 64**2, rel=0.02)
    assert image.exists()
    assert seen == sorted(seen)
    assert seen[-1] == 1


@pytest.mark.parametrize("fault", ["blank", "labels", "missing labels"])
def test_what_is_refused_leaves_nothing(tmp_path, image, footprints, fault):
    if fault == "blank":
        write_geotiff(image, pixels_of() * 0)
    elif fault == "labels":
        write_labels(footprints, grid_at(column=100_000), HOUSES)
    else:
        footprints.unlink()
    with pytest.raises((EmptyImage, LabelsOutsideImage, NoSuchPath)):
        ingest(image, footprints)
    assert folders() == []
    assert read_catalog().tiles == ()
    assert image.exists()


@pytest.mark.parametrize("late", [0.3, 0.999])
def test_a_stop_leaves_nothing_also_when_the_tile_is_on_the_map(image, late):
    seen = []

    def stop(share, _doing):
        if share > late:
            seen.append(len(read_catalog().tiles))
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        ingest(image, report=stop)
    assert seen == [late > 0.9]
    assert folders() == []
    assert read_catalog().tiles == ()


def test_the_task_takes_in_a_file_of_the_inbox_and_leaves_it_there(image):
    settings().inbox.mkdir(parents=True)
    kept = settings().inbox / "big city.tif"
    image.rename(kept)
    upload_task({"inbox": "big city.tif"}, silent)
    [tile] = read_catalog().tiles
    assert tile.title == "big city"
    assert kept.exists()
    assert [upload.source for upload in uploads()] == [str(kept)]


@pytest.mark.parametrize("name", ["../here/big.tif", "/etc/hostname", "", ".", "gone.tif", "link.tif", "${x}"])
def test_the_task_takes_nothing_from_outside_the_inbox(image, name):
    settings().inbox.mkdir(parents=True)
    (settings().inbox / "link.tif").symlink_to(image)
    with pytest.raises(NotInInbox):
        upload_task({"inbox": name}, silent)
    assert read_catalog().tiles == ()


def test_the_task_adds_an_upload(image):
    upload = receive(io.BytesIO(image.read_bytes()), "big.tif")
    upload_task({"upload": upload.id}, silent)
    assert read_catalog().tile(upload.id).is_downloaded
    assert TASKS["upload"] == "core.tasks.data:upload_task"


# Which files are taken in by themselves


def test_only_a_geotiff_without_a_spacenet_name_is_one_image(tmp_path, image):
    spacenet = write_geotiff(tmp_path / "RGB-PanSharpen_AOI_2_Vegas_img225.tif", pixels_of())
    assert is_one_image(image)
    assert not is_one_image(spacenet)
    assert is_one_image(spacenet, None, "EPSG:32611")
    assert not is_one_image(tmp_path)
    assert not is_one_image(tmp_path / "buildings.geojson")
    with pytest.raises(SingleImageOnly, match="apply to a single image"):
        is_one_image(tmp_path, None, "EPSG:32611")
    assert scan(spacenet).tiles[0].aoi == "AOI_2_Vegas"


def test_the_real_tile_comes_in_as_it_is(shared):
    [image] = (shared / "spacenet").rglob("RGB-PanSharpen_AOI_2_Vegas_img225.tif")
    [footprints] = (shared / "spacenet").rglob("buildings_AOI_2_Vegas_img225.geojson")
    known = next(tile for tile in scan(image.parent.parent).tiles if tile.short_id == "img225")
    tile = ingest(image, footprints)
    assert (tile.buildings, tile.built_share) == (known.buildings, pytest.approx(known.built_share, abs=2e-3))
    assert tile.attribution == known.attribution
    assert image.samefile(Upload.find(tile.id).source)
