"""What several test files use."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyogrio  # noqa: F401  before keras, or GDAL finds TensorFlow's SQLite (core.runtime.keras_backend)
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

if TYPE_CHECKING:
    from tests.core.spacenet_bucket import FakeBucket

ROOT = Path(__file__).parents[1]
# Whoever started the tests may have had these ignored (nohup, a shell's &), and so would all that the tests start.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


#: Tests whose figures are wanted, also where they pass.
PROOFS = ("tests/reliability/", "tests/browser/test_queue.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the proofs print stands at the end of every run."""
    reports = [one for one in terminalreporter.stats.get("passed", []) if one.nodeid.startswith(PROOFS)]
    lines = [line for one in reports for line in one.capstdout.splitlines() if line.strip()]
    if lines:
        terminalreporter.section("proof")
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real tiles beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data is not here: {folder}")
    return folder


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[FakeBucket]":
    """One server for all tests: it takes seconds to start."""
    from tests.core.spacenet_bucket import serving

    with serving(tmp_path_factory.mktemp("bucket")) as found:
        yield found


@pytest.fixture
def bucket(bucket_server: "FakeBucket", monkeypatch: pytest.MonkeyPatch) -> "FakeBucket":
    """SpaceNet's bucket on this machine, empty; Groundplan asks it instead of the real one."""
    bucket_server.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket_server.url)
    return bucket_server


#: As root and without a screen; and nothing that Chromium would ask the internet for by itself.
CHROMIUM = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, else Playwright's own; one for all tests, since Playwright runs only once in a thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(CHROMIUM))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A new visitor on a laptop's screen."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()
