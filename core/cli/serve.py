"""Supervisor of the web server and one worker: two child processes, restarted when they exit."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from core.errors import PortInUse
from core.jobs.launchers.exit_status import environment

ROOT = Path(__file__).parents[2]
SERVER = ("-m", "streamlit", "run", "streamlit_app.py")
WORKER = ("-m", "core", "worker")
#: Pause before a restart [s]: initial (doubled each time) and maximum.
BACKOFF_S, MAX_BACKOFF_S = 1.0, 30.0
#: Uptime after which a process counts as stable, and the pause is reset [s].
STABLE_S = 60.0
#: A server that exits within this time after its first start is not restarted [s].
START_FAILURE_S = 10.0
#: Interval between two polls of the processes [s].
POLL_S = 0.3
#: Time between SIGTERM and SIGKILL at shutdown [s].
STOP_TIMEOUT_S = 8.0


@dataclass
class _SupervisedProcess:
    """Child process that is restarted whenever it exits."""

    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0  #: monotonic time
    backoff_s: float = 0.0
    restart_at: float | None = None  #: monotonic time of the next start, while it is down

    def start(self) -> None:
        self.process, self.started, self.restart_at = _start(self.arguments), time.monotonic(), None

    def restart_if_exited(self) -> None:
        """Restart the process after a pause, if it has exited."""
        now = time.monotonic()
        if self.restart_at is not None and now >= self.restart_at:
            try:
                self.start()
            except OSError as error:  # out of memory or processes: the other child keeps running
                self.backoff_s = next_backoff(self.backoff_s, 0.0)
                self.restart_at = now + self.backoff_s
                print(f"python {' '.join(self.arguments)} could not be started: {error}", file=sys.stderr)
        elif self.restart_at is None and self.process and self.process.poll() is not None:
            self.backoff_s = next_backoff(self.backoff_s, now - self.started)
            self.restart_at = now + self.backoff_s

    def cannot_start(self) -> bool:
        """Tell whether the process exited soon after its first start: a wrong option or a broken installation."""
        code = self.process.poll() if self.process and not self.backoff_s else None
        return code is not None and code >= 0 and time.monotonic() - self.started < START_FAILURE_S


def serve(host: str, port: int) -> None:
    """Run web server and worker until a signal; raises PortInUse.

    Exits with the status of the server if the server cannot start. Otherwise each child is restarted independently: a
    training continues while the server is down, and a job is requeued when its worker dies.
    """
    _check_port(host, port)
    # A container stop (SIGTERM) and a closed terminal (SIGHUP, unless under nohup) are handled like Ctrl-C.
    signal.signal(signal.SIGTERM, _raise_exit)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _raise_exit)
    server = _SupervisedProcess([*SERVER, f"--server.address={host}", f"--server.port={port}"])
    processes = (server, _SupervisedProcess(WORKER))
    try:
        for process in processes:
            process.start()
        print(f"Groundplan: http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}", flush=True)
        while not server.cannot_start():
            for process in processes:
                process.restart_if_exited()
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        print("Stopping.", flush=True)
        return
    finally:
        _stop([process.process for process in processes if process.process])
    sys.exit(server.process.returncode if server.process else 1)


def _raise_exit(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):  # a second signal must not interrupt the shutdown
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def next_backoff(last_s: float, uptime_s: float) -> float:
    """Next pause before a restart [s], from the last pause and the uptime: exponential backoff."""
    return BACKOFF_S if uptime_s >= STABLE_S else min(max(2 * last_s, BACKOFF_S), MAX_BACKOFF_S)


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUse(port=port, host=host) from error


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    # In its own session, so Ctrl-C reaches only this process, which then stops both children.
    command = [sys.executable, *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True)


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    until = time.monotonic() + STOP_TIMEOUT_S
    for child in children:
        try:
            child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
