"""How long a person waits: the first page of a server that has just come up, and every click after, in Chromium.

    nice python -m benchmarks.pages [--rounds 5]

`python -m core app` over the sample city with the network that comes along, two tiles predicted. A click counts as
answered when the page has run and nothing on it is out of date any more, or when it says what it is doing (a spinner,
a progress bar, a running job). Limits: issue 6's, 3 s for the first page and 1 s for a click.
And what a page costs the machine that is only looked at: two lives of a server, one of them 30 s longer.
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
#: The page has run, nothing is greyed out; or it says what it does.
ANSWERED = """() => {
  const app = document.querySelector("[data-testid=stApp]");
  const busy = document.querySelector("[data-testid=stSpinner], [data-testid=stProgress]");
  return busy || (app && app.dataset.testScriptState === "notRunning"
    && !document.querySelector("[data-stale=true]"));
}"""
RUNNING = """() => document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "running" """
#: A page can be used once its map's picture is there.
USABLE = """() => window.map && [...document.querySelectorAll(".leaflet-tile-loaded, .leaflet-image-layer")]
  .some(image => image.naturalWidth > 0)"""


def site(folder: Path) -> AbstractContextManager[str]:
    """The address of a server with its worker; it is up when this begins."""
    return started(["-m", "core", "app", "--port", "{port}"], GROUNDPLAN_DATA=str(folder))


def first_page(browser: Browser, url: str) -> float:
    """Seconds from the address to a map with a picture, with an empty cache."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    began = perf_counter()
    page.goto(url)
    element = page.wait_for_selector(MAP, timeout=60_000)
    frame = element.content_frame() if element else None
    assert frame is not None
    frame.wait_for_function(USABLE, timeout=60_000)
    took = perf_counter() - began
    page.context.close()
    return took


def answer(page: Page, act: Callable[[], None]) -> float:
    """Seconds from an act until the page has answered, or says what it is doing."""
    page.wait_for_function(ANSWERED)
    page.wait_for_timeout(400)
    began = perf_counter()
    act()
    with suppress(TimeoutError_):  # it has run already
        page.wait_for_function(RUNNING, timeout=400)
    page.wait_for_function(ANSWERED, polling=20)
    return perf_counter() - began


def go(page: Page, name: str) -> Callable[[], None]:
    return lambda: page.get_by_role("link", name=name, exact=True).first.click()


def press(page: Page, name: str) -> Callable[[], None]:
    return lambda: page.get_by_role("button", name=name).first.click()


def open_tab(page: Page, name: str) -> Callable[[], None]:
    return lambda: page.get_by_role("tab", name=name).click()


def slide(page: Page, name: str, key: str) -> Callable[[], None]:
    return lambda: page.get_by_role("slider", name=name).first.press(key)


def rounds(page: Page, start: str, count: int) -> dict[str, list[float]]:
    """Every act so often; each round begins at a tile that is predicted, as the next one is."""
    times: dict[str, list[float]] = {}

    def timed(name: str, act: Callable[[], None]) -> None:
        times.setdefault(name, []).append(answer(page, act))

    for n in range(count):
        page.goto(start)
        for name in ("Labels", "Train", "Compare", "Get tiles", "Upload", "Demo", "Explore", "Predict"):
            timed(f"to {name}", go(page, name))
        timed("Predict: probability", slide(page, "Building from probability", "ArrowRight" if n % 2 else "ArrowLeft"))
        timed("Predict: smallest building", slide(page, "Smallest building", "ArrowRight"))
        timed("Predict: right angles", lambda: page.get_by_text("Right angles").first.click())
        timed("Predict: next building", press(page, "Next"))
        timed("Predict: accept", press(page, "Accept (a)"))
        for name in ("Worst first", "Curves", "Side by side", "Take home"):
            timed(f"Predict: {name}", open_tab(page, name))
        timed("Predict: next tile", lambda: page.keyboard.press("n"))
        timed("to Demo", go(page, "Demo"))
        for step in range(5):
            timed(f"Demo: to step {step + 2}", press(page, "Next"))
        timed("Demo: from the start", press(page, "From the start"))
    return times


def prepare(folder: Path) -> str:
    """The sample city, and what the network that comes along sees on two of its tiles; the id of the first."""
    code = (
        "from core.settings import settings; from core.catalog.register import register;"
        "from core.synthetic_city import make_sample_city; from core.training.starter_model import NAME, install;"
        "from core.inference.tile_prediction import predicted; from core.inference.predict import predict_tile;"
        "from core.catalog.store import read_catalog; register(make_sample_city(settings().sample)); install();"
        "tiles = read_catalog().tiles[:2];"
        "[predict_tile((one := predicted(NAME, tile.id)).run, tile, one.folder) for tile in tiles]; print(tiles[0].id)"
    )
    environment = {**os.environ, "GROUNDPLAN_DATA": str(folder)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.split()[-1]


def life(browser: Browser, folder: Path, looked_at_s: float) -> float:
    """CPU seconds of a server and its worker, from their start to their end, while somebody just looks at Train."""
    before = getrusage(RUSAGE_CHILDREN)
    with site(folder) as url:
        page = browser.new_page()
        page.goto(f"{url}/train")
        page.wait_for_timeout(1000 * looked_at_s)
        page.close()
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(name: str, times: Sequence[float], limit: float) -> str:
    p50, p95 = np.quantile(times, (0.5, 0.95))
    return f"| {name} | {len(times)} | {p50:.2f} s | {p95:.2f} s | {max(times):.2f} s | {limit:g} s |"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        tile = prepare(Path(name))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM))
        print("| what | times | p50 | p95 | most | limit |\n|---|---|---|---|---|---|", flush=True)
        cold = []
        for _ in range(3):
            with site(Path(name)) as url:
                cold.append(first_page(browser, url))
        print(row("first page of a server that has just come up", cold, FIRST_S), flush=True)
        with site(Path(name)) as url:
            first_page(browser, url)
            print(row("first page", [first_page(browser, url) for _ in range(chosen.rounds)], FIRST_S), flush=True)
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            page.set_default_timeout(30_000)
            times = rounds(page, f"{url}/predict?tile={tile}", chosen.rounds)
        share = (life(browser, Path(name), 35) - life(browser, Path(name), 5)) / 30
        browser.close()
    for act, taken in times.items():
        print(row(act, taken, CLICK_S))
    print(row("every click", [one for taken in times.values() for one in taken], CLICK_S))
    print(f"\nWhile somebody looks at Train and does nothing: {share:.0%} of one core.")


if __name__ == "__main__":
    main()
