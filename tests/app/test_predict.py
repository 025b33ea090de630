"""Predict over predictions made by hand: sliders, buildings one by one, the worst tiles, curves, and files."""

import pytest
from streamlit.testing.v1 import AppTest

from core.catalog.store import read_catalog
from core.inference.tile_prediction import tile_prediction
from core.jobs.queue import Queue, State
from core.postprocessing.thresholds import DEFAULT_RATIO, DETACHED_RATIO, MIDTRAINING_RATIOS, SADDLE_RATIOS
from core.progress import silent
from core.review.decisions import Review
from core.review.verdicts import accepted_geojson
from core.settings import settings
from core.tasks.export import export_task
from tests.app.conftest import OpenPage
from tests.app.test_pages import do_on_the_map, html, scene
from tests.core.fake_predictions import TILES, made


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    with made(tmp_path, monkeypatch) as both:
        yield both


def tab(page: AppTest, name: str) -> AppTest:
    page.session_state["predict tab"] = name
    return page.run()


def url(page: AppTest, layer: str) -> str:
    [found] = [item["url"] for item in scene(page)["layers"] if item["key"] == layer]
    return str(found)


def test_sliders_change_polygons_and_score_but_not_the_map(open_page: OpenPage) -> None:
    page = open_page("predict", run="one", tile=TILES[0])
    assert "0.500" in html(page)  # one house found, one invented, one missed
    before = url(page, "verdicts")
    page.slider(key="threshold one").set_value(0.8).run()
    assert "0.667" in html(page)  # the invented one is less probable
    assert url(page, "verdicts") != before
    assert "t=0.8" in url(page, "verdicts")


def test_every_level_that_a_tuning_may_choose_can_be_set() -> None:
    from app.components.prediction.prediction_view import _SPLIT_RATIOS

    assert {0.0, DEFAULT_RATIO, DETACHED_RATIO, *SADDLE_RATIOS, *MIDTRAINING_RATIOS} <= set(_SPLIT_RATIOS)


def test_errors_and_truth_can_be_shown_alone(open_page: OpenPage) -> None:
    page = open_page("predict", run="one", tile=TILES[0])
    assert url(page, "errors").endswith("&only=errors")
    assert {"image", "outlines", "probability"} <= {item["key"] for item in scene(page)["layers"]}


def test_what_was_accepted_is_a_layer_of_its_own(open_page: OpenPage) -> None:
    one = tile_prediction("two", TILES[0])
    before = url(open_page("predict", run="two", tile=TILES[0]), "accepted")
    Review.of(one.folder).decide(one.footprints(), [0], "accepted").write(one.folder)
    review = Review.of(one.folder).annotate(0, "moved", 3.0, 0.0)
    review.write(one.folder)
    page = open_page("predict", run="two", tile=TILES[0])
    assert url(page, "accepted") != before
    assert b"Accepted" in accepted_geojson(one)
    assert b"moved" in accepted_geojson(one)


def test_keys_decide_and_go_on_whichever_tab_is_open(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tab(open_page("predict", run="two", tile=TILES[0]), "Metrics")
    do_on_the_map(page, monkeypatch, act="decide", id="P1", verdict="rejected")
    assert not page.exception
    assert Review.of(tile_prediction("two", TILES[0]).folder).counts() == {"accepted": 0, "rejected": 1}


def test_many_are_accepted_at_once_and_one_is_forgotten(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page("predict", run="two", tile=TILES[0])
    page.slider(key="sure enough").set_value(0.75).run()
    next(button for button in page.button if button.label == "Accept 2 buildings").click().run()
    assert Review.of(tile_prediction("two", TILES[0]).folder).counts()["accepted"] == 2
    do_on_the_map(page, monkeypatch, act="shape", id="P0", verdict="TP")
    page.button(key="forget building").click().run()
    assert Review.of(tile_prediction("two", TILES[0]).folder).counts()["accepted"] == 1


def test_a_note_and_a_move_are_kept(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    one = tile_prediction("two", TILES[0])
    Review.of(one.folder).decide(one.footprints(), [0], "accepted").write(one.folder)
    page = open_page("predict", run="two", tile=TILES[0])
    do_on_the_map(page, monkeypatch, act="shape", id="P0", verdict="TP")
    page.text_input[0].set_value("a shed <b>")
    page.number_input[0].set_value(2.5)
    next(button for button in page.button if button.label == "Save").click().run()
    [kept] = Review.of(one.folder).decisions
    assert (kept.note, kept.east_m) == ("a shed <b>", 2.5)


def test_the_worst_tile_comes_first(open_page: OpenPage) -> None:
    page = tab(open_page("predict", run="two", tile=TILES[0]), "Worst tiles")
    assert not page.exception
    assert page.dataframe[0].value["tile"].tolist() == [TILES[2], TILES[0], TILES[1]]


@pytest.mark.parametrize("name", ["Metrics", "By area", "Side by side", "Export"])
def test_no_tab_raises_anything(open_page: OpenPage, name: str) -> None:
    page = tab(open_page("predict", run="two", tile=TILES[0]), name)
    assert not page.exception


@pytest.mark.parametrize("name", ["Worst tiles", "Metrics", "By area"])
def test_a_score_of_several_tiles_says_how_many_the_run_trained_on(open_page: OpenPage, name: str) -> None:
    page = tab(open_page("predict", run="two", tile=TILES[1]), name)
    assert any("is a training tile; scores are optimistic." in caption.value for caption in page.caption)


def test_a_report_is_asked_for_made_by_a_job_and_fetched(open_page: OpenPage) -> None:
    page = tab(open_page("predict", run="two", tile=TILES[0]), "Export")
    page.button(key="export report").click().run()
    queue = Queue(settings().queue)
    [job] = queue.jobs(task="export")
    assert set(job.params["tiles"]) == set(TILES)
    assert queue.claim("w") is not None
    export_task(job.params, silent)
    queue.finish(job.id, "w", State.DONE)
    page.run()
    assert not page.exception
    assert "Regenerate" in [button.label for button in page.button]


def test_accepted_buildings_become_a_tile_to_train_on(open_page: OpenPage) -> None:
    one = tile_prediction("two", TILES[0])
    Review.of(one.folder).decide(one.footprints(), [0], "accepted").write(one.folder)
    page = tab(open_page("predict", run="two", tile=TILES[0]), "Export")
    next(button for button in page.button if button.label == "Retrain on accepted buildings (1)").click().run()
    assert not page.exception
    assert read_catalog().tile(f"{TILES[0]}_reviewed").buildings == 1
    assert page.session_state["basket"] == (f"{TILES[0]}_reviewed",)
