"""Every page, as it is described, over a made-up city: what it says, what its buttons do."""

import json
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from app.messages import message
from core.catalog.store import Catalog, write_catalog
from core.errors import NoSuchTile
from core.jobs.queue import Queue, State
from core.settings import settings
from tests.app.conftest import OpenPage, follow

PAGES = ("explore", "labels", "train", "predict", "demo")


def html(page: AppTest) -> str:
    """All the page's own HTML."""
    return " ".join(element.proto.body for element in page.get("html"))


def scene(page: AppTest) -> dict:
    """What the map was told to show."""
    [frame] = page.get("component_instance")
    script = json.loads(frame.proto.json_args)["feature_group"]
    return json.loads(script.split("gpShow(", 1)[1].split(");")[0])


def do_on_the_map(page: AppTest, monkeypatch: pytest.MonkeyPatch, **properties: object) -> None:
    """What the frame says after somebody did something in it; the component repeats it at every rerun."""
    said = {"last_active_drawing": {"properties": {"at": repr(properties), **properties}}}
    monkeypatch.setattr("app.components.map.tile_map.last_event", lambda _key: said)
    page.run()


@pytest.mark.usefixtures("empty_data")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_without_tiles_says_what_to_do(open_page: OpenPage, name: str) -> None:
    page = open_page(name)
    assert not page.exception
    assert page.subheader[0].value == "No tiles yet"
    assert any("core catalog add" in code.value for code in page.code)
    page.button[0].click().run()
    assert [job.task for job in Queue(settings().queue).jobs()] == ["sample"]


@pytest.mark.usefixtures("city")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_tiles_raises_nothing(open_page: OpenPage, name: str) -> None:
    page = open_page(name)
    assert not page.exception
    assert not page.error


@pytest.mark.usefixtures("city")
def test_explore_shows_the_tile_of_the_address(open_page: OpenPage) -> None:
    page = open_page("explore", tile="AOI_0_Made_img2")
    assert "AOI_0_Made_img2" in html(page)
    assert "64 × 64 px" in html(page)
    assert scene(page)["selected"] == "AOI_0_Made_img2"


@pytest.mark.usefixtures("city")
def test_explore_hands_the_map_addresses_and_no_pixels(open_page: OpenPage) -> None:
    [frame] = open_page("explore").get("component_instance")
    assert len(frame.proto.json_args) < 20_000
    assert "data:image" not in frame.proto.json_args


def test_an_attribution_cannot_smuggle_html_into_the_map(city: Catalog, open_page: OpenPage) -> None:
    write_catalog(Catalog(tuple(replace(tile, attribution="<img src=x onerror=alert(1)>") for tile in city.tiles)))
    page = open_page("explore")
    assert scene(page)["layers"][0]["attribution"] == "&lt;img src=x onerror=alert(1)&gt;"
    assert "<img" not in html(page)


@pytest.mark.usefixtures("city")
def test_every_script_and_style_of_the_map_comes_from_this_server(open_page: OpenPage) -> None:
    [frame] = open_page("explore").get("component_instance")
    arguments = json.loads(frame.proto.json_args)
    assert all(link.startswith("../../assets/") for link in arguments["js_links"] + arguments["css_links"])
    assert "http" not in arguments["script"]


@pytest.mark.usefixtures("city")
def test_the_maps_script_is_the_same_for_every_tile_so_that_it_is_never_remounted(open_page: OpenPage) -> None:
    def script(tile: str) -> str:
        [frame] = open_page("explore", tile=tile).get("component_instance")
        return frame.proto.id

    assert script("AOI_0_Made_img1") == script("AOI_0_Made_img2")


@pytest.mark.usefixtures("city")
def test_the_next_button_goes_to_the_next_tile_and_moves_the_map(open_page: OpenPage) -> None:
    page = open_page("explore", tile="AOI_0_Made_img1")
    before = scene(page)["focus"]
    page.button(key="next tile").click().run()
    assert "AOI_0_Made_img2" in html(page)
    assert scene(page)["focus"] != before
    assert page.query_params["tile"] == "AOI_0_Made_img2"


@pytest.mark.usefixtures("city")
def test_a_click_on_the_map_keeps_the_view(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page("explore", tile="AOI_0_Made_img1")
    before = scene(page)["focus"]
    do_on_the_map(page, monkeypatch, act="look", id="AOI_0_Made_img2")
    assert "AOI_0_Made_img2" in html(page)
    assert scene(page)["focus"] == before


@pytest.mark.usefixtures("city")
def test_labels_show_six_views_with_numbers_and_files(open_page: OpenPage) -> None:
    page = open_page("labels", tile="AOI_0_Made_img1")
    [shown] = page.get("bidi_component")
    data = json.loads(shown.proto.json)
    titles = [view["title"] for view in data["views"]]
    assert titles == [
        "Image",
        "Footprint outlines",
        "Building mask",
        "Signed distance",
        "Building edges",
        "Building gaps",
    ]
    assert (data["width"], data["height"]) == (64, 64)
    assert data["views"][3]["legend"]["marks"][0][1] == "-64"
    assert "164" in html(page)  # m² of both houses: (16 × 16 + 20 × 20) × 0.25
    assert len(page.get("download_button")) == 7


@pytest.mark.usefixtures("city")
def test_labels_of_an_unlabelled_tile_say_so(open_page: OpenPage) -> None:
    page = open_page("labels", tile="AOI_0_Made_img3")
    assert "no building footprints" in page.info[0].value


@pytest.mark.usefixtures("city")
def test_train_puts_a_job_into_the_queue_with_what_was_chosen(open_page: OpenPage) -> None:
    page = open_page("train")
    page.selectbox(key="preset").select("own").run()
    page.number_input[0].set_value(2).run()
    next(button for button in page.button if button.label == "Train").click().run()
    assert not page.exception
    [job] = Queue(settings().queue).jobs()
    assert (job.task, job.state, job.params["config"]["epochs"]) == ("train", State.QUEUED, 2)
    assert job.params["tiles"] == ["AOI_0_Made_img1", "AOI_0_Made_img2"]


@pytest.mark.usefixtures("city")
def test_a_queued_job_without_a_worker_says_how_to_start_one(open_page: OpenPage) -> None:
    Queue(settings().queue).submit("train", {"run": "r", "tiles": [], "config": {}}, "waiting")
    page = open_page("train")
    assert any("python -m core worker" in warning.value for warning in page.warning)
    assert "Worker offline" in page.get("page_link")[0].proto.label


@pytest.mark.usefixtures("city")
def test_stop_ends_a_queued_job(open_page: OpenPage) -> None:
    job = Queue(settings().queue).submit("train", {"run": "r", "tiles": [], "config": {}}, "unwanted")
    page = open_page("train")
    page.button(key=f"stop {job.id}").click().run()
    assert Queue(settings().queue).get(job.id).state is State.STOPPED


@pytest.mark.usefixtures("city")
def test_a_failed_jobs_sentence_is_shown(open_page: OpenPage) -> None:
    queue = Queue(settings().queue)
    queue.submit("train", {"run": "r", "tiles": [], "config": {}}, "doomed")
    claimed = queue.claim("w")
    assert claimed is not None
    queue.finish(claimed.id, "w", State.FAILED, "tile.tif is damaged.")
    assert any("tile.tif is damaged." in error.value for error in open_page("train").error)


@pytest.mark.usefixtures("city")
def test_predict_without_a_run_leads_to_training(open_page: OpenPage) -> None:
    page = open_page("predict")
    assert page.subheader[0].value == "No trained model yet"


@pytest.mark.usefixtures("city")
def test_train_on_it_starts_with_that_tile_alone(open_page: OpenPage) -> None:
    page = open_page("labels", tile="AOI_0_Made_img2")
    next(button for button in page.button if button.label == "Train on this tile").click().run()
    assert not page.get("html")[2:], "style and name, and nothing of the page that is left"
    page = follow(page)
    assert page.session_state["basket"] == ("AOI_0_Made_img2",)
    assert page.button_group[0].value == "Selection"
    assert any("1 tile, 2 buildings" in caption.value for caption in page.caption)


def test_messages_never_show_a_traceback() -> None:
    assert message(NoSuchTile(tile="x")).startswith("The catalog has no tile named x.")
    assert "memory" in message(MemoryError())
    assert "Unexpected error" in message(ZeroDivisionError("secret path"))
