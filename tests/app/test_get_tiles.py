"""The Download tiles page over a bucket on this machine: what it offers, what it asks for, what it says afterwards."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import shapely
from streamlit.testing.v1 import AppTest

from app import state
from core.catalog.store import read_catalog, update_catalog
from core.catalog.tile import Tile
from core.jobs.queue import Job, Queue, State
from core.settings import settings
from core.spacenet.download import download_tiles
from core.spacenet.selection import TileSelection
from core.tasks.data import fetch_task
from tests.app.conftest import OpenPage
from tests.core.spacenet_bucket import VEGAS, FakeBucket
from tests.core.tile_factory import grid_at, make_tile


@pytest.fixture
def listed(empty_data: Path) -> None:
    """Twelve tiles of Las Vegas that are known by their ground alone, and one of Paris."""
    tiles = [Tile.listed(f"{VEGAS}_img{n}", VEGAS, grid_at(column=64 * n).footprint) for n in range(1, 13)]
    paris = Tile.listed("AOI_3_Paris_img5", "AOI_3_Paris", shapely.box(2, 48, 2.1, 48.1))
    update_catalog(lambda catalog: catalog.with_tiles([*tiles, paris]))


def button(page: AppTest, label: str) -> Any:
    return next(button for button in page.button if button.label == label)


def html(page: AppTest) -> str:
    return " ".join(element.proto.body for element in page.get("html"))


def captions(page: AppTest) -> str:
    return " ".join(caption.value for caption in page.caption)


def name_tiles(page: AppTest, text: str) -> AppTest:
    for ways in page.get("button_group"):
        ways.set_value("numbers").run()
    return page.text_input[0].set_value(text).run()


def job() -> Job:
    [found] = Queue(settings().queue).jobs()
    return found


def do_the_job(state: State = State.DONE) -> None:
    """What the worker would do."""
    queue = Queue(settings().queue)
    claimed = queue.claim("w")
    assert claimed is not None
    if state is State.DONE:
        fetch_task(claimed.params, lambda _share, _doing: None)
    queue.finish(claimed.id, "w", state)


@pytest.mark.usefixtures("empty_data")
def test_without_an_index_it_says_so_and_takes_numbers(open_page: OpenPage) -> None:
    page = open_page("get_tiles")
    assert not page.exception
    assert "No tile list yet" in page.info[0].value
    assert any("Enter tile numbers" in text.value for text in page.markdown)
    name_tiles(page, "1-3, 7")
    assert "<b>4</b>" in html(page)
    button(page, "Download").click().run()
    assert (job().task, job().title, job().params) == (
        "fetch",
        "Download 4 tiles of Las Vegas",
        {"aoi": VEGAS, "numbers": [1, 2, 3, 7], "products": ["PS-RGB", "geojson_buildings"]},
    )


@pytest.mark.usefixtures("empty_data")
def test_text_that_names_no_tiles_is_a_sentence(open_page: OpenPage) -> None:
    page = name_tiles(open_page("get_tiles"), "<b>x")
    assert "Invalid tile numbers" in page.error[0].value
    assert "Download" not in [button.label for button in page.button]


@pytest.mark.usefixtures("listed")
def test_size_licence_and_makers_are_told_before_anything_comes(open_page: OpenPage) -> None:
    page = name_tiles(open_page("get_tiles"), "1, 2")
    assert "download size (approx.)" in html(page)
    assert "5.1 MB" in html(page)
    assert "free disk space" in html(page)
    assert "CC BY-SA 4.0" in captions(page)
    assert "SpaceNet on AWS, Maxar, CosmiQ Works" in captions(page)


@pytest.mark.usefixtures("listed")
def test_numbers_that_are_in_no_index_are_pointed_out(open_page: OpenPage) -> None:
    assert "probably not available: 40-41" in captions(name_tiles(open_page("get_tiles"), "1, 40-41"))


@pytest.mark.usefixtures("listed")
def test_random_tiles_are_the_same_for_the_same_seed(open_page: OpenPage) -> None:
    page = open_page("get_tiles")
    drawn = captions(page)
    assert drawn == captions(page.run())
    page.number_input[0].set_value(3).run()
    button(page, "Download").click().run()
    assert len(job().params["numbers"]) == 3


@pytest.mark.usefixtures("listed")
def test_the_tiles_chosen_on_the_map_are_offered_first(open_page: OpenPage) -> None:
    page = open_page("get_tiles")
    page.session_state[state.GET] = (f"{VEGAS}_img3", f"{VEGAS}_img9", "AOI_3_Paris_img5", "no such tile")
    page.run()
    assert "Tiles 3, 9" in captions(page)
    assert "1 more selected in other areas" in captions(page)
    page.checkbox[0].check().run()
    button(page, "Download").click().run()
    assert job().params == {"aoi": VEGAS, "numbers": [3, 9], "products": ["PS-RGB", "geojson_buildings", "MS"]}


@pytest.mark.usefixtures("listed")
def test_what_was_chosen_stays_when_the_catalogue_changes(open_page: OpenPage, tmp_path: Path) -> None:
    more = [Tile.listed(f"AOI_3_Paris_img{n}", "AOI_3_Paris", shapely.box(2, 48, 2.1, 48.1)) for n in range(6, 16)]
    update_catalog(lambda catalog: catalog.with_tiles(more))
    page = open_page("get_tiles")
    page.selectbox[0].set_value("AOI_3_Paris").run()
    assert "0 of 11 tiles downloaded" in captions(page)
    page.number_input[0].set_value(3).run()
    come = make_tile(tmp_path, "AOI_3_Paris_img5")
    update_catalog(lambda catalog: catalog.with_tile(replace(come, aoi="AOI_3_Paris")))
    page.run()
    assert "1 of 11 tiles downloaded" in captions(page)
    assert (page.selectbox[0].value, page.number_input[0].value) == ("AOI_3_Paris", 3)


@pytest.mark.usefixtures("empty_data")
def test_an_area_that_is_not_in_the_bucket_is_told(open_page: OpenPage) -> None:
    mars = Tile.listed("AOI_9_Mars_img1", "AOI_9_Mars", shapely.box(2, 48, 2.1, 48.1))
    update_catalog(lambda catalog: catalog.with_tiles([mars]))
    page = open_page("get_tiles")
    page.session_state[state.GET] = (mars.id,)
    page.run()
    assert "no tiles of AOI" in page.warning[0].value
    assert "Mars" in page.warning[0].value


@pytest.mark.usefixtures("empty_data")
def test_a_tile_whose_image_was_deleted_can_be_brought_again(open_page: OpenPage, bucket: FakeBucket) -> None:
    bucket.put_tile(VEGAS, 1)
    download_tiles(TileSelection.of(VEGAS, [1]))
    page = name_tiles(open_page("get_tiles"), "1")
    assert button(page, "Download").disabled
    read_catalog().tiles[0].image.unlink()
    page.run()
    button(page, "Download").click().run()
    do_the_job()
    assert read_catalog().tiles[0].image.exists()


@pytest.mark.usefixtures("listed")
def test_asking_the_bucket_gives_the_exact_size_and_what_is_missing(open_page: OpenPage, bucket: FakeBucket) -> None:
    bucket.put_tile(VEGAS, 1)
    page = name_tiles(open_page("get_tiles"), "1, 2")
    button(page, "Check exact size").click().run()
    assert "download size (exact)" in html(page)
    assert "no PS-RGB and geojson" in page.warning[0].value
    page.text_input[0].set_value("1").run()
    assert "download size (approx.)" in html(page)


@pytest.mark.usefixtures("listed")
def test_a_bucket_that_cannot_be_reached_is_a_sentence(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    page = name_tiles(open_page("get_tiles"), "1")
    button(page, "Check exact size").click().run()
    assert "cannot be reached" in page.error[0].value
    assert not page.exception


@pytest.mark.usefixtures("listed")
def test_what_has_come_is_led_to_and_not_offered_again(open_page: OpenPage, bucket: FakeBucket) -> None:
    bucket.put_tile(VEGAS, 1)
    page = name_tiles(open_page("get_tiles"), "1, 2")
    button(page, "Download").click().run()
    assert "Download" not in [button.label for button in page.button], "it runs"
    do_the_job()
    page.run()
    assert "Some tiles could not be downloaded: 2" in page.warning[0].value
    name_tiles(page, "1")
    assert button(page, "Download").disabled
    assert "All of these tiles are already downloaded" in captions(page)
    button(page, "View on map").click().run()
    assert page.query_params["tile"] in (f"{VEGAS}_img1", [f"{VEGAS}_img1"])


@pytest.mark.usefixtures("listed")
def test_a_download_that_was_stopped_goes_on_with_the_same_tiles(open_page: OpenPage) -> None:
    page = name_tiles(open_page("get_tiles"), "4, 5")
    button(page, "Download").click().run()
    do_the_job(State.STOPPED)
    page.run()
    button(page, "Resume").click().run()
    again, before = Queue(settings().queue).jobs()
    assert (again.params, again.state) == (before.params, State.QUEUED)


@pytest.mark.usefixtures("empty_data")
def test_an_index_that_is_given_puts_its_tiles_into_the_catalogue(open_page: OpenPage) -> None:
    ring = [[0, 0], [1e-3, 0], [1e-3, 1e-3], [0, 1e-3], [0, 0]]
    feature = {
        "type": "Feature",
        "properties": {"location": "AOI_2_Vegas_Train/PAN/PAN_AOI_2_Vegas_img7.tif"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    content = orjson.dumps({"type": "FeatureCollection", "features": [feature]})
    page = open_page("get_tiles")
    page.file_uploader[0].set_value(("x_Tindex.geojson", content, "application/geo+json")).run()
    button(page, "Add tiles to the map").click().run()
    assert [tile.id for tile in read_catalog().tiles] == ["AOI_2_Vegas_img7"]
    assert not page.info
    page.file_uploader[0].set_value(("x_Tindex.geojson", b"{}", "application/geo+json")).run()
    button(page, "Add tiles to the map").click().run()
    assert "is not" in page.error[0].value
