"""The web server and one worker as two child processes, each of which is started again when it ends."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from core.errors import PortTaken
from core.jobs.launchers.exit_status import environment

ROOT = Path(__file__).parents[2]
SERVER = ("-m", "streamlit", "run", "streamlit_app.py")
WORKER = ("-m", "core", "worker")
#: Seconds before what ended is started again: doubled each time, up to the second figure.
PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
#: What lived for so many seconds was good: the next pause is the first again.
GOOD_S = 60.0
#: A server that gives up by itself within so many seconds of its first start would do so each time.
BEGINNING_S = 10.0
#: Seconds between two looks at both.
POLL_S = 0.3
#: Seconds a child has to leave after SIGTERM.
PATIENCE_S = 8.0


@dataclass
class _Kept:
    """A program that is started again whenever it ends."""

    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0  #: monotonic time
    pause: float = 0.0
    again: float | None = None  #: monotonic time of the next start, while it is down

    def start(self) -> None:
        self.process, self.started, self.again = _start(self.arguments), time.monotonic(), None

    def look(self) -> None:
        """Starts it again, after a pause, where it has ended."""
        now = time.monotonic()
        if self.again is not None and now >= self.again:
            try:
                self.start()
            except OSError as error:  # no memory or no process left: the other one goes on meanwhile
                self.pause = next_pause(self.pause, 0.0)
                self.again = now + self.pause
                print(f"python {' '.join(self.arguments)} cannot be started now: {error}", file=sys.stderr)
        elif self.again is None and self.process and self.process.poll() is not None:
            self.pause = next_pause(self.pause, now - self.started)
            self.again = now + self.pause

    def cannot_start(self) -> bool:
        """Whether it gave up by itself, soon after its first start: a wrong option or a broken installation."""
        code = self.process.poll() if self.process and not self.pause else None
        return code is not None and code >= 0 and time.monotonic() - self.started < BEGINNING_S


def serve(host: str, port: int) -> None:
    """Runs until a signal comes; exits with the server's status where the server cannot start; raises PortTaken.

    A server or a worker that ends otherwise is started again, each without the other noticing: a training goes on
    while the server is away, and a job goes back into the queue by itself when its worker is gone.
    """
    _check_port(host, port)
    _leave_in_order()
    server = _Kept([*SERVER, f"--server.address={host}", f"--server.port={port}"])
    kept = (server, _Kept(WORKER))
    try:
        for one in kept:
            one.start()
        print(f"Groundplan is at http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}", flush=True)
        while not server.cannot_start():
            for one in kept:
                one.look()
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        print("Stopping.", flush=True)
        return
    finally:
        _stop([one.process for one in kept if one.process])
    sys.exit(server.process.returncode if server.process else 1)


def _leave_in_order() -> None:
    """A closed terminal and a stopped container end everything as Ctrl-C does; under nohup a terminal may close."""
    signal.signal(signal.SIGTERM, _leave)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _leave)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):  # a second one must not cut the first one's work short
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def next_pause(last_s: float, lived_s: float) -> float:
    """Seconds to wait for, after the last pause and a life of so many: what cannot live is no busy loop."""
    return PAUSE_S if lived_s >= GOOD_S else min(max(2 * last_s, PAUSE_S), LONGEST_PAUSE_S)


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
