"""Masks, distances and probabilities as cloud-optimised GeoTIFFs."""

import numpy as np
import pytest
import rasterio

from core.catalog.store import read_catalog
from core.catalog.tile_labels import read_tile_labels
from core.errors import CannotWrite, InvalidSetting, NothingPredicted
from core.exports.rasters import LAYERS, write_raster, write_rasters
from core.inference.tile_prediction import tile_prediction
from tests.core.fake_predictions import FIRST, TILES, made


@pytest.fixture
def runs(tmp_path, monkeypatch):
    with made(tmp_path, monkeypatch) as both:
        yield both


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_is_a_cog_on_the_ground_of_its_tile(layer, tmp_path):
    one = tile_prediction("one", TILES[0])
    path = write_raster(one, layer, tmp_path / f"{layer}.tif")
    with rasterio.open(path) as made_file, rasterio.open(one.tile.image) as image:
        assert made_file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (made_file.transform, made_file.shape, made_file.crs) == (image.transform, image.shape, image.crs)
        assert made_file.tags().get("TIFFTAG_COPYRIGHT", "") == one.tile.attribution


@pytest.mark.usefixtures("runs")
def test_they_hold_what_labels_and_prediction_hold(tmp_path):
    one = tile_prediction("one", TILES[0])
    labels = read_tile_labels(one.tile)
    found = {layer: rasterio.open(write_raster(one, layer, tmp_path / f"{layer}.tif")).read(1) for layer in LAYERS}
    np.testing.assert_array_equal(found["mask"], labels.mask)
    np.testing.assert_array_equal(found["distance"], labels.distance)
    assert found["probability"][FIRST].min() == pytest.approx(0.9)
    assert set(np.unique(found["predicted"])) == {0, 255}
    assert found["predicted"][FIRST].mean() > 200


def test_those_of_several_tiles_lie_in_one_folder(runs, tmp_path):
    assert write_rasters(runs[0], read_catalog().tiles, tmp_path / "all", ["mask", "probability"]) == 6
    assert (tmp_path / "all" / f"{TILES[2]}_probability.tif").is_file()
    with pytest.raises(CannotWrite, match="already"):
        write_rasters(runs[0], read_catalog().tiles, tmp_path / "all", ["mask"])


def test_nothing_to_write_and_unknown_layers_are_sentences_and_leave_nothing(runs, tmp_path):
    with pytest.raises(NothingPredicted):
        write_rasters(runs[0], [], tmp_path / "none", ["mask"])
    with pytest.raises(InvalidSetting, match="mask, distance, probability, predicted"):
        write_rasters(runs[0], read_catalog().tiles, tmp_path / "none", ["height"])
    assert not (tmp_path / "none").exists()
