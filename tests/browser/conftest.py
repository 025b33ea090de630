"""A real server with its worker, and headless Chromium in front of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT


@dataclass(frozen=True)
class Site:
    """A running Groundplan."""

    url: str
    data: Path


def command(data: Path, *arguments: str) -> str:
    """What a command line over a data folder of its own prints."""
    environment = {**os.environ, "GROUNDPLAN_DATA": str(data)}
    done = subprocess.run(
        [sys.executable, "-m", "core", *arguments], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


def damaged_tile(folder: Path, whole: Path) -> Path:
    """A tile whose second half got lost after it had been registered."""
    path = folder / "RGB-PanSharpen_AOI_2_Vegas_img5979.tif"
    shutil.copyfile(whole, path)
    return path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Site]:
    """`python -m core app` over the real tiles and the 10,593 that are merely listed."""
    data = tmp_path_factory.mktemp("site") / "data"
    command(data, "catalog", "add", str(shared / "tile-index"))
    command(data, "catalog", "add", str(shared / "spacenet"))
    [whole] = (shared / "spacenet").rglob("RGB-PanSharpen_AOI_2_Vegas_img802.tif")
    damaged = damaged_tile(data, whole)
    command(data, "catalog", "add", str(damaged))
    os.truncate(damaged, damaged.stat().st_size // 2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GROUNDPLAN_DATA": str(data)}
    app = subprocess.Popen(
        [sys.executable, "-m", "core", "app", "--port", str(port)], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{url}/_stcore/health")
        yield Site(url, data)
    finally:
        app.send_signal(signal.SIGTERM)
        app.communicate(timeout=20)


def _wait(url: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(url)
