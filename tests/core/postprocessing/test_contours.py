"""Polygons around what is probable: where they lie, and which holes they have."""

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from core.postprocessing.contours import contours


def field(*boxes: tuple[int, int, int, int], holes: tuple[tuple[int, int, int, int], ...] = ()) -> np.ndarray:
    found = np.zeros((60, 80), np.float32)
    for top, left, bottom, right in boxes:
        found[top:bottom, left:right] = 1
    for top, left, bottom, right in holes:
        found[top:bottom, left:right] = 0
    return found


def test_a_square_is_where_it_was_drawn_and_the_corner_moves_it() -> None:
    [shape] = contours(field((10, 20, 30, 50)), 0.5, (0, 0))
    assert shape.bounds == (20, 10, 50, 30)
    [moved] = contours(field((10, 20, 30, 50)), 0.5, (100, 200))
    assert moved.bounds == (120, 210, 150, 230)


def test_what_reaches_the_edge_is_closed_there_and_nothing_is_nothing() -> None:
    [shape] = contours(field((0, 0, 60, 80)), 0.5, (0, 0))
    assert shape.area == pytest.approx(60 * 80, rel=0.01)
    assert len(contours(np.zeros((8, 8), np.float32), 0.5, (0, 0))) == 0


def test_courtyards_stay_and_specks_are_filled() -> None:
    layers = field((5, 5, 55, 75), holes=((10, 10, 30, 30), (40, 40, 43, 43), (45, 60, 46, 61)))
    assert [len(shape.interiors) for shape in contours(layers, 0.5, (0, 0))] == [3]
    [shape] = contours(layers, 0.5, (0, 0), min_hole_area=20)
    [court] = shape.interiors
    assert shapely.Polygon(court).area == pytest.approx(400, rel=0.05)
    assert shape.area == pytest.approx(50 * 70 - 400, rel=0.02)


def test_polygons_keep_their_own_holes() -> None:
    layers = field((2, 2, 28, 38), (32, 42, 58, 78), holes=((5, 5, 6, 6), (10, 10, 20, 20), (40, 50, 41, 51)))
    first, second = contours(layers, 0.5, (0, 0), min_hole_area=5)
    assert sorted(len(shape.interiors) for shape in (first, second)) == [0, 1]


@settings(max_examples=40, deadline=None)
# Below a millionth of a pixel, rounding decides whether a hole is larger than the limit.
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 3), st.floats(0.2, 0.8), st.just(0.0) | st.floats(1e-6, 80))
@example(143, 0.5, 0.2, 0.0)  # a pixel has the threshold's very value
def test_only_holes_below_the_limit_go_and_nothing_else_changes(
    seed: int, blur: float, share: float, least: float
) -> None:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 64)), blur).astype(np.float32)
    threshold = float(np.quantile(noise, share))
    plain, filled = (
        contours(noise - noise.min() + 1, threshold - float(noise.min()) + 1, (3, 4)),
        contours(noise - noise.min() + 1, threshold - float(noise.min()) + 1, (3, 4), least),
    )
    assert len(plain) == len(filled)
    for before, after in zip(plain, filled, strict=True):
        assert after.exterior.equals(before.exterior)
        kept = [ring for ring in before.interiors if shapely.Polygon(ring).area >= least]
        assert len(after.interiors) == len(kept)
        assert after.is_valid
