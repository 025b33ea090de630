"""Ten thousand tiles on one map: our Explore page against plain folium.GeoJson, both in headless Chromium.

    nice python -m benchmarks.map [--index ../shared/data/tile-index] [--clicks 7]

The four indexes of SpaceNet 2 are registered as tiles that are not downloaded, and both pages show all 10,593. A click
is measured from the mouse to the id standing beside the map; what a rerun costs is all that the websocket brings from
the click until three seconds after. Limit: issue 3's, 50 KB a rerun and 1 s a click.
Peers: benchmarks/map_peer.py, whose map never changes, and the same that marks the clicked tile, as ours does.
Streamlit does not send again what did not change, so the first costs nothing at a click; the second sends all again.
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
#: Ours draws on a canvas, the peer a path a tile.
DRAWN = """() => window.map && (document.querySelectorAll("path.leaflet-interactive").length > 10000 ||
  [...document.querySelectorAll(".leaflet-pane canvas")].some(canvas => canvas.width &&
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(value => value)))"""
NAMED = "name => [...document.querySelectorAll('.gp-title')].some(title => title.textContent === name)"


@dataclass
class Figures:
    """What was seen of one page; one entry a view or a click."""

    first_s: list[float] = field(default_factory=list)
    first_kb: list[float] = field(default_factory=list)
    click_s: list[float] = field(default_factory=list)
    click_kb: list[float] = field(default_factory=list)


@contextmanager
def serving(script: str, **environment: str) -> Iterator[str]:
    """The address of a Streamlit server of its own."""
    command = ["-m", "streamlit", "run", script, "--server.address=127.0.0.1", "--server.port={port}"]
    with started(command, PYTHONPATH=str(ROOT), **environment) as url:
        yield url


@contextmanager
def started(command: Sequence[str], **environment: str) -> Iterator[str]:
    """The address of a server that Python was told to be, `{port}` being a free one; it is up when this begins."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, *(word.format(port=port) for word in command)]
    server = subprocess.Popen(words, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
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
    """A page with an empty cache, and the sizes of what its websocket receives, in bytes."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    context.set_default_timeout(120_000)
    page, received = context.new_page(), list[int]()

    def listen(websocket: WebSocket) -> None:
        websocket.on("framereceived", lambda content: received.append(len(content)))

    page.on("websocket", listen)
    yield page, received
    context.close()


def drawn_map(page: Page) -> Frame:
    """The map's frame, once tiles are drawn in it."""
    element = page.wait_for_selector(MAP)
    frame = element.content_frame() if element else None
    assert frame is not None
    frame.wait_for_function(DRAWN)
    return frame


def settled_map(page: Page) -> Frame:
    """The map's frame when it is no longer about to be replaced by another."""
    frame = drawn_map(page)
    page.wait_for_timeout(3000)
    return frame if not frame.is_detached() else settled_map(page)


def measure(browser: Browser, url: str, tiles: Sequence[Tile], area: Bounds) -> Figures:
    """Opens the page three times, then clicks the tiles one after the other with all of their area in view."""
    found = Figures()
    for last in (False, False, True):
        with visit(browser) as (page, received):
            began = perf_counter()
            page.goto(url)
            drawn_map(page)
            found.first_s.append(perf_counter() - began)
            page.wait_for_timeout(2000)
            found.first_kb.append(sum(received) / 1e3)
            for tile in tiles if last else ():
                click(page, where(page, tile, area), tile.id, received, found)
    return found


def where(page: Page, tile: Tile, area: Bounds) -> tuple[float, float]:
    """The middle of a tile on the screen, with its area in view; pages that have lost the view are brought back."""
    west, south, east, north = area
    frame, centre = settled_map(page), tile.footprint.centroid
    frame.evaluate("area => { map.fitBounds(area, {animate: false}); }", [[south, west], [north, east]])
    page.wait_for_timeout(1500)
    x, y = frame.evaluate(
        "at => { const p = map.latLngToContainerPoint(at); return [p.x, p.y]; }", [centre.y, centre.x]
    )
    box = page.locator(MAP).bounding_box()
    assert box is not None
    return box["x"] + x, box["y"] + y


def click(page: Page, at: tuple[float, float], name: str, received: list[int], found: Figures) -> None:
    """Clicks and waits for the tile's id and what comes after."""
    received.clear()
    began = perf_counter()
    page.mouse.click(*at)
    page.wait_for_function(NAMED, arg=name)
    found.click_s.append(perf_counter() - began)
    page.wait_for_timeout(3000)
    found.click_kb.append(sum(received) / 1e3)


def row(work: str, pages: Sequence[Sequence[float]], unit: str, limit: float | None = None) -> str:
    """Medians of ours and of both peers, and what they are to each other and to the limit."""
    ours, plain, marking = map(median, pages)
    cells = [work, f"{ours:.2f} {unit} ({min(pages[0]):.2f}–{max(pages[0]):.2f})"]
    cells += [f"{peer:.2f} {unit}, {peer / ours:.2f} ×" for peer in (plain, marking)]
    cells += [f"{limit:g} {unit}", f"{ours / limit:.2f} ×"] if limit else ["", ""]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--index", type=Path, default=ROOT.parent / "shared" / "data" / "tile-index")
    options.add_argument("--clicks", type=int, default=7)
    chosen = options.parse_args()
    catalog = Catalog(scan(chosen.index).tiles)
    area = catalog.of_aoi(AOI)
    west, south, east, north = area.bounds
    # From the middle of the area, where no control of either map lies above them.
    across, down = (east - west) * 0.3, (north - south) * 0.3
    inner = area.within((west + across, south + down, east - across, north - down)).tiles
    tiles = [inner[n * len(inner) // chosen.clicks] for n in range(chosen.clicks)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write_catalog(catalog, Path(folder) / "catalog.parquet")
        grid = Path(folder) / "tiles.geojson"
        grid.write_bytes(catalog.geojson)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM))
        with serving("streamlit_app.py", GROUNDPLAN_DATA=folder) as url:
            ours = measure(browser, f"{url}/?tile={area.tiles[0].id}", tiles, area.bounds)
        with serving("benchmarks/map_peer.py", GROUNDPLAN_PEER_TILES=str(grid)) as url:
            peers = [measure(browser, url + address, tiles, area.bounds) for address in ("", "/?mark=1")]
        browser.close()
    print(f"{len(catalog.tiles)} tiles; their grid is {len(catalog.geojson) / 1e6:.2f} MB by URL, once")
    print("| work | ours, median (range) | peer, to ours | peer that marks, to ours | limit | ours / limit |")
    print("|---|---|---|---|---|---|")
    pages = (ours, *peers)
    print(row("page opened until tiles are drawn", [page.first_s for page in pages], "s"))
    print(row("sent for it over the websocket", [page.first_kb for page in pages], "KB"))
    print(row("click until the id stands beside", [page.click_s for page in pages], "s", LIMIT_S))
    print(row("sent for it over the websocket", [page.click_kb for page in pages], "KB", LIMIT_KB))


if __name__ == "__main__":
    main()
