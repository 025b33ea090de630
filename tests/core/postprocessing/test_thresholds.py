"""The thresholds that find most buildings of the validation ground."""

import numpy as np
import orjson
import pytest
import shapely

from core.datasets.samples import Sample
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.thresholds import (
    Thresholds,
    are_separable,
    default_vectorize,
    optimize_thresholds,
    rescorer_for,
)
from core.postprocessing.validation import ValidationArea, ValidationPrediction
from core.runs.config import TrainingConfig
from core.training.presets import recommended
from tests.core.tile_factory import grid_at

FIRST = VectorizeConfig(saddle_ratio=1.3)


def ground(houses: list[shapely.Polygon], size: int = 200, tile: str = "t") -> ValidationArea:
    nothing = np.zeros((size, size, 1), np.uint8)
    scene = Sample(
        tile, nothing.astype(np.float32), nothing, np.ones((size, size), bool), grid_at(size=size), (1.0,),
        np.array(houses, object),
    )  # fmt: skip
    return ValidationArea(scene, (0, 0, size, size))


def houses(count: int = 8) -> list[shapely.Polygon]:
    return [shapely.box(20 * n + 4, 20 * m + 4, 20 * n + 16, 20 * m + 16) for n in range(count) for m in range(count)]


def drawn(shapes: list[shapely.Polygon], level: float, size: int = 200) -> np.ndarray:
    layers = np.zeros((size, size, 2), np.float32)
    layers[..., 1] = -3
    for shape in shapes:
        left, top, right, bottom = map(int, shape.bounds)
        layers[top:bottom, left:right] = level, 3
    return layers


def test_a_threshold_is_taken_that_finds_many_more():
    shapes = houses()
    found = optimize_thresholds(ValidationPrediction((ground(shapes),), (drawn(shapes, 0.45),)), FIRST)
    assert found.vectorize.threshold < 0.45
    assert found.f1 == 1


def test_what_is_good_already_stays():
    shapes = houses()
    found = optimize_thresholds(ValidationPrediction((ground(shapes),), (drawn(shapes, 0.9),)), FIRST)
    assert found.vectorize == FIRST


def test_small_gains_on_little_ground_are_luck():
    shapes = houses(3)
    layers = drawn(shapes, 0.9)
    layers[180:186, 180:186] = 0.55, 3
    found = optimize_thresholds(ValidationPrediction((ground(shapes),), (layers,)), FIRST)
    assert found.vectorize == FIRST


def test_small_inventions_are_left_out_by_their_area():
    shapes, layers = houses(), drawn(houses(), 0.9)
    for n in range(9):
        for m in range(9):
            layers[20 * n : 20 * n + 3, 20 * m : 20 * m + 12] = 0.9, 3
    found = optimize_thresholds(ValidationPrediction((ground(shapes),), (layers,)), FIRST)
    assert found.vectorize.min_area_m2 > FIRST.min_area_m2
    assert found.f1 == 1


def test_without_buildings_nothing_is_tuned():
    assert optimize_thresholds(ValidationPrediction((ground([]),), (drawn([], 0.9),)), FIRST) == Thresholds(FIRST)


def half_right() -> ValidationPrediction:
    """Every second footprint, the small ones, is invented."""
    shapes = houses()
    invented = [shapely.box(20 * n, 20 * m, 20 * n + 3, 20 * m + 8) for n in range(9) for m in range(9)]
    layers = drawn(shapes, 0.9)
    for shape in invented:
        left, top, right, bottom = map(int, shape.bounds)
        layers[top:bottom, left:right] = 0.8, 1
    return ValidationPrediction((ground(shapes),), (layers,))


def test_the_second_look_keeps_what_finds_buildings():
    checked = half_right()
    found = optimize_thresholds(checked, VectorizeConfig(saddle_ratio=1.3, min_area_m2=1))
    look = rescorer_for(Thresholds(found.vectorize, samples=found.samples, rescore_cutoff=0.5), rescore=True)
    [traced] = checked.vectorize(VectorizeConfig(min_area_m2=1))
    kept, likely = look(traced.polygons, traced.confidence, checked.layers[0], 0.5, (0, 0))
    large = shapely.area(traced.polygons) > 100
    assert found.samples.is_sufficient == (len(found.samples.hits) >= 60 and not all(found.samples.hits))
    if found.samples.is_sufficient:
        np.testing.assert_array_equal(kept, large)
        assert likely[large].min() > likely[~large].max()


def test_a_tuning_survives_the_file():
    found = optimize_thresholds(half_right(), VectorizeConfig(min_area_m2=1))
    again = Thresholds.of(orjson.loads(orjson.dumps(found.as_dict())))
    assert again == found
    assert again.rescorer == found.rescorer


@pytest.mark.parametrize(("network", "seed", "grow"), [("unet", True, 0.0), ("fcn", False, 2.0)])
def test_a_run_begins_with_what_its_network_can_tell(network, seed, grow):
    config = recommended(network)
    assert bool(default_vectorize(config).saddle_ratio) == seed
    assert default_vectorize(config).grow_px == grow
    assert default_vectorize(TrainingConfig()).grow_px == 2


def test_where_buildings_stand_apart_only_narrow_necks_part_them_at_first():
    config = recommended("unet")
    together, apart = default_vectorize(config), default_vectorize(config, detached=True)
    assert apart == together.with_changes(saddle_ratio=apart.saddle_ratio)
    assert apart.saddle_ratio > 2 * together.saddle_ratio
    assert default_vectorize(recommended("fcn"), detached=True) == default_vectorize(recommended("fcn"))


@pytest.mark.parametrize(("wide", "apart"), [(12, True), (19, True), (20, False)])
def test_buildings_stand_apart_where_a_mask_without_a_mistake_tells_them_apart(wide, apart):
    rows = [shapely.box(20 * n, 20 * m + 4, 20 * n + wide, 20 * m + 16) for n in range(8) for m in range(8)]
    assert are_separable(ValidationPrediction((ground(rows),), (drawn(rows, 1.0),))) == apart


def test_ground_without_buildings_says_nothing_of_how_they_stand():
    assert not are_separable(ValidationPrediction((ground([]),), (drawn([], 1.0),)))


@pytest.mark.parametrize(("tiles", "taken"), [(1, False), (2, False), (3, True)])
def test_another_level_is_taken_where_several_tiles_ask_for_it(tiles, taken):
    """The masks run together: only the distance knows where one building ends. Those of one tile are of one kind."""
    shapes = [shapely.box(20 * n, 20 * m, 20 * n + 18, 20 * m + 18) for n in range(8) for m in range(8)]
    layers = drawn(shapes, 0.9)
    layers[:160, :160] = np.maximum(layers[:160, :160], (0.9, 1.5))
    grounds = tuple(ground(shapes, tile=f"t{n}") for n in range(tiles))
    found = optimize_thresholds(
        ValidationPrediction(grounds, (layers,) * tiles), FIRST.with_changes(saddle_ratio=4.0), (1.2, 1.3)
    )
    assert (found.vectorize.saddle_ratio < 4) == taken
    assert found.f1 == (1 if taken else 0)
