"""What a person says of predicted buildings stays, whatever the thresholds become."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DamagedReview
from core.geo.grid import LONLAT, Grid, reproject
from core.geo.vector import Footprints
from core.review.decisions import FILE, Review
from tests.core.tile_factory import grid_at

GRID: Grid = grid_at(size=200)
SQUARES = np.array([shapely.box(10 + 40 * n, 10, 30 + 40 * n, 40) for n in range(4)], object)


def found(shapes: np.ndarray = SQUARES) -> Footprints:
    return Footprints.of(GRID.to_map(shapes), GRID.crs, [0.9, 0.8, 0.7, 0.6][: len(shapes)])


def test_decisions_come_back_from_disk(tmp_path):
    review = Review().decide(found(), [0, 2], "accepted").decide(found(), [1], "rejected")
    review.write(tmp_path)
    assert Review.of(tmp_path) == review
    assert review.counts() == {"accepted": 2, "rejected": 1}
    assert Review.of(tmp_path / "nowhere") == Review()


def test_what_was_accepted_is_a_layer_of_its_own():
    accepted = Review().decide(found(), [0, 2], "accepted").accepted
    ground = reproject(accepted.geometries, LONLAT, GRID.crs)
    expected = GRID.to_map(SQUARES)[[0, 2]]
    assert shapely.hausdorff_distance(ground, expected).max() < 0.01
    assert accepted.confidence.tolist() == [0.9, 0.7]


def test_a_later_word_replaces_an_earlier_one_and_keeps_its_note():
    review = Review().decide(found(), [0], "accepted").annotate(0, " a shed ", 0.0, 0.0)
    changed = review.decide(found(), [0], "rejected")
    assert [one.verdict for one in changed.decisions] == ["rejected"]
    assert changed.decisions[0].note == "a shed"
    assert changed.reset(found(), [0]) == Review()


@given(grow=st.integers(-3, 3))
def test_the_same_building_with_another_threshold_stays_decided(grow):
    review = Review().decide(found(), [1], "accepted")
    others = found(np.asarray(shapely.buffer(SQUARES, grow, join_style="mitre"), object))
    about = review.match(others.to_crs(LONLAT).geometries)
    assert about.tolist() == [-1, 0, -1, -1]


def test_a_nudge_moves_the_building_by_metres():
    review = Review().decide(found(), [0], "accepted").annotate(0, "", 2.0, -1.0)
    moved = reproject(review.accepted.geometries, LONLAT, GRID.crs)[0]
    before = GRID.to_map(SQUARES)[0]
    step = np.array(moved.centroid.coords[0]) - np.array(before.centroid.coords[0])
    assert step == pytest.approx([2.0, -1.0], abs=0.05), "the grid's north is not quite the pole's"


@pytest.mark.parametrize("text", ["", "{}", '{"decisions": [{"outline": "POINT (1 2)", "verdict": "accepted"}]}', "[1"])
def test_a_file_that_is_none_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DamagedReview, match=FILE):
        Review.of(tmp_path)
