"""Runs beside each other."""

import json

import pytest

from core.evaluation.comparison import (
    building_changes,
    changes_geojson,
    compare_tiles,
    config_differences,
    learning_curves,
    run_table,
)
from core.inference.tile_prediction import tile_prediction
from core.runs.metadata import RunMetadata, display_name, not_archived
from core.runs.run import usable_runs
from core.settings import settings
from tests.core.fake_predictions import TILES, made


@pytest.fixture
def runs(tmp_path, monkeypatch):
    with made(tmp_path, monkeypatch) as both:
        yield both


def pair(tile: str):
    return tile_prediction("one", tile), tile_prediction("two", tile)


def test_a_row_says_what_a_run_is_and_an_older_one_has_gaps(runs):
    frame = run_table(runs)
    assert frame["name"].tolist() == ["Run one", "Run two"]
    assert frame["minutes"].tolist() == [0.5, 0.5]
    assert frame["f1"].isna().all(), "they were never tuned"
    assert (frame["megabytes"] > 1).all()


def test_only_what_differs_is_told(runs):
    assert config_differences(runs).index.tolist() == ["seed"]
    assert config_differences(runs[:1]).empty


def test_curves_of_several_runs_are_one_table(runs):
    frame = learning_curves(runs)
    assert set(frame["run"]) == {"Run one", "Run two"}
    assert frame["minutes"].tolist() == [0.5, 0.5]
    assert learning_curves([]).empty


@pytest.mark.usefixtures("runs")
def test_a_building_is_gained_lost_both_or_neither():
    assert sorted(building_changes(*pair(TILES[0]))[1]) == ["both", "gained"]
    assert sorted(building_changes(*pair(TILES[2]))[1]) == ["lost", "neither"]
    features = json.loads(changes_geojson(*pair(TILES[0])))["features"]
    assert {f["properties"]["verdict"] for f in features} == {"both", "gained"}


def test_the_tile_on_which_most_changed_comes_first(runs):
    frame = compare_tiles(*runs, [pair(tile) for tile in TILES])
    assert frame["gained"].tolist().count(1) == 2
    assert frame.set_index("tile").loc[TILES[2], "lost"] == 1
    assert frame.set_index("tile").loc[TILES[0], "two"] == 1.0


@pytest.mark.usefixtures("runs")
def test_who_has_trained_on_a_tile_is_told(runs):
    frame = compare_tiles(*runs, [pair(tile) for tile in TILES]).set_index("tile")
    assert frame["trained on"].to_dict() == {TILES[0]: "both", TILES[1]: "neither", TILES[2]: "neither"}


def test_what_people_say_of_a_run_stays_and_archived_ones_are_offered_no_more(runs):
    RunMetadata(" A better name ", ("x", "x", " "), "Tried on Monday", True).write(runs[0])
    said = RunMetadata.of(runs[0])
    assert (said.name, said.tags, said.note) == ("A better name", ("x",), "Tried on Monday")
    assert display_name(runs[0]) == "A better name"
    assert [run.name for run in not_archived(usable_runs(settings().runs))] == ["two"]
    (runs[0].path / "about.json").write_text("[")
    assert RunMetadata.of(runs[0]) == RunMetadata()
