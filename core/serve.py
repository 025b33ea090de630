"""The web server and one worker as two child processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from core.errors import PortTaken

ROOT = Path(__file__).parents[1]
WORKER = ("-m", "core", "worker")
#: Seconds before a worker that ended is started again.
PAUSE_S = 1.0
#: Seconds a child has to leave after SIGTERM.
PATIENCE_S = 8.0


def serve(host: str, port: int) -> None:
    """Runs until a signal comes or the server ends, and then exits with its status; raises PortTaken.

    A worker that ends is started again: its job goes back into the queue by itself.
    """
    _check_port(host, port)
    address = [f"--server.address={host}", f"--server.port={port}"]
    children = [_start(["-m", "streamlit", "run", "streamlit_app.py", *address]), _start(WORKER)]
    signal.signal(signal.SIGTERM, _leave)
    print(f"Groundplan is at http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}", flush=True)
    try:
        while children[0].poll() is None:
            time.sleep(0.3)
            if children[1].poll() is not None:
                time.sleep(PAUSE_S)
                children[1] = _start(WORKER)
    except KeyboardInterrupt:
        print("Stopping.", flush=True)
        return
    finally:
        _stop(children)
    sys.exit(abs(children[0].returncode))


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(port=port, host=host) from error


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    # Its own session: a Ctrl-C in the terminal reaches this process only, which then stops both in order.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, start_new_session=True)


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    until = time.monotonic() + PATIENCE_S
    for child in children:
        try:
            child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
