"""Tasks that take no time, and processes that know them: the allow-list itself cannot be changed from outside."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

from core.errors import DiskFull, TooFewTiles
from core.jobs.launchers.local import ROOT, LocalJob, LocalLauncher, launch
from core.jobs.queue import HEARTBEAT_TIMEOUT_S, Job, Queue, State
from core.progress import Report, StopRequested

TASKS = {
    name: f"tests.core.jobs.fake_tasks:{name}"
    for name in (
        "greet",
        "refuse",
        "break_",
        "fill",
        "fill_disk",
        "die",
        "linger",
        "family",
        "keep",
        "scribble",
        "once",
    )
}

_PATCHED = (
    "import sys; from core.jobs import registry, runner; from tests.core.jobs import fake_tasks; "
    "registry.TASKS = fake_tasks.TASKS; "
)
CHILD = (sys.executable, "-c", _PATCHED + "sys.exit(runner.main(sys.argv[1:]))")
WORKER = (
    sys.executable,
    "-c",
    "import json, sys; from tests.core.jobs import fake_tasks; fake_tasks.serve(**json.loads(sys.argv[1]))",
)


def greet(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    report(0.5, "half way")
    print("hello", params.get("whom"), flush=True)
    report(1, "greeted")


def refuse(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    raise TooFewTiles


def break_(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    raise ZeroDivisionError("a secret path")


def fill(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    raise MemoryError


def die(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def linger(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
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


def family(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    """Has a child that will not hear SIGTERM."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with Popen([sys.executable, "-c", deaf]) as child:
        Path(params["mark"]).write_text(str(child.pid))
        child.wait()


def fill_disk(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    raise DiskFull(name="epoch-7.safetensors")


def keep(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    """Works until it is to finish, and then writes down what it has."""
    Path(params["mark"]).write_text("begun")
    while not finish():
        time.sleep(0.02)
    Path(params["mark"]).write_text("kept")


def scribble(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    """Writes its process's number into a file of the attempt, ten times a second, without a word of progress."""
    number = len(list(Path(params["folder"]).iterdir()))
    with (Path(params["folder"]) / f"start-{number}").open("w") as file:
        while True:
            print(os.getpid(), file=file, flush=True)
            time.sleep(0.1)


def once(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    """Notes in one write, which is whole or not there, that it began, and takes hardly any time."""
    with Path(params["starts"]).open("ab", buffering=0) as file:
        file.write(f"{params['number']}\n".encode())
    time.sleep(params.get("seconds", 0))


def start(job: Job) -> LocalJob:
    """A run on this machine, with toys for tasks."""
    return launch(job, CHILD)


class NoLookup:
    """A device that is known at once, without TensorFlow."""

    def end(self) -> None: ...

    def result(self) -> str:
        return "CPU toy, 1 core"


def local(command: Any = CHILD) -> LocalLauncher:
    """The local launcher, with toys for tasks."""
    return LocalLauncher(command, lookup=NoLookup())  # type: ignore[arg-type]


def serve(poll_s: float, silence_s: float, jump_s: float = 0, stalls: int = 0) -> None:
    """What a worker process of the tests does. The clock on its wall may jump by so much, back and forth; a job may be
    lost more often than usual."""
    from core.jobs import queue as store
    from core.jobs import worker
    from core.settings import settings

    worker.HEARTBEAT_S = min(worker.HEARTBEAT_S, silence_s / 3)
    store.MAX_LOSSES = stalls or store.MAX_LOSSES
    if jump_s:
        began, right = time.monotonic(), time.time
        time.time = lambda: right() + jump_s * ((time.monotonic() - began) // 1 % 2)
    worker.work(Queue(settings().queue), poll_s=poll_s, heartbeat_timeout_s=silence_s, launcher=local())


def worker_process(poll_s: float = 0.1, silence_s: float = 1.5, **more: float) -> Popen[bytes]:
    """A worker of its own; it inherits GROUNDPLAN_DATA."""
    facts = {"poll_s": poll_s, "silence_s": silence_s, **more}
    return Popen([*WORKER, json.dumps(facts)], cwd=ROOT, stdout=DEVNULL)


def real_worker() -> Popen[bytes]:
    """A worker with the poll and the silence that people get."""
    return worker_process(0.5, HEARTBEAT_TIMEOUT_S)


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
