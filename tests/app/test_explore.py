"""Explore: the basket, the split on the map, bands, listed tiles, and what the address carries."""

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from app.components.catalog.tile_inspector import _octant
from app.components.map.tile_map import ranges
from core.catalog.store import Catalog, update_catalog, write_catalog
from core.catalog.tile import Tile
from tests.app.conftest import OpenPage, follow
from tests.app.test_pages import do_on_the_map, html, scene
from tests.core.tile_factory import grid_at, make_tile


def button(page: AppTest, label: str):
    return next(one for one in page.button if one.label.startswith(label))


@pytest.fixture
def listed(city: Catalog) -> Tile:
    """A tile beside the city that is not on this machine."""
    tile = Tile.listed("AOI_2_Vegas_img4", "AOI_2_Vegas", grid_at(column=64 * 4).footprint)
    update_catalog(lambda catalog: catalog.with_tiles([tile]))
    return tile


@pytest.mark.usefixtures("city")
def test_a_picked_tile_is_in_the_basket_until_it_is_picked_again(open_page: OpenPage, monkeypatch) -> None:
    page = open_page("explore")
    do_on_the_map(page, monkeypatch, act="pick", id="AOI_0_Made_img2", at=1)
    assert page.session_state["basket"] == ("AOI_0_Made_img2",)
    assert "1 tile selected</b> · 2 buildings · " in html(page)
    assert "Tile is split into a training and a validation part" in html(page)
    assert scene(page)["split"] == {"L": "1"}
    do_on_the_map(page, monkeypatch, act="pick", id="AOI_0_Made_img2", at=2)
    assert page.session_state["basket"] == ()
    assert scene(page)["split"] == {}


@pytest.mark.usefixtures("city")
def test_all_in_view_takes_those_with_labels(open_page: OpenPage, monkeypatch) -> None:
    page = open_page("explore")
    do_on_the_map(page, monkeypatch, act="view", bounds=[-180, -90, 180, 90])
    assert page.session_state["basket"] == ("AOI_0_Made_img1", "AOI_0_Made_img2")
    assert page.toast[0].value == "Skipped 1 tile without downloaded labels."


@pytest.mark.usefixtures("city")
def test_a_view_without_tiles_adds_none(open_page: OpenPage, monkeypatch) -> None:
    page = open_page("explore")
    do_on_the_map(page, monkeypatch, act="view", bounds=[0, 0, 1, 1])
    assert scene(page)["split"] == {}


@pytest.mark.usefixtures("city")
def test_the_whole_area_and_random_tiles_fill_the_basket_and_undo_takes_them_back(open_page: OpenPage) -> None:
    page = open_page("explore")
    button(page, "Add all 2 tiles").click().run()
    assert len(page.session_state["basket"]) == 2
    button(page, "Clear selection").click().run()
    assert page.session_state["basket"] == ()
    page.number_input[0].set_value(1).run()
    button(page, "Add random tiles").click().run()
    assert len(page.session_state["basket"]) == 1
    button(page, "Undo").click().run()
    button(page, "Undo").click().run()
    assert len(page.session_state["basket"]) == 2


@pytest.mark.usefixtures("city")
def test_the_basket_goes_to_train(open_page: OpenPage, monkeypatch) -> None:
    page = open_page("explore")
    do_on_the_map(page, monkeypatch, act="pick", id="AOI_0_Made_img2")
    button(page, "Train on selection").click().run()
    page = follow(page)
    assert page.button_group[0].value == "Selection"
    assert any("1 tile, 2 buildings" in caption.value for caption in page.caption)


def test_a_listed_tile_leads_to_its_download(open_page: OpenPage, listed: Tile) -> None:
    page = open_page("explore", tile=listed.id)
    assert "not downloaded" in html(page)
    assert scene(page)["layers"] == []
    button(page, "Download this tile").click().run()
    assert page.session_state["get"] == (listed.id,)


def test_a_basket_with_listed_tiles_offers_to_get_them(open_page: OpenPage, listed: Tile, monkeypatch) -> None:
    page = open_page("explore")
    do_on_the_map(page, monkeypatch, act="pick", id=listed.id)
    assert scene(page)["split"] == {"–": "3"}
    button(page, "Download 1 missing tile").click().run()
    assert page.session_state["get"] == (listed.id,)


@pytest.mark.parametrize("name", ["labels", "predict"])
def test_pages_of_pixels_say_that_a_listed_tile_has_none(open_page: OpenPage, listed: Tile, name: str) -> None:
    page = open_page(name, tile=listed.id)
    assert not page.exception
    assert not page.error


def test_the_address_names_the_area(open_page: OpenPage, city: Catalog) -> None:
    other = replace(city.tiles[2], id="AOI_9_Other_img1", aoi="AOI_9_Other")
    write_catalog(city.with_tiles([other]))
    page = open_page("explore", aoi="AOI_9_Other")
    assert scene(page)["selected"] == "AOI_9_Other_img1"


def test_bands_of_the_address_are_shown_where_the_tile_has_them(open_page: OpenPage, city: Catalog, tmp_path) -> None:
    eight = make_tile(tmp_path, "eight", eight=True)
    write_catalog(city.with_tiles([eight]))
    page = open_page("explore", tile=eight.id, bands="7-5-3")
    assert "bands=7,5,3" in scene(page)["layers"][0]["url"]
    page.selectbox(key=f"colours {eight.id}").set_value("Natural color").run()
    assert "bands=" not in scene(page)["layers"][0]["url"]
    assert "bands" not in page.query_params


@pytest.mark.usefixtures("city")
@pytest.mark.parametrize("bands", ["7-5-3", "0-0-0", "<script>", "1-2", "99-99-99"])
def test_bands_there_are_not_are_left_out(open_page: OpenPage, bands: str) -> None:
    page = open_page("explore", tile="AOI_0_Made_img1", bands=bands)
    assert not page.exception
    assert "bands=" not in scene(page)["layers"][0]["url"]


@pytest.mark.usefixtures("city")
def test_neighbours_are_buttons(open_page: OpenPage) -> None:
    page = open_page("explore", tile="AOI_0_Made_img2")
    button(page, "→ img3").click().run()
    assert scene(page)["selected"] == "AOI_0_Made_img3"


def test_ten_thousand_tiles_cost_a_rerun_less_than_fifty_kilobytes(open_page: OpenPage, city: Catalog) -> None:
    grounds = [grid_at(64 * (n % 100), 64 * (n // 100)).footprint for n in range(10_593)]
    many = [Tile.listed(f"AOI_8_Many_img{n}", "AOI_8_Many", ground) for n, ground in enumerate(grounds)]
    write_catalog(city.with_tiles(many))
    page = open_page("explore", tile="AOI_8_Many_img5000")
    sizes = [len(node.proto.SerializeToString()) for node in page if getattr(node, "proto", None) is not None]
    assert len(sizes) > 20
    assert sum(sizes) < 50_000


def test_ranges_are_short() -> None:
    assert ranges([]) == ""
    assert ranges([3]) == "3"
    assert ranges([0, 1, 2, 7, 9, 10]) == "0-2,7,9-10"


@pytest.mark.parametrize(
    ("east", "north", "place"), [(1, 0, 0), (1, 1, 1), (0, 1, 2), (-1, 0, 4), (0, -1, 6), (1, -0.1, 0)]
)
def test_directions_are_counted_against_the_clock(east: float, north: float, place: int) -> None:
    assert _octant(east, north) == place


def test_a_tile_whose_image_is_gone_says_so_and_the_map_stays(open_page: OpenPage, city: Catalog) -> None:
    city.tiles[0].image.unlink()
    for name in ("explore", "labels"):
        page = open_page(name, tile=city.tiles[0].id)
        assert not page.error
        assert not page.exception
    page = open_page("explore", tile=city.tiles[0].id)
    assert scene(page)["layers"] == []
    assert "moved or deleted" in page.warning[0].value


def test_the_address_wins_when_the_visitor_changed_it(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, city
) -> None:
    page = open_page("explore", tile="AOI_0_Made_img1")
    page.button(key="next tile").click().run()
    assert scene(page)["selected"] == "AOI_0_Made_img2"
    monkeypatch.setattr("app.state._STALE_S", 0.0)
    page.query_params["tile"] = "AOI_0_Made_img1"
    page.run()
    assert scene(page)["selected"] == "AOI_0_Made_img1"


@pytest.mark.usefixtures("city")
def test_an_address_a_browser_sends_late_is_not_taken_for_the_visitors_wish(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.state._STALE_S", 3600.0)  # however busy the machine is
    page = open_page("explore", tile="AOI_0_Made_img1")
    page.button(key="next tile").click().run()
    page.query_params["tile"] = "AOI_0_Made_img1"
    page.run()
    assert scene(page)["selected"] == "AOI_0_Made_img2"


def test_uploads_of_one_name_are_told_apart_in_the_box(open_page: OpenPage, city: Catalog) -> None:
    alike = [replace(city.tiles[0], id=f"upload_{n}", aoi="Uploads", name="Roofs") for n in "abc"]
    write_catalog(city.with_tiles(alike))
    page = open_page("explore", tile="upload_a")
    [box] = [box for box in page.selectbox if box.label == "Tile"]
    assert len(set(box.options)) == 3
    page.run()
    assert scene(page)["selected"] == "upload_a"


def test_a_nudge_does_not_make_browsers_load_the_grid_again(open_page: OpenPage, city: Catalog) -> None:
    def grid() -> str:
        return scene(open_page("explore"))["grid"]

    before = grid()
    write_catalog(city.with_tile(replace(city.tiles[0], offset_m=(1.0, 0.0))))
    assert grid() == before
    write_catalog(city.without(city.tiles[2].id))
    assert grid() != before


def test_the_seed_of_train_changes_the_split_that_is_told(open_page: OpenPage, city: Catalog) -> None:
    page = open_page("train")
    page.selectbox(key="preset").select("own").run()
    page.number_input(key="seed box").set_value(5).run()
    page.number_input(key="seed box").set_value(7).run()
    assert page.number_input(key="seed box").value == 7
    assert page.session_state["seed"] == 7
