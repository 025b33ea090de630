"""How good a run is over several tiles."""

import numpy as np
import pytest

from core.evaluation.evaluate import bootstrap_interval, evaluate, threshold_curve
from core.inference.tile_prediction import tile_prediction
from tests.core.fake_predictions import TILES, made


@pytest.fixture
def runs(tmp_path, monkeypatch):
    with made(tmp_path, monkeypatch) as both:
        yield both


def evaluation(run: str):
    return evaluate([tile_prediction(run, tile) for tile in TILES])


@pytest.mark.usefixtures("runs")
def test_counts_are_added_up_over_tiles():
    one, two = evaluation("one").total, evaluation("two").total
    assert (one.tp, one.fp, one.fn) == (3, 3, 3)
    assert (two.tp, two.fp, two.fn) == (4, 0, 2)
    assert evaluation("one").by_aoi == {"AOI_0_Made": evaluation("one").total}


@pytest.mark.usefixtures("runs")
def test_the_worst_tile_comes_first_by_whatever_is_asked():
    two = evaluation("two")
    for order in ("f1", "missed"):
        assert two.worst_first(order)[0].tile == TILES[2]
    assert [row.score.fp for row in evaluation("one").worst_first("invented")] == [1, 1, 1]


@pytest.mark.usefixtures("runs")
def test_the_surest_footprints_are_the_most_precise_and_ap_is_the_area_under_that():
    one = evaluation("one")
    curve = one.precision_recall()
    assert curve["precision"].tolist() == pytest.approx([1, 1, 1, 3 / 4, 3 / 5, 3 / 6])
    assert curve["recall"].max() == 0.5
    assert one.average_precision == pytest.approx(0.5)
    assert evaluation("two").average_precision == pytest.approx(4 / 6)


@pytest.mark.usefixtures("runs")
def test_buildings_are_told_apart_by_size():
    table = evaluation("one").by_size()
    assert table["buildings"].sum() == 6
    assert table["found"].sum() == 3
    small = table[table["to_m2"] == 100].iloc[0]
    assert (small["buildings"], small["recall"]) == (3, 1.0)


def test_an_interval_holds_the_score_and_grows_with_what_differs_between_tiles():
    alike, different = bootstrap_interval([(5, 5, 5)] * 10), bootstrap_interval([(10, 0, 0), (0, 10, 10)] * 5)
    assert alike == pytest.approx((0.5, 0.5))
    assert different is not None
    assert different[0] < 0.5 < different[1]
    assert bootstrap_interval([(1, 1, 1)]) is None


@pytest.mark.usefixtures("runs")
def test_f1_against_the_threshold_has_the_best_between():
    one = tile_prediction("two", TILES[0])
    curve = threshold_curve(one, one.thresholds.vectorize, [0.5, 0.9, 0.99])
    assert curve["f1"].tolist() == pytest.approx([1.0, 2 / 3, 0.0])


@pytest.mark.usefixtures("runs")
def test_tiles_without_a_prediction_are_passed_over():
    assert evaluate([tile_prediction("nobody", TILES[0])]).rows == ()
    assert np.isclose(evaluate([]).total.tp, 0)
