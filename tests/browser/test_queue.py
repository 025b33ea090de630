"""Two people before one queue, with a real worker: what one does, the other sees."""

import os
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from core.catalog.scan import scan
from core.catalog.store import Catalog, write_catalog
from core.jobs.queue import Job, Queue, State
from core.settings import settings
from tests.app.test_jobs import TRAINING, trained
from tests.conftest import ROOT
from tests.core.jobs import fake_tasks
from tests.core.tile_factory import grid_at, make_tile

pytestmark = [pytest.mark.browser, pytest.mark.slow]
#: Within so many seconds everybody sees that a job is stopped.
SEEN_S = 2.0


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """The queue of a data folder with one labelled tile, which the processes of the test inherit."""
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    tile = make_tile(tmp_path / "city", "AOI_0_Made_img1", grid_at())
    assert tile.footprints is not None
    tile.footprints.rename(tmp_path / "city" / "Geo_AOI_0_Made_img1.geojson")
    write_catalog(Catalog(scan(tmp_path / "city").tiles))
    yield Queue(settings().queue)
    settings.cache_clear()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(started: Popen[bytes]) -> Iterator[Popen[bytes]]:
    """Ends it in good order."""
    try:
        yield started
    finally:
        started.terminate()
        started.wait(20)


def server(port: int) -> Popen[bytes]:
    """The web server alone, once it answers."""
    options = ["--server.address=127.0.0.1", f"--server.port={port}"]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", *options]
    started = Popen(command, cwd=ROOT, env=os.environ, stdout=DEVNULL)
    fake_tasks.wait_for(lambda: answers(f"http://127.0.0.1:{port}/_stcore/health"), 60)
    return started


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture
def visitors(queue: Queue, port: int, chromium: Browser) -> Iterator[tuple[Page, Page]]:
    """Two people who look at the Train page, each in a browser of their own."""
    with process(server(port)), ExitStack() as stack:
        pages = []
        for _ in range(2):
            context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
            stack.callback(context.close)
            context.set_default_timeout(20_000)
            pages.append(context.new_page())
            pages[-1].goto(f"http://127.0.0.1:{port}/train")
        yield pages[0], pages[1]


def row(page: Page, job: Job) -> Locator:
    """The job in the queue's table."""
    return page.locator(f"tr[data-job='{job.id}']")


def lingering(queue: Queue, mark: Path) -> Job:
    """A job that works for a minute."""
    return queue.submit("linger", {"mark": str(mark)}, "A long one")


def test_one_stops_the_other_s_job_and_both_see_it(queue: Queue, visitors: tuple[Page, Page], tmp_path: Path) -> None:
    ours, theirs = visitors
    job = lingering(queue, tmp_path / "mark")
    with process(fake_tasks.real_worker()):
        for page in visitors:
            expect(row(page, job)).to_contain_text("running", timeout=30_000)
        row(theirs, job).click()
        stop = theirs.get_by_role("button", name="Stop")
        expect(stop).to_be_visible()
        stop.click()
        clicked, seen = time.monotonic(), {}
        while len(seen) < 2 and time.monotonic() < clicked + 10:
            for name, page in (("who stopped it", theirs), ("the other", ours)):
                if name not in seen and re.search("stopp(ed|ing)", row(page, job).inner_text()):
                    seen[name] = time.monotonic() - clicked
        print("seen after", {name: f"{seconds:.2f} s" for name, seconds in seen.items()})
        assert len(seen) == 2
        assert max(seen.values()) <= SEEN_S
        for page in visitors:
            expect(row(page, job)).to_contain_text("stopped")
        assert fake_tasks.reached(queue, job, State.STOPPED).worker
        assert not fake_tasks.is_running(int((tmp_path / "mark").read_text()))


def test_without_a_worker_the_page_says_how_to_start_one(
    queue: Queue, visitors: tuple[Page, Page], tmp_path: Path
) -> None:
    page, _ = visitors
    job = lingering(queue, tmp_path / "mark")
    expect(row(page, job)).to_contain_text("queued", timeout=20_000)
    expect(page.get_by_text("Worker offline", exact=False).first).to_be_visible()
    expect(page.get_by_text("python -m core worker")).to_be_visible()
    with process(fake_tasks.real_worker()):
        expect(row(page, job)).to_contain_text("running", timeout=30_000)
        expect(page.get_by_text("python -m core worker")).to_have_count(0)


def test_the_order_that_one_chooses_is_the_other_s(queue: Queue, visitors: tuple[Page, Page]) -> None:
    ours, theirs = visitors
    first, second = (queue.submit("greet", {}, name) for name in ("One", "Two"))
    row(ours, second).click()
    ours.get_by_role("button", name="Start next").click()
    for page in (ours, theirs):
        expect(page.locator("tr[data-job]").first).to_contain_text("Two")
    theirs.reload()
    expect(theirs.locator("tr[data-job]").first).to_contain_text("Two")
    assert [job.id for job in queue.waiting()] == [second.id, first.id]


def click_late(target: Locator) -> None:
    """Clicks while the browser is busy for so long that ticks are overdue: Streamlit then sends the click with each."""
    target.evaluate(
        """it => {
            scheduler.postTask(() => it.click(), {priority: "user-blocking"});
            const until = performance.now() + 1500;
            while (performance.now() < until);
        }"""
    )


def test_a_click_that_is_sent_twice_chooses_a_job_and_another_lets_go_of_it(
    queue: Queue, visitors: tuple[Page, Page]
) -> None:
    page, _ = visitors
    job = queue.submit("greet", {}, "One")
    expect(row(page, job)).to_be_visible()
    for chosen in ("true", "false", "true"):
        click_late(row(page, job))
        page.wait_for_timeout(1000)
        expect(row(page, job)).to_have_attribute("aria-selected", chosen)


def test_a_press_that_is_sent_twice_continues_a_run_once(queue: Queue, visitors: tuple[Page, Page]) -> None:
    page, _ = visitors
    trained()
    job = queue.submit("train", TRAINING, "Made, 1 tile")
    queue.claim("w")
    queue.finish(job.id, "w", State.DONE)
    page.reload()
    row(page, job).click()
    buttons = page.get_by_role("button", name="Continue", exact=True)
    expect(buttons).to_have_count(2)  # one beside the curves, one below the queue
    buttons.last.click()
    click_late(page.get_by_role("button", name="Continue for 5 more epochs"))
    page.wait_for_timeout(2000)
    assert len(queue.jobs()) == 2


def test_rows_are_reached_by_keyboard(queue: Queue, visitors: tuple[Page, Page]) -> None:
    page, _ = visitors
    first, second = (queue.submit("greet", {}, name) for name in ("One", "Two"))
    row(page, first).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(row(page, second)).to_have_attribute("aria-selected", "true")
    page.wait_for_timeout(1500)  # the table is drawn anew every second
    expect(row(page, second)).to_be_focused()


def test_a_title_is_text_and_nothing_else(queue: Queue, visitors: tuple[Page, Page]) -> None:
    page, _ = visitors
    told: list[str] = []
    page.on("dialog", lambda dialog: (told.append(dialog.message), dialog.dismiss()))
    title = "<img src=x onerror=alert(1)> **bold** ${7*7}"
    job = queue.submit("greet", {}, title)
    expect(row(page, job)).to_contain_text(title, timeout=20_000)
    row(page, job).click()
    expect(page.get_by_role("button", name="Start next")).to_be_visible()
    assert not told
    assert page.locator("img[src=x]").count() == 0


def test_a_server_that_is_restarted_leaves_the_job_alone_and_shows_it_again(
    queue: Queue, port: int, page: Page, tmp_path: Path
) -> None:
    job = lingering(queue, tmp_path / "mark")
    with process(fake_tasks.real_worker()):
        with process(server(port)) as first:
            page.goto(f"http://127.0.0.1:{port}/train")
            expect(row(page, job)).to_contain_text("running", timeout=30_000)
            first.kill()
            first.wait(10)
        working = int((tmp_path / "mark").read_text())
        with process(server(port)):
            page.goto(f"http://127.0.0.1:{port}/train")
            expect(row(page, job)).to_contain_text("running")
            assert fake_tasks.is_running(working)
            assert queue.get(job.id).attempt == 1
