"""The main job as a person does it, on real tiles: pick, look, train, predict, see the score."""

from urllib.parse import urlparse

import pytest
from playwright.sync_api import Frame, Page, expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.browser.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def map_frame(page: Page) -> Frame:
    """The map's frame, once its map is there."""
    element = page.wait_for_selector("iframe[title='streamlit_folium.st_folium']")
    assert element is not None
    frame = element.content_frame()
    assert frame is not None
    frame.wait_for_function("Boolean(window.map && window.gpShow)")
    return frame


def picture_is_drawn(frame: Frame, layer: str) -> None:
    """Waits until a layer's picture has arrived and is visible."""
    frame.wait_for_function(
        """layer => [...document.querySelectorAll(".leaflet-image-layer")].some(image =>
            image.src.includes(layer) && image.complete && image.naturalWidth > 100 && image.style.opacity > 0)""",
        arg=layer,
    )


def image_is_drawn(frame: Frame, tile: str) -> None:
    """Waits until squares of a tile's image have arrived and are visible."""
    frame.wait_for_function(
        """tile => [...document.querySelectorAll(".leaflet-tile-loaded")].some(image =>
            image.src.includes(`/tiles/${tile}/`) && image.naturalWidth === 256 && image.style.opacity > 0.9
            && image.closest(".leaflet-layer").style.opacity > 0)""",
        arg=tile,
    )


def click_tile(page: Page, frame: Frame, name: str) -> None:
    """Clicks in the middle of a tile, where the map shows it."""
    frame.wait_for_function("Object.values(map._layers).some(l => l.feature && l.feature.properties.id)")
    x, y = frame.evaluate(
        """name => {
            const tile = Object.values(map._layers).find(l => l.feature && l.feature.properties.id === name);
            const p = map.latLngToContainerPoint(tile.getBounds().getCenter());
            return [p.x, p.y];
        }""",
        name,
    )
    box = page.locator("iframe[title='streamlit_folium.st_folium']").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + x, box["y"] + y)


def to_predict_and_back(page: Page, times: int = 8) -> None:
    """Train's boxes ask for themselves all the time; one that was late used to leave the next page blank."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": 4})  # a slow machine's browser is late more often
    for turn in range(times):
        page.wait_for_timeout(200 + 130 * turn)
        page.get_by_role("button", name="Use for prediction").click()
        expect(page.get_by_role("button", name="Predict", exact=True)).to_be_visible()
        page.get_by_role("link", name="Train", exact=True).click()
    cdp.send("Emulation.setCPUThrottlingRate", {"rate": 1})


def test_from_a_vegas_tile_on_the_map_to_its_score(page: Page, site: Site) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img2144")
    frame = map_frame(page)

    frame.locator("[data-act=area]").click()
    frame.wait_for_function("map.getZoom() < 15")
    frame.evaluate("map.setView([36.1344, -115.2996], 16, {animate: false})")
    zoom = frame.evaluate("map.getZoom()")
    click_tile(page, frame, "AOI_2_Vegas_img225")
    expect(page.locator(".gp-title")).to_have_text("AOI_2_Vegas_img225")
    assert frame.evaluate("map.getZoom()") == zoom, "a click keeps the view"

    frame.locator("input[data-layer=mask]").check()
    picture_is_drawn(frame, "AOI_2_Vegas_img225/mask")
    image_is_drawn(frame, "AOI_2_Vegas_img225")

    page.get_by_role("button", name="View labels").click()
    expect(page.get_by_text("binary mask")).to_be_visible()
    page.get_by_role("button", name="Train on this tile").click()

    page.get_by_role("combobox", name="Preset").click()
    page.get_by_role("option", name="Custom").click()
    page.get_by_role("spinbutton", name="Epochs").fill("2")
    page.get_by_role("spinbutton", name="Epochs").press("Enter")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_text("running", exact=False).first).to_be_visible()
    page.locator(".st-key-gp-chip a").first.hover()
    expect(page.get_by_text("Device: CPU").first).to_be_visible()
    expect(page.get_by_role("button", name="Use for prediction")).to_be_visible(timeout=180_000)
    to_predict_and_back(page)
    page.get_by_role("button", name="Use for prediction").click()

    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_text("Correct (TP)")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("Missed (FN)")).to_be_visible()
    expect(page.get_by_text("This tile was in the training data")).to_be_visible()
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    frame.wait_for_function("Object.values(map._layers).some(l => l.feature && l.feature.properties.verdict)")
    frame.locator("input[data-layer=probability]").check()
    picture_is_drawn(frame, "probability")

    assert frame.evaluate("document.querySelector('.gp-trouble').hidden")

    elsewhere = {urlparse(url).hostname for url in asked} - {"127.0.0.1", None}
    assert not elsewhere, "no request leaves this machine"


def reruns(sent: list[bytes | str]) -> list[BackMsg]:
    """Messages that make the whole page run, not only the status chip."""
    messages = [BackMsg.FromString(frame) for frame in sent if isinstance(frame, bytes)]
    return [m for m in messages if m.HasField("rerun_script") and not m.rerun_script.fragment_id]


def test_layers_and_panning_neither_rerun_the_page_nor_remount_the_map(page: Page, site: Site) -> None:
    sent: list[bytes | str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    page.wait_for_timeout(1500)
    assert reruns(sent), "the first view of the page is one"
    sent.clear()
    frame.evaluate("window.mark = 'same frame'")
    frame.locator("input[data-layer=distance]").check()
    picture_is_drawn(frame, "distance")
    frame.evaluate("map.panBy([120, 40], {animate: false})")
    page.wait_for_timeout(4000)
    assert sent, "the chip asks by itself: otherwise nothing is listened to"
    assert not reruns(sent)
    assert frame.evaluate("window.mark") == "same frame"


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
@pytest.mark.parametrize("name", ["", "labels", "train", "predict", "get_tiles", "upload"])
def test_every_page_fits_the_screen_and_shows_no_error(
    page: Page, site: Site, name: str, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{site.url}/{name}")
    page.wait_for_selector(".gp-title, .gp-big, [data-testid=stMain] h3, [data-testid=stMain] h4")
    page.wait_for_timeout(800)
    assert page.locator("[data-testid=stAlertContentError], [data-testid=stException]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out sideways"


def test_a_damaged_catalogue_is_a_sentence_on_the_page(page: Page, site: Site) -> None:
    catalog = site.data / "catalog.parquet"
    kept = catalog.read_bytes()
    try:
        catalog.write_bytes(b"not parquet")
        page.goto(site.url)
        expect(page.get_by_text("is damaged. Move it away")).to_be_visible()
        expect(page.get_by_text("Traceback")).to_have_count(0)
    finally:
        catalog.write_bytes(kept)


def test_keys_in_the_map_switch_layers_and_go_to_the_next_tile(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img225")
    frame = map_frame(page)
    image_is_drawn(frame, "AOI_2_Vegas_img225")
    frame.locator("#map_div").click(position={"x": 60, "y": 300})
    expect(page.locator(".gp-title")).to_have_text("AOI_2_Vegas_img225")
    page.keyboard.press("3")
    picture_is_drawn(frame, "AOI_2_Vegas_img225/mask")
    page.keyboard.press("n")
    expect(page.locator(".gp-title")).not_to_have_text("AOI_2_Vegas_img225")


def test_a_truncated_image_is_a_sentence_on_the_map_and_the_page_goes_on(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?tile=AOI_2_Vegas_img5979")
    frame = map_frame(page)
    expect(frame.locator(".gp-trouble")).to_contain_text("is damaged or truncated")
    expect(page.locator(".gp-title")).to_have_text("AOI_2_Vegas_img5979")
    page.keyboard.press("n")
    expect(page.locator(".gp-title")).not_to_have_text("AOI_2_Vegas_img5979")
