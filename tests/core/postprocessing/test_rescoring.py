"""A second look at footprints, and how far their confidence can be believed."""

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize

from core.metrics.calibration import Calibration, reliability
from core.postprocessing.rescoring import FEATURES, FootprintRescorer, RescoringSamples, features

CONFIDENCE = np.random.default_rng(1).uniform(0.5, 1, 400)
#: The more confident, the more often right, but never as often as it says.
HITS = (np.random.default_rng(2).random(400) < CONFIDENCE**3).tolist()


def examples(count: int = 120) -> RescoringSamples:
    """Large ones find buildings, small ones do not."""
    random = np.random.default_rng(0)
    rows = random.random((count, len(FEATURES)))
    rows[:, 0] = random.uniform(5, 200, count)
    return RescoringSamples(tuple(map(tuple, rows.tolist())), tuple((rows[:, 0] > 60).tolist()))


def test_features_are_those_of_the_shape_and_of_the_pixels_inside():
    house = shapely.box(110, 210, 130, 250)
    layers = np.zeros((64, 64, 2), np.float32)
    inside = rasterize([shapely.box(10, 10, 30, 50)], (64, 64)) > 0
    layers[inside] = 0.75, 2.0
    [found] = features(np.array([house], object), layers, 0.5, corner=(100, 200))
    told = dict(zip(FEATURES, found.tolist(), strict=True))
    assert told["area_m2"] == pytest.approx(200)
    assert told["perimeter_m"] == pytest.approx(60)
    assert (told["longer_side_m"], told["shorter_side_m"]) == pytest.approx((20, 10))
    assert (told["rectangularity"], told["convexity"], told["holes"]) == pytest.approx((1, 1, 0))
    assert told["probability_mean"] == told["probability_least"] == pytest.approx(0.75)
    assert (told["probability_spread"], told["distance_most"]) == pytest.approx((0, 2), abs=1e-3)


def test_no_footprints_have_no_features():
    assert features(np.empty(0, object), np.zeros((8, 8, 2), np.float32), 0.3).shape == (0, len(FEATURES))


def test_the_judge_learns_what_finds_a_building():
    judge = FootprintRescorer(examples(), 0.5)
    rows = np.full((2, len(FEATURES)), 0.5, np.float32)
    rows[:, 0] = 10, 150
    unlikely, likely = judge.probability(rows)
    assert unlikely < 0.2 < 0.8 < likely
    assert len(judge.probability(rows[:0])) == 0


def test_too_few_examples_or_only_one_kind_teach_nothing():
    assert examples().is_sufficient
    assert not examples(30).is_sufficient
    assert not RescoringSamples(examples().rows, (True,) * 120).is_sufficient


def test_a_judge_that_has_not_seen_an_example_is_nearly_as_good():
    found = examples().out_of_fold > 0.5
    assert (found == np.array(examples().hits)).mean() > 0.9


def test_calibrated_confidence_is_how_often_it_is_right():
    calibrated = Calibration.of(CONFIDENCE, HITS).apply(CONFIDENCE)
    off = [abs(one.confidence - one.precision) * one.count for one in reliability(calibrated, HITS)]
    before = [abs(one.confidence - one.precision) * one.count for one in reliability(CONFIDENCE, HITS)]
    assert sum(off) < sum(before) / 2
    assert (np.diff(calibrated[np.argsort(CONFIDENCE)]) >= 0).all(), "the order stays"


def test_where_there_is_little_to_go_by_confidence_stays_as_it_is():
    few = Calibration.of(CONFIDENCE[:20], HITS[:20])
    assert few.apply(CONFIDENCE) == pytest.approx(CONFIDENCE, abs=1e-3)


def test_reliability_leaves_out_what_nobody_said():
    bins = reliability(np.array([0.05, 0.06, 0.95]), [False, True, True])
    assert [(one.precision, one.count) for one in bins] == [(0.5, 2), (1.0, 1)]
