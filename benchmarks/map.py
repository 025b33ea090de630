"""Map benchmark: ten thousand tiles on the Explore page against plain folium.GeoJson, in headless Chromium.

    nice python -m benchmarks.map [--index ../shared/data/tile-index] [--clicks 7]

The four tile indexes of SpaceNet 2 are registered as tiles that are not downloaded; both pages show all 10,593. A click
is timed from the mouse event until the tile ID is displayed beside the map. The cost of a rerun is what the WebSocket
receives within three seconds after the click. Limits of issue 3: 50 KB per rerun and 1 s per click.
Baselines: benchmarks/map_peer.py, whose map never changes, and the same with the clicked tile highlighted, as on the
Explore page. Streamlit does not resend unchanged elements, so the first costs nothing per click; the second resends
everything.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Frame, Page, WebSocket, sync_playwright

from core.catalog.scan import scan
from core.catalog.store import Catalog, write_catalog
from core.catalog.tile import Tile
from core.types import Bounds

ROOT = Path(__file__).parents[1]
AOI = "AOI_2_Vegas"
LIMIT_KB, LIMIT_S = 50.0, 1.0
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
MAP = "iframe[title='streamlit_folium.st_folium']"
#: The Explore page draws on a canvas, the baseline one SVG path per tile.
DRAWN = """() => window.map && (document.querySelectorAll("path.leaflet-interactive").length > 10000 ||
  [...document.querySelectorAll(".leaflet-pane canvas")].some(canvas => canvas.width &&
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(value => value)))"""
NAMED = "name => [...document.querySelectorAll('.gp-title')].some(title => title.textContent === name)"


@dataclass
class Figures:
    """Measurements of one page, one entry per view or click."""

    first_s: list[float] = field(default_factory=list)
    first_kb: list[float] = field(default_factory=list)
    click_s: list[float] = field(default_factory=list)
    click_kb: list[float] = field(default_factory=list)


@contextmanager
def serving(script: str, **environment: str) -> Iterator[str]:
    """Start a Streamlit server and yield its URL."""
    command = ["-m", "streamlit", "run", script, "--server.address=127.0.0.1", "--server.port={port}"]
    with started(command, PYTHONPATH=str(ROOT), **environment) as url:
        yield url


@contextmanager
def started(command: Sequence[str], **environment: str) -> Iterator[str]:
    """Start a Python server, `{port}` replaced by a free port, and yield its URL once it responds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [sys.executable, *(argument.format(port=port) for argument in command)]
    server = subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            with urlopen(url):
                return
        except URLError:
            sleep(0.1)
    raise TimeoutError(url)


@contextmanager
def visit(browser: Browser) -> Iterator[tuple[Page, list[int]]]:
    """Open a page with an empty cache; also yield the sizes of its received WebSocket frames [bytes]."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    context.set_default_timeout(120_000)
    page, received = context.new_page(), list[int]()

    def listen(websocket: WebSocket) -> None:
        websocket.on("framereceived", lambda content: received.append(len(content)))

    page.on("websocket", listen)
    yield page, received
    context.close()


def drawn_map(page: Page) -> Frame:
    """Return the map's frame once tiles are drawn in it."""
    element = page.wait_for_selector(MAP)
    frame = element.content_frame() if element else None
    assert frame is not None
    frame.wait_for_function(DRAWN)
    return frame


def settled_map(page: Page) -> Frame:
    """Return the map's frame once it is no longer replaced by a remount."""
    frame = drawn_map(page)
    page.wait_for_timeout(3000)
    return frame if not frame.is_detached() else settled_map(page)


def measure(browser: Browser, url: str, tiles: Sequence[Tile], area: Bounds) -> Figures:
    """Open the page three times, then click the tiles one by one with their whole area in view."""
    figures = Figures()
    for with_clicks in (False, False, True):
        with visit(browser) as (page, received):
            start = perf_counter()
            page.goto(url)
            drawn_map(page)
            figures.first_s.append(perf_counter() - start)
            page.wait_for_timeout(2000)
            figures.first_kb.append(sum(received) / 1e3)
            for tile in tiles if with_clicks else ():
                click(page, where(page, tile, area), tile.id, received, figures)
    return figures


def where(page: Page, tile: Tile, area: Bounds) -> tuple[float, float]:
    """Return the screen position of a tile's center, after zooming to its area if the view was lost."""
    west, south, east, north = area
    frame, center = settled_map(page), tile.footprint.centroid
    frame.evaluate("area => { map.fitBounds(area, {animate: false}); }", [[south, west], [north, east]])
    page.wait_for_timeout(1500)
    x, y = frame.evaluate(
        "at => { const p = map.latLngToContainerPoint(at); return [p.x, p.y]; }", [center.y, center.x]
    )
    box = page.locator(MAP).bounding_box()
    assert box is not None
    return box["x"] + x, box["y"] + y


def click(page: Page, position: tuple[float, float], name: str, received: list[int], figures: Figures) -> None:
    """Click and wait for the tile ID, then for the frames of the rerun."""
    received.clear()
    start = perf_counter()
    page.mouse.click(*position)
    page.wait_for_function(NAMED, arg=name)
    figures.click_s.append(perf_counter() - start)
    page.wait_for_timeout(3000)
    figures.click_kb.append(sum(received) / 1e3)


def row(work: str, pages: Sequence[Sequence[float]], unit: str, limit: float | None = None) -> str:
    """Format the medians of Groundplan and both baselines, with ratios to each other and to the limit."""
    groundplan, plain, marking = map(median, pages)
    cells = [work, f"{groundplan:.2f} {unit} ({min(pages[0]):.2f}–{max(pages[0]):.2f})"]
    cells += [f"{peer:.2f} {unit}, {peer / groundplan:.2f} ×" for peer in (plain, marking)]
    cells += [f"{limit:g} {unit}", f"{groundplan / limit:.2f} ×"] if limit else ["", ""]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--index", type=Path, default=ROOT.parent / "shared" / "data" / "tile-index")
    options.add_argument("--clicks", type=int, default=7)
    arguments = options.parse_args()
    catalog = Catalog(scan(arguments.index).tiles)
    area = catalog.of_aoi(AOI)
    west, south, east, north = area.bounds
    # From the middle of the area, where no map control covers the tiles.
    margin_x, margin_y = (east - west) * 0.3, (north - south) * 0.3
    inner = area.within((west + margin_x, south + margin_y, east - margin_x, north - margin_y)).tiles
    tiles = [inner[n * len(inner) // arguments.clicks] for n in range(arguments.clicks)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write_catalog(catalog, Path(folder) / "catalog.parquet")
        grid = Path(folder) / "tiles.geojson"
        grid.write_bytes(catalog.geojson)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM))
        with serving("streamlit_app.py", GROUNDPLAN_DATA=folder) as url:
            groundplan = measure(browser, f"{url}/?tile={area.tiles[0].id}", tiles, area.bounds)
        with serving("benchmarks/map_peer.py", GROUNDPLAN_PEER_TILES=str(grid)) as url:
            peers = [measure(browser, url + address, tiles, area.bounds) for address in ("", "/?mark=1")]
        browser.close()
    print(f"{len(catalog.tiles)} tiles; their outlines are {len(catalog.geojson) / 1e6:.2f} MB by URL, once")
    print("| work | Groundplan, median (range) | baseline | baseline with highlighting | limit | Groundplan / limit |")
    print("|---|---|---|---|---|---|")
    pages = (groundplan, *peers)
    print(row("page opened until tiles are drawn", [page.first_s for page in pages], "s"))
    print(row("sent for it over the WebSocket", [page.first_kb for page in pages], "KB"))
    print(row("click until the tile id is displayed", [page.click_s for page in pages], "s", LIMIT_S))
    print(row("sent for it over the WebSocket", [page.click_kb for page in pages], "KB", LIMIT_KB))


if __name__ == "__main__":
    main()
