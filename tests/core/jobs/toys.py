"""Tasks that take no time, and processes that know them: the allow-list itself cannot be changed from outside."""

import os
import signal
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

from core.errors import TooFewTiles
from core.jobs.local import ROOT, LocalRun, launch
from core.jobs.store import Job, Queue, State
from core.progress import Report

TASKS = {
    name: f"tests.core.jobs.toys:{name}" for name in ("greet", "refuse", "break_", "fill", "die", "linger", "family")
}

_PATCHED = (
    "import sys; from core.jobs import child, tasks; from tests.core.jobs import toys; tasks.TASKS = toys.TASKS; "
)
CHILD = (sys.executable, "-c", _PATCHED + "sys.exit(child.main(sys.argv[1:]))")
WORKER = (sys.executable, "-c", "from tests.core.jobs import toys; toys.serve()")


def greet(params: dict[str, Any], report: Report) -> None:
    report(0.5, "half way")
    print("hello", params.get("whom"), flush=True)
    report(1, "greeted")


def refuse(params: dict[str, Any], report: Report) -> None:
    raise TooFewTiles


def break_(params: dict[str, Any], report: Report) -> None:
    raise ZeroDivisionError("a secret path")


def fill(params: dict[str, Any], report: Report) -> None:
    raise MemoryError


def die(params: dict[str, Any], report: Report) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def linger(params: dict[str, Any], report: Report) -> None:
    """Works for a minute the first time, not at all where it has been before."""
    been = Path(params["mark"])
    if been.exists():
        return
    been.write_text(str(os.getpid()))
    report(0.1, "lingering")
    temporary = been.with_suffix(".temporary")
    try:
        temporary.touch()
        time.sleep(60)
    finally:
        temporary.unlink()


def family(params: dict[str, Any], report: Report) -> None:
    """Has a child that will not hear SIGTERM."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with Popen([sys.executable, "-c", deaf]) as child:
        Path(params["mark"]).write_text(str(child.pid))
        child.wait()


def start(job: Job) -> LocalRun:
    """The local launcher, with toys for tasks."""
    return launch(job, CHILD)


class NoLookup:
    """A device that is known at once, without TensorFlow."""

    def __enter__(self) -> "NoLookup":
        return self

    def __exit__(self, *_: Any) -> None: ...

    def answer(self) -> str:
        return "CPU toy, 1 core"


def serve() -> None:
    """What a worker process of the tests does."""
    from core.jobs import worker
    from core.settings import settings

    worker.Lookup = NoLookup  # type: ignore[assignment,misc]
    worker.work(Queue(settings().queue), poll_s=0.1, silence_s=1.5, launcher=start)


def worker_process() -> Popen[bytes]:
    """A worker of its own; it inherits GROUNDPLAN_DATA."""
    return Popen(WORKER, cwd=ROOT, stdout=DEVNULL)


def wait_for(what: Any, seconds: float = 20) -> Any:
    """The first true answer of `what`; fails after so many seconds."""
    until = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return answer


def reached(queue: Queue, job: Job, state: State) -> Job:
    """The job, once it is in that state."""
    wait_for(lambda: queue.get(job.id).state == state)
    return queue.get(job.id)


def _stat(pid: str) -> tuple[str, int]:
    """A process's state and process group; "Z" is one that ended and waits to be buried."""
    try:
        state, _parent, group = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[:3]
    except OSError:
        return "Z", -1
    return state, int(group)


def is_running(pid: int) -> bool:
    """Whether the process has not ended."""
    return _stat(str(pid))[0] != "Z"


def running_in(group: int) -> list[int]:
    """The processes of a process group that have not ended."""
    pids = [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [int(pid) for pid in pids if _stat(pid)[1] == group and _stat(pid)[0] != "Z"]
