"""The web server and one worker as two child processes."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from core.errors import PortTaken
from core.jobs.local import environment

ROOT = Path(__file__).parents[1]
SERVER = ("-m", "streamlit", "run", "streamlit_app.py")
WORKER = ("-m", "core", "worker")
#: Seconds before a worker that ended is started again: doubled each time, up to the second figure.
PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
#: A worker that lived for so many seconds was a good one: the next pause is the first again.
GOOD_S = 60.0
#: Seconds a child has to leave after SIGTERM.
PATIENCE_S = 8.0


def serve(host: str, port: int) -> None:
    """Runs until a signal comes or the server ends, and then exits with its status; raises PortTaken.

    A worker that ends is started again: its job goes back into the queue by itself.
    """
    _check_port(host, port)
    _leave_in_order()
    children: list[subprocess.Popen[bytes]] = []
    try:
        children.append(_start([*SERVER, f"--server.address={host}", f"--server.port={port}"]))
        children.append(_start(WORKER))
        print(f"Groundplan is at http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}", flush=True)
        _keep_a_worker(children)
    except KeyboardInterrupt:
        print("Stopping.", flush=True)
        return
    finally:
        _stop(children)
    sys.exit(abs(children[0].returncode))


def _leave_in_order() -> None:
    """A closed terminal and a stopped container end everything as Ctrl-C does; under nohup a terminal may close."""
    signal.signal(signal.SIGTERM, _leave)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _leave)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):  # a second one must not cut the first one's work short
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _keep_a_worker(children: list[subprocess.Popen[bytes]]) -> None:
    """Starts the second child again whenever it ended; returns when the first one, the server, ends."""
    pause, started = 0.0, time.monotonic()
    while not _ends(children[0], within=0.3):
        if children[1].poll() is None:
            continue
        pause = next_pause(pause, time.monotonic() - started)
        if not _ends(children[0], within=pause):
            children[1], started = _start(WORKER), time.monotonic()


def next_pause(last_s: float, lived_s: float) -> float:
    """Seconds to wait for, after the last pause and the life of a worker: one that cannot live is no busy loop."""
    return PAUSE_S if lived_s >= GOOD_S else min(max(2 * last_s, PAUSE_S), LONGEST_PAUSE_S)


def _ends(child: subprocess.Popen[bytes], within: float) -> bool:
    try:
        child.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(port=port, host=host) from error


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    # Its own session: a Ctrl-C in the terminal reaches this process only, which then stops both in order.
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True)


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
