"""Page latency benchmark: first page after a server start, and every click after it, in Chromium.

    nice python -m benchmarks.pages [--rounds 5]

`python -m core app` on the sample city with the built-in model and two predicted tiles. A click counts as answered when
the script has run and no element is stale, or when the page shows progress (spinner, progress bar, running job). Limits
of issue 6: 3 s for the first page and 1 s for a click.
Also the CPU cost of an open page without input: two server lifetimes, one of them 30 s longer.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as TimeoutError_

from benchmarks.map import CHROMIUM, MAP, started

ROOT = Path(__file__).parents[1]
FIRST_S, CLICK_S = 3.0, 1.0
#: The script has run and nothing is stale; or the page shows progress.
ANSWERED = """() => {
  const app = document.querySelector("[data-testid=stApp]");
  const busy = document.querySelector("[data-testid=stSpinner], [data-testid=stProgress]");
  return busy || (app && app.dataset.testScriptState === "notRunning"
    && !document.querySelector("[data-stale=true]"));
}"""
RUNNING = """() => document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "running" """
#: A page is usable once the image of its map is loaded.
USABLE = """() => window.map && [...document.querySelectorAll(".leaflet-tile-loaded, .leaflet-image-layer")]
  .some(image => image.naturalWidth > 0)"""


def site(folder: Path) -> AbstractContextManager[str]:
    """Start a server with its worker and return its URL."""
    return started(["-m", "core", "app", "--port", "{port}"], GROUNDPLAN_DATA=str(folder))


def first_page(browser: Browser, url: str) -> float:
    """Measure the time from opening the URL to a map with an image, with an empty cache [s]."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    start = perf_counter()
    page.goto(url)
    element = page.wait_for_selector(MAP, timeout=60_000)
    frame = element.content_frame() if element else None
    assert frame is not None
    frame.wait_for_function(USABLE, timeout=60_000)
    seconds = perf_counter() - start
    page.context.close()
    return seconds


def answer(page: Page, action: Callable[[], None]) -> float:
    """Measure the time from an action until the page has answered or shows progress [s]."""
    page.wait_for_function(ANSWERED)
    page.wait_for_timeout(400)
    start = perf_counter()
    action()
    with suppress(TimeoutError_):  # the script has already run
        page.wait_for_function(RUNNING, timeout=400)
    page.wait_for_function(ANSWERED, polling=20)
    return perf_counter() - start


def go(page: Page, name: str) -> Callable[[], None]:
    return lambda: page.get_by_role("link", name=name, exact=True).first.click()


def press(page: Page, name: str) -> Callable[[], None]:
    return lambda: page.get_by_role("button", name=name).first.click()


def open_tab(page: Page, name: str) -> Callable[[], None]:
    return lambda: page.get_by_role("tab", name=name).click()


def slide(page: Page, name: str, key: str) -> Callable[[], None]:
    return lambda: page.get_by_role("slider", name=name).first.press(key)


def rounds(page: Page, start: str, count: int) -> dict[str, list[float]]:
    """Time every action `count` times; each round starts at a predicted tile followed by another one."""
    times: dict[str, list[float]] = {}

    def timed(name: str, action: Callable[[], None]) -> None:
        times.setdefault(name, []).append(answer(page, action))

    for n in range(count):
        page.goto(start)
        for name in ("Labels", "Train", "Compare", "Download tiles", "Upload", "Demo", "Explore", "Predict"):
            timed(f"to {name}", go(page, name))
        timed("Predict: probability", slide(page, "Probability threshold", "ArrowRight" if n % 2 else "ArrowLeft"))
        timed("Predict: smallest building", slide(page, "Minimum building area", "ArrowRight"))
        timed("Predict: regularize", lambda: page.get_by_text("Regularize footprints").first.click())
        timed("Predict: next building", press(page, "Next"))
        timed("Predict: accept", press(page, "Accept (a)"))
        for name in ("Worst tiles", "Metrics", "Side by side", "Export"):
            timed(f"Predict: {name}", open_tab(page, name))
        timed("Predict: next tile", lambda: page.keyboard.press("n"))
        timed("to Demo", go(page, "Demo"))
        for step in range(5):
            timed(f"Demo: to step {step + 2}", press(page, "Next"))
        timed("Demo: from the start", press(page, "Restart"))
    return times


def prepare(folder: Path) -> str:
    """Create the sample city and predict two of its tiles with the built-in model; return the first tile's ID."""
    code = (
        "from core.settings import settings; from core.catalog.register import register;"
        "from core.synthetic_city import make_sample_city; from core.training.starter_model import NAME, install;"
        "from core.inference.tile_prediction import tile_prediction; from core.inference.predict import predict_tile;"
        "from core.catalog.store import read_catalog; register(make_sample_city(settings().sample)); install();"
        "tiles = read_catalog().tiles[:2];"
        "[predict_tile((one := tile_prediction(NAME, tile.id)).run, tile, one.folder) for tile in tiles];"
        "print(tiles[0].id)"
    )
    environment = {**os.environ, "GROUNDPLAN_DATA": str(folder)}
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return process.stdout.split()[-1]


def cpu_seconds(browser: Browser, folder: Path, open_s: float) -> float:
    """Measure CPU seconds of a server and its worker from start to end, while the Train page is open."""
    before = getrusage(RUSAGE_CHILDREN)
    with site(folder) as url:
        page = browser.new_page()
        page.goto(f"{url}/train")
        page.wait_for_timeout(1000 * open_s)
        page.close()
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(name: str, times: Sequence[float], limit: float) -> str:
    p50, p95 = np.quantile(times, (0.5, 0.95))
    return f"| {name} | {len(times)} | {p50:.2f} s | {p95:.2f} s | {max(times):.2f} s | {limit:g} s |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        tile = prepare(Path(name))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM))
        print("| action | times | p50 | p95 | maximum | limit |\n|---|---|---|---|---|---|", flush=True)
        cold_times = []
        for _ in range(3):
            with site(Path(name)) as url:
                cold_times.append(first_page(browser, url))
        print(row("first page of a server that has just started", cold_times, FIRST_S), flush=True)
        with site(Path(name)) as url:
            first_page(browser, url)
            print(row("first page", [first_page(browser, url) for _ in range(arguments.rounds)], FIRST_S), flush=True)
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            page.set_default_timeout(30_000)
            times = rounds(page, f"{url}/predict?tile={tile}", arguments.rounds)
        share = (cpu_seconds(browser, Path(name), 35) - cpu_seconds(browser, Path(name), 5)) / 30
        browser.close()
    for action, seconds in times.items():
        print(row(action, seconds, CLICK_S))
    print(row("every click", [second for seconds in times.values() for second in seconds], CLICK_S))
    print(f"\nWhile the Train page is open without input: {share:.0%} of one core.")


if __name__ == "__main__":
    main()
