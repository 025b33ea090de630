"""Compare and what a person does with predicted buildings, over predictions made by hand."""

import pytest

from core.inference.tile_prediction import tile_prediction
from core.review.decisions import Review
from core.runs.metadata import RunMetadata
from tests.app.conftest import OpenPage
from tests.app.test_pages import do_on_the_map, html, scene
from tests.core.fake_predictions import TILES, made


@pytest.fixture
def runs(tmp_path, monkeypatch):
    with made(tmp_path, monkeypatch) as both:
        yield both


@pytest.mark.usefixtures("runs")
def test_compare_lists_the_runs(open_page: OpenPage) -> None:
    page = open_page("compare")
    assert not page.exception
    assert page.dataframe[0].value["name"].tolist() == ["Run two", "Run one"]


def test_two_ticked_runs_are_shown_on_one_tile_with_a_handle(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, runs
) -> None:
    monkeypatch.setattr("app.components.training.runs_table.choose_runs", lambda _: list(runs))
    page = open_page("compare")
    assert not page.exception
    shown = scene(page)
    assert shown["swipe"]
    assert {layer["key"]: layer["pane"] for layer in shown["layers"] if layer["pane"]} == {
        "first": "first", "second": "second",
    }  # fmt: skip


@pytest.mark.usefixtures("runs")
def test_a_building_that_is_clicked_is_described_accepted_and_kept(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("predict", run="two", tile=TILES[0])
    do_on_the_map(page, monkeypatch, act="shape", id="P0", verdict="TP")
    assert "IoU with ground truth" in html(page)
    page.button(key="Accept building").click().run()
    assert not page.exception
    assert Review.of(tile_prediction("two", TILES[0]).folder).counts()["accepted"] == 1


def test_an_archived_run_is_not_offered_on_predict(open_page: OpenPage, runs) -> None:
    RunMetadata("", (), "", True).write(runs[1])
    page = open_page("predict", tile=TILES[0])
    assert [option for option in page.selectbox[0].options if "two" in option] == []
