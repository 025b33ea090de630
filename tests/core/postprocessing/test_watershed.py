"""Adjoining houses come apart, and one house stays one."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from core.labels.labels import signed_distance
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.vectorize import trace_polygons
from core.postprocessing.watershed import separate_instances

LEVEL = 1.3


def layers_of(houses: list[shapely.Polygon], size: int = 96, pixel_m: float = 0.3) -> np.ndarray:
    """What a perfect network says of houses: the mask, and to each its own wall."""
    numbers = rasterize(zip(houses, range(1, len(houses) + 1), strict=True), (size, size), dtype="uint32")
    distance = signed_distance(numbers, (pixel_m, pixel_m))
    return np.stack([(numbers > 0).astype(np.float32), distance], axis=-1)


def count(layers: np.ndarray, seed: float = LEVEL) -> int:
    return len(trace_polygons(layers, VectorizeConfig(saddle_ratio=seed, min_area_m2=0.5), 0.3).polygons)


def test_two_houses_that_share_a_wall_come_apart():
    layers = layers_of([shapely.box(10, 20, 40, 60), shapely.box(40, 20, 70, 60)])
    assert count(layers, seed=0) == 1
    found = trace_polygons(layers, VectorizeConfig(saddle_ratio=LEVEL), 0.3).polygons
    assert len(found) == 2
    assert shapely.area(found).min() > 0.93 * 30 * 40


def test_one_house_stays_one_whatever_its_shape():
    corner = shapely.union(shapely.box(10, 10, 40, 80), shapely.box(10, 50, 80, 80))
    assert count(layers_of([corner])) == 1
    assert count(layers_of([shapely.box(5, 40, 90, 56)])) == 1


def test_houses_joined_by_a_thin_neck_come_apart():
    neck = shapely.union_all([shapely.box(5, 20, 40, 60), shapely.box(40, 38, 52, 42), shapely.box(52, 20, 88, 60)])
    assert count(layers_of([neck]), seed=0) == 1
    assert count(layers_of([neck])) == 2


def test_a_higher_level_parts_no_more_than_a_lower_one():
    rows = layers_of([shapely.box(10 + 20 * n, 20, 30 + 20 * n, 50 + 5 * n) for n in range(4)])
    counts = [count(rows, seed) for seed in (1.05, 1.3, 1.8, 3.0, 9.0)]
    assert counts == sorted(counts, reverse=True)


def test_nothing_is_parted_where_there_is_no_building():
    empty = np.zeros((33, 47, 2), np.float32)
    assert not separate_instances(empty, 0.5, LEVEL).any()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70), st.integers(6, 25)), min_size=1, max_size=6))
def test_parting_takes_pixels_away_and_adds_none(squares):
    layers = layers_of([shapely.box(x, y, x + side, y + side) for x, y, side in squares], size=97)
    found = separate_instances(layers, 0.5, LEVEL)
    assert found.shape == (97, 97)
    assert ((found == layers[..., 0]) | (found == 0)).all()
