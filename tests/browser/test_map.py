"""The map: ten thousand tiles, the basket, links, bands, and what is asked of whom."""

from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site
from tests.browser.test_journey import click_tile, image_is_drawn, map_frame, picture_is_drawn

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOME = {"127.0.0.1", None}


def query(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlparse(page.url).query).items()}


def test_all_listed_tiles_are_on_the_map_and_answer_to_a_click(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    frame = map_frame(page)
    frame.wait_for_function(
        "Object.values(map._layers).filter(l => l.feature && l.feature.properties.aoi).length > 10593"
    )
    frame.evaluate("map.setView([36.1765601, -115.27856], 16, {animate: false})")
    click_tile(page, frame, "AOI_2_Vegas_img1000")
    expect(page.locator(".gp-title")).to_have_text("AOI_2_Vegas_img1000")
    expect(page.get_by_text("Only its location is known")).to_be_visible()
    expect(page.get_by_role("button", name="Download this tile")).to_be_visible()


def test_tiles_are_picked_into_the_basket_and_coloured_by_their_part(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    frame.evaluate("window.mark = 'same frame'")
    frame.locator("[data-act=pick]").click()
    click_tile(page, frame, "AOI_2_Vegas_img225")
    expect(page.get_by_text("Tile is split into a training and a validation part")).to_be_visible()
    click_tile(page, frame, "AOI_2_Vegas_img225")
    expect(page.get_by_text("No tiles selected")).to_be_visible()
    frame.evaluate("map.setView([36.16, -115.24], 12, {animate: false})")
    frame.locator("[data-act=view]").click()
    expect(page.get_by_text("V 1 validation")).to_be_visible()
    frame.wait_for_function(
        """() => {
            const colours = Object.values(map._layers).filter(l => l.feature && l.feature.properties.labelled)
                .map(l => l.options.fillColor.toLowerCase());
            return colours.includes("#56b4e9") && colours.includes("#e69f00");
        }"""
    )
    assert frame.evaluate("window.mark") == "same frame"
    page.get_by_role("button", name="Train on selection").click()
    expect(page.get_by_role("radio", name="Selection")).to_be_visible()
    expect(page.get_by_text("1 of 7 tiles is held out for validation")).to_be_visible()


def test_a_link_shows_the_same_elsewhere(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    frame.locator("input[data-layer=mask]").check()
    frame.locator("input[data-layer=outlines]").uncheck()
    frame.get_by_label("Opacity of Building mask").fill("30")
    frame.evaluate("map.setView([36.13444, -115.29962], 19, {animate: false})")
    page.wait_for_function("location.search.includes('36.13444_-115.29962_19') && location.search.includes('mask-30')")
    assert query(page)["aoi"] == "AOI_2_Vegas"
    page.context.clear_cookies()
    other = page.context.browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    other.goto(page.url)
    there = map_frame(other)
    picture_is_drawn(there, "AOI_2_Vegas_img225/mask")
    expect(other.locator(".gp-title")).to_have_text("AOI_2_Vegas_img225")
    centre = there.evaluate("[map.getCenter().lat, map.getCenter().lng, map.getZoom()]")
    assert centre == pytest.approx([36.13444, -115.29962, 19], abs=2e-5)
    assert not there.locator("input[data-layer=outlines]").is_checked()
    assert there.get_by_label("Opacity of Building mask").input_value() == "30"
    other.context.close()


def test_the_link_follows_to_another_tile_and_keeps_view_and_layers(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225&layers=image.contact-50")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    page.keyboard.press("n")
    expect(page.locator(".gp-title")).not_to_have_text("AOI_2_Vegas_img225")
    page.wait_for_function("!location.search.includes('img225&') && location.search.includes('view=')")
    assert query(page)["layers"] == "image.contact-50"


@pytest.mark.parametrize(
    "part", ["view=nonsense", "view=999_999_99", "layers=%3Cscript%3E.-.image-900", "tile=..%2F..&aoi=x"]
)
def test_a_spoilt_link_shows_the_page_all_the_same(page: Page, site: Site, part: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site.url}/?{part}")
    frame = map_frame(page)
    frame.wait_for_function("map.getZoom() > 10")
    expect(page.locator(".gp-title")).to_be_visible()
    assert not errors


def test_bands_are_chosen_in_place_and_told_in_the_address(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_1_RIO_img9")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_1_RIO_img9")
    frame.evaluate("window.mark = 'same frame'")
    page.get_by_role("combobox", name="Band combination").click()
    page.get_by_role("option", name="Color infrared").click()
    frame.wait_for_function(
        """() => [...document.querySelectorAll(".leaflet-tile-loaded")].some(i => i.src.includes("bands=7,5,3"))"""
    )
    page.wait_for_function("location.search.includes('bands=7-5-3')")
    assert frame.evaluate("window.mark") == "same frame"


def test_the_tile_box_takes_a_number(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    map_frame(page)
    box = page.get_by_role("combobox", name="Tile")
    box.fill("1000")
    box.press("Enter")
    expect(page.locator(".gp-title")).to_have_text("AOI_2_Vegas_img1000")


def test_no_page_asks_another_machine_until_streets_are_chosen(page: Page, site: Site) -> None:
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    for name in ("", "labels", "train", "predict", "get_tiles", "upload"):
        page.goto(f"{site.url}/{name}")
        page.wait_for_selector("[data-testid=stMain]")
        page.wait_for_timeout(1500)
    assert len(asked) > 50
    assert {urlparse(url).hostname for url in asked} <= HOME

    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    page.context.route("**://tile.openstreetmap.org/**", lambda route: route.abort())
    with page.context.expect_event("request", lambda request: "openstreetmap.org" in request.url):
        frame.locator("input[data-layer=street]").check()
    expect(frame.locator(".gp-trouble")).to_contain_text("OpenStreetMap cannot be reached")
    assert {urlparse(url).hostname for url in asked} <= HOME | {"tile.openstreetmap.org"}
    frame.locator("input[data-layer=street]").uncheck()
    page.wait_for_timeout(600)
    asked.clear()
    frame.evaluate("map.panBy([900, 500], {animate: false})")
    page.wait_for_timeout(1500)
    assert {urlparse(url).hostname for url in asked} <= HOME
    assert "street" not in query(page)["layers"], "a link never makes another one's browser ask the internet"


def test_back_goes_to_the_tile_of_before(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    image_is_drawn(map_frame(page), "AOI_2_Vegas_img225")
    page.keyboard.press("n")
    expect(page.locator(".gp-title")).not_to_have_text("AOI_2_Vegas_img225")
    page.wait_for_function("!location.search.includes('tile=AOI_2_Vegas_img225&')")
    page.wait_for_timeout(2500)
    page.go_back()
    expect(page.locator(".gp-title")).to_have_text("AOI_2_Vegas_img225")


def test_the_chip_leads_to_train_and_the_basket_stays(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    frame.locator("[data-act=pick]").click()
    click_tile(page, frame, "AOI_2_Vegas_img225")
    expect(page.get_by_text("Tile is split into a training and a validation part")).to_be_visible()
    page.locator(".st-key-gp-chip a").first.click()
    expect(page.get_by_role("radio", name="Selection")).to_be_visible()


def test_the_view_is_kept_when_one_comes_back_from_another_page(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    frame.locator("#map_div").hover()
    page.mouse.wheel(0, 200)
    frame.evaluate("map.setView([36.15, -115.26], 13, {animate: false})")
    page.get_by_role("link", name="Labels", exact=True).click()
    expect(page.get_by_text("binary mask")).to_be_visible()
    page.get_by_role("link", name="Explore").click()
    frame = map_frame(page)
    frame.wait_for_function("map.getZoom() < 15")


def test_an_areas_dot_leads_to_it_and_chooses_it(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    frame.evaluate("map.setView([48.9, 2.3], 6, {animate: false})")
    frame.wait_for_function(
        "[...document.querySelectorAll('.leaflet-tooltip')].some(t => t.textContent.includes('Paris'))"
    )
    x, y = frame.evaluate(
        """() => {
            const is_paris = layer => layer.getTooltip().getContent().textContent.includes("Paris");
            const dot = Object.values(map._layers).find(layer => layer.gpBounds && is_paris(layer));
            const p = map.latLngToContainerPoint(dot.getLatLng());
            return [p.x, p.y];
        }"""
    )
    box = page.locator("iframe[title='streamlit_folium.st_folium']").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + x, box["y"] + y)
    frame.wait_for_function("map.getZoom() > 10")
    page.wait_for_function("location.search.includes('aoi=AOI_3_Paris')")
