"""`python -m core app`: a server, and a worker beside it as long as the server lives."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from core.catalog.store import Catalog, write_catalog
from core.cli import serve as module
from core.cli.serve import _start, next_backoff, serve
from core.errors import PortInUse
from core.jobs.queue import Queue, State
from core.settings import settings
from tests.conftest import ROOT
from tests.core.tile_factory import make_tile


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def children(parent: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True).stdout
    return [pid for pid in map(int, found.split()) if Path(f"/proc/{pid}").exists()]  # ps itself has ended


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_for(what, seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.2)


@pytest.fixture
def app(tmp_path: Path, port: int):
    write_catalog(Catalog((make_tile(tmp_path / "city", "AOI_0_Made_img1"),)), tmp_path / "data" / "catalog.parquet")
    environment = {**os.environ, "GROUNDPLAN_DATA": str(tmp_path / "data")}
    command = [sys.executable, "-m", "core", "app", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    yield process
    left = children(process.pid)
    process.terminate()
    process.communicate(timeout=20)
    assert not any(Path(f"/proc/{pid}").exists() for pid in left)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_it_prints_the_address_serves_and_leaves_nothing_behind(
    app: subprocess.Popen, port: int, how: signal.Signals
) -> None:
    assert app.stdout is not None
    assert f"http://localhost:{port}" in app.stdout.readline()
    wait_for(lambda: healthy(port))
    both = children(app.pid)
    assert len(both) == 2
    app.send_signal(how)
    assert app.wait(15) == 0
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in both), 5)


@pytest.mark.slow
def test_a_server_that_dies_is_started_again_and_no_job_notices(
    app: subprocess.Popen, port: int, tmp_path: Path
) -> None:
    """Proof of issue 4: server restarted in the middle of training."""
    wait_for(lambda: healthy(port))
    queue = Queue(tmp_path / "data" / "jobs.sqlite")
    job = queue.submit("sample", {})
    wait_for(lambda: queue.get(job.id).state == State.RUNNING)
    server, worker = children(app.pid)
    os.kill(server, signal.SIGKILL)
    assert queue.get(job.id).state == State.RUNNING
    wait_for(lambda: healthy(port))
    assert worker in children(app.pid)
    assert server not in children(app.pid)
    wait_for(lambda: queue.get(job.id).state.is_over, 120)
    assert (queue.get(job.id).state, queue.get(job.id).attempt, queue.get(job.id).losses) == (State.DONE, 1, 0)


@pytest.mark.slow
def test_a_server_that_cannot_start_ends_everything(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(module, "SERVER", ("-c", "raise SystemExit(3)"))
    monkeypatch.setattr(module, "WORKER", ("-c", "import time; time.sleep(60)"))
    usual = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    others = set(children(os.getpid()))  # such as the browser of other tests
    with pytest.raises(SystemExit) as end:
        serve("127.0.0.1", port)
    for number, handler in usual.items():
        signal.signal(number, handler)
    assert end.value.code == 3
    assert set(children(os.getpid())) <= others


@pytest.mark.slow
def test_a_worker_that_dies_is_started_again(app: subprocess.Popen, port: int) -> None:
    wait_for(lambda: healthy(port))
    server, worker = children(app.pid)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: len(children(app.pid)) == 2 and worker not in children(app.pid), 15)
    assert healthy(port)
    assert server in children(app.pid)


def test_a_port_that_is_taken_is_a_sentence(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(PortInUse, match=f"Port {port} of 127.0.0.1 is not available"):
            serve("127.0.0.1", port)


def test_a_worker_that_keeps_ending_is_started_ever_more_rarely() -> None:
    pauses = [0.0]
    for lived in (2, 2, 2, 2, 2, 2, 2, 61, 2):
        pauses.append(next_backoff(pauses[-1], lived))
    assert pauses[1:] == [1, 2, 4, 8, 16, 30, 30, 1, 2]


def test_what_cannot_be_started_again_for_now_is_tried_after_a_longer_pause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = module._SupervisedProcess(("-c", "pass"))
    kept.start()
    assert kept.process is not None
    kept.process.wait(20)

    def refuse(_arguments: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    with monkeypatch.context() as crowded:
        crowded.setattr(module, "_start", refuse)
        for pause in (1, 2, 4):
            kept.restart_if_exited()
            assert kept.backoff_s == pause
            assert kept.restart_at is not None
            assert kept.restart_at > time.monotonic()
            kept.restart_at = 0.0
    assert "python -c pass could not be started: [Errno 12] Cannot allocate memory" in capsys.readouterr().err
    kept.restart_if_exited()
    assert kept.restart_at is None
    assert kept.process.wait(20) == 0


def test_the_children_use_the_same_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUNDPLAN_DATA", "here")
    settings.cache_clear()
    child = _start(["-c", "import os, pathlib; pathlib.Path(os.environ['GROUNDPLAN_DATA'], 'mark').touch()"])
    settings.cache_clear()
    assert child.wait(20) == 0
    assert (tmp_path / "here" / "mark").exists()
