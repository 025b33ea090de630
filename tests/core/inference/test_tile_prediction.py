"""What follows from a probability on disk: footprints, score and verdicts at any threshold, without a network."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.catalog.store import Catalog, write_catalog
from core.datasets.normalization import Normalization
from core.errors import NoSuchPrediction, NoSuchTile
from core.geo import raster
from core.inference.tile_prediction import TilePrediction, find, tile_prediction
from core.review.verdicts import verdicts_geojson
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.settings import settings
from tests.core.tile_factory import SMALL, grid_at, make_tile


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TilePrediction]:
    """A prediction that knows the first house for sure, doubts the second, and sees a third that is not there."""
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    tile = make_tile(tmp_path / "city", "AOI_0_Made_img1")
    write_catalog(Catalog((tile,)))
    record = Record(
        TrainingConfig(dataset=SMALL),
        (tile.id,),
        (),
        Normalization((0.0,) * 3, (1.0,) * 3),
        3,
        (0.5, 0.5),
        1,
        "CPU",
        {},
    )
    Run.create(settings().runs / "r", record)
    probability = np.zeros((1, 64, 64), np.float32)
    probability[0, 9:23, 9:23] = 0.9  # both a pixel smaller all around than the truth: the border the run left out
    probability[0, 31:49, 37:55] = 0.4
    probability[0, 50:60, 5:15] = 0.8
    place = tile_prediction("r", tile.id)
    raster.write(place.probability, raster.Raster(probability, grid_at()))
    yield place
    settings.cache_clear()


def test_the_threshold_decides_what_is_a_building(found: TilePrediction) -> None:
    assert [
        len(found.footprints(found.thresholds.vectorize.with_changes(threshold))) for threshold in (0.3, 0.5, 0.85)
    ] == [
        3,
        2,
        1,
    ]


def test_footprints_are_grown_by_the_border_the_run_was_taught_to_leave_out(found: TilePrediction) -> None:
    [area] = found.footprints(found.thresholds.vectorize.with_changes(0.85)).area_m2
    assert area == pytest.approx(16 * 16 * 0.25, rel=0.15)  # not grown it would be 42 m²


def test_the_score_is_that_of_the_footprints_at_the_threshold(found: TilePrediction) -> None:
    score = found.score(found.thresholds.vectorize.with_changes(0.5))
    assert score is not None
    assert (score.tp, score.fp, score.fn) == (1, 1, 1)
    score = found.score(found.thresholds.vectorize.with_changes(0.3))
    assert score is not None
    assert (score.tp, score.fp, score.fn) == (2, 1, 0)


def test_verdicts_name_every_building_once(found: TilePrediction) -> None:
    features = json.loads(verdicts_geojson(found, found.thresholds.vectorize.with_changes(0.5)))["features"]
    verdicts = sorted(feature["properties"]["verdict"] for feature in features)
    assert verdicts == ["FN", "FP", "TP", "match"]
    words = {f["properties"]["verdict"]: f["properties"].get("words") for f in features}
    assert words["TP"].startswith("Correct (TP), IoU 0.9")
    assert words["FN"] == f"Missed (FN) · {20 * 20 * 0.25:.0f} m²"
    longitude, latitude = features[0]["geometry"]["coordinates"][0][0]
    assert -116 < longitude < -114
    assert 35 < latitude < 37


def test_a_tile_without_labels_has_predictions_and_no_score(found: TilePrediction) -> None:
    bare = TilePrediction(found.run, replace(found.tile, footprints=None, buildings=None), found.folder)
    assert bare.score() is None
    verdicts = {f["properties"]["verdict"] for f in json.loads(verdicts_geojson(bare))["features"]}
    assert verdicts == {"none"}


def test_it_says_whether_the_run_has_seen_the_tile(found: TilePrediction) -> None:
    assert found.training_role == "training"


def test_a_new_prediction_takes_the_place_of_the_remembered_one(found: TilePrediction) -> None:
    assert len(found.footprints()) == 2
    raster.write(found.probability, raster.Raster(np.zeros((1, 64, 64), np.float32), grid_at()))
    assert len(found.footprints()) == 0


def test_what_was_not_predicted_is_said_so(found: TilePrediction) -> None:
    with pytest.raises(NoSuchPrediction, match="other has not predicted AOI_0_Made_img1"):
        find("other", found.tile.id)
    with pytest.raises(NoSuchTile):
        find("r", "AOI_9_img9")


def test_a_run_named_like_a_path_stays_in_the_folder_of_runs(found: TilePrediction) -> None:
    assert tile_prediction("../../etc", found.tile.id).run.path.parent == settings().runs
