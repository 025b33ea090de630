"""A web server of Groundplan without a worker, over a data folder of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT


def free_port() -> int:
    """One nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, seconds: float = 60) -> None:
    """Until it answers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


@contextmanager
def running(command: list[str], alive: str, data: Path) -> Iterator[None]:
    """A Python module as a process until the block ends; `alive` is an address that answers once it is up."""
    environment = {**os.environ, "GROUNDPLAN_DATA": str(data), "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        wait_for(alive)
        yield
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=20)
        print(said.decode()[-3000:])


@contextmanager
def groundplan(data: Path, port: int = 0, secrets: Path | None = None) -> Iterator[str]:
    """Its address."""
    url = f"http://localhost:{port or (port := free_port())}"
    command = ["streamlit", "run", "streamlit_app.py", f"--server.port={port}", "--server.address=localhost"]
    files = [f"--secrets.files={secrets}"] if secrets else []
    with running([*command, *files], f"{url}/_stcore/health", data):
        yield url
