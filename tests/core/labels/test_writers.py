"""Label files: each in its format, on the tile's grid, and what was computed."""

import numpy as np
import orjson
import pytest
import rasterio
import shapely

from core.errors import CannotWrite
from core.geo.raster import read
from core.geo.vector import Footprints, read_footprints
from core.labels.labels import Labels
from core.labels.writers import FILES, write_label, write_labels
from tests.core.tile_factory import HOUSES, grid_at


@pytest.fixture
def labels():
    return Labels.of(grid_at(), Footprints.of(np.array(HOUSES), None))


@pytest.mark.parametrize(
    ("name", "attribute"), [("mask", "mask"), ("boundary", "boundary_mask"), ("contact", "contact_mask")]
)
def test_masks_are_geotiff_uint8_lzw_with_no_data_0(tmp_path, labels, name, attribute):
    path = write_label(labels, f"{name}.tif", tmp_path, "img1")
    assert path == tmp_path / f"img1_{name}.tif"
    with rasterio.open(path, driver="GTiff") as dataset:
        assert (dataset.dtypes, dataset.nodata, dataset.compression.name) == (("uint8",), 0, "lzw")
        assert dataset.transform == labels.grid.transform
        assert dataset.crs.to_epsg() == 32611
        assert np.array_equal(dataset.read(1), getattr(labels, attribute))


def test_the_distance_is_float32_in_both_files(tmp_path, labels):
    raster = read(write_label(labels, "distance.tif", tmp_path, "img1"))
    array = np.load(write_label(labels, "distance.npy", tmp_path, "img1"), allow_pickle=False)
    assert (raster.pixels.dtype, array.dtype, raster.nodata) == (np.float32, np.float32, None)
    assert np.array_equal(raster.pixels[0], labels.distance)
    assert np.array_equal(array, labels.distance)
    assert raster.grid == labels.grid


def test_outlines_come_back_from_both_files(tmp_path, labels):
    csv = read_footprints(write_label(labels, "outlines.csv", tmp_path, "img1"))
    ground = read_footprints(write_label(labels, "outlines.geojson", tmp_path, "img1"))
    assert csv.images == ("img1",)
    assert shapely.hausdorff_distance(csv.geometries, labels.pixels).max() < 1e-3
    assert shapely.hausdorff_distance(Labels.of(labels.grid, ground).pixels, labels.pixels).max() < 0.05


def test_all_files_are_written_under_the_image_s_name(tmp_path, labels):
    paths = write_labels(labels, tmp_path / "new", "img1", "made by me")
    assert [path.name for path in paths] == [f"img1_{file}" for file in FILES]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {path.name for path in paths}
    assert orjson.loads((tmp_path / "new/img1_outlines.geojson").read_bytes())["attribution"] == "made by me"


def test_an_empty_tile_has_all_files_too(tmp_path):
    empty = Labels.of(grid_at(), Footprints.of(np.empty(0, object), None))
    paths = dict(zip(FILES, write_labels(empty, tmp_path, "img1"), strict=True))
    assert not read(paths["mask.tif"]).pixels.any()
    assert (np.load(paths["distance.npy"]) == -64).all()
    assert read_footprints(paths["outlines.csv"]).images == ("img1",)
    assert len(read_footprints(paths["outlines.geojson"])) == 0


@pytest.mark.parametrize("file", FILES)
def test_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path, labels, file):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match=f"img1_{file} cannot be written"):
        write_label(labels, file, tmp_path / "file", "img1")


@pytest.mark.parametrize("file", [file for file in FILES if file.endswith(".tif")])
def test_geotiff_carry_who_made_the_pictures(tmp_path, labels, file):
    for attribution in ("SpaceNet on AWS, Maxar, CosmiQ Works, CC BY-SA 4.0", ""):
        with rasterio.open(write_label(labels, file, tmp_path, "img1", attribution), driver="GTiff") as dataset:
            assert dataset.tags().get("TIFFTAG_COPYRIGHT", "") == attribution
