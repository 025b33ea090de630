"""Buildings found on the ground kept from training."""

import numpy as np
import pytest

from core.datasets.chips import Chips
from core.datasets.config import DatasetConfig
from core.datasets.samples import read_sample
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.validation import ValidationPrediction, ground_truth_layers, predict_areas, validation_areas
from tests.core.tile_factory import grid_at, make_tile

RECIPE = DatasetConfig(chip=32, step=16, border_px=0, gsd_m=0.5, crops="drawn")
TARGETS = ("mask", "edge", "distance")


@pytest.fixture
def chips(tmp_path) -> Chips:
    return Chips.of([read_sample(make_tile(tmp_path), RECIPE, 3, TARGETS)], RECIPE, TARGETS)


def all_knowing(pixels: np.ndarray) -> np.ndarray:
    """Houses are bright."""
    mask = (pixels[..., 0] > 100).astype(np.float32)
    return np.stack([mask, np.where(mask > 0, 3, -3).astype(np.float32)], axis=-1)


def test_whoever_knows_everything_finds_every_building(chips):
    counts = predict_areas(validation_areas(chips), all_knowing, 16).counts(VectorizeConfig())
    assert (counts.tp, counts.fp, counts.fn) == (2, 0, 0)


def test_the_truth_finds_every_building_of_the_ground(chips):
    for part in (chips, chips.only(chips.origins[:, 2] == 32)):
        counts = ground_truth_layers(part).counts(VectorizeConfig())
        assert (counts.tp, counts.fp, counts.fn) == (len(validation_areas(part)[0].truth), 0, 0)


def test_only_buildings_of_the_kept_ground_count(chips):
    """One house lies left of column 32, the other right of it."""
    left = chips.only(chips.origins[:, 2] == 0)
    [ground] = validation_areas(left)
    assert ground.window == (0, 0, 64, 32)
    assert len(ground.truth) == 1
    counts = predict_areas([ground], all_knowing, 16).counts(VectorizeConfig())
    assert (counts.tp, counts.fp, counts.fn) == (1, 0, 0)


def test_the_network_is_shown_what_lies_around_the_ground(chips):
    seen = []
    right = chips.only(chips.origins[:, 2] == 32)
    predict_areas(validation_areas(right), lambda pixels: seen.append(pixels.shape) or all_knowing(pixels), 16)
    assert seen == [(1, 64, 64, 3)]


def test_nothing_is_found_where_there_is_no_picture(tmp_path):
    tile = make_tile(tmp_path, empty_columns=30)
    chips = Chips.of([read_sample(tile, RECIPE, 3, TARGETS)], RECIPE, TARGETS)
    checked = predict_areas(validation_areas(chips), lambda pixels: np.ones((*pixels.shape[:3], 2), np.float32), 16)
    assert not checked.layers[0][:, :29].any()
    assert checked.layers[0][:, 31:].all()


def test_of_many_scenes_some_are_looked_at(tmp_path):
    scenes = [read_sample(make_tile(tmp_path, f"img{n}", grid_at(200 * n)), RECIPE, 3, TARGETS) for n in range(5)]
    chips = Chips.of(scenes, RECIPE, TARGETS)
    assert [ground.sample.tile for ground in validation_areas(chips, max_samples=3)] == ["img0", "img2", "img4"]
    assert len(validation_areas(chips)) == 5


def test_no_ground_gives_no_score():
    assert ValidationPrediction((), ()).counts(VectorizeConfig()).f1 is None
