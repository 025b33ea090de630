"""What the jobs of these tests do on the cluster, and workers that know it."""

import os
import signal
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import numpy as np

from core.jobs.launchers.local import ROOT
from core.progress import Report, StopRequested
from tests.core.jobs import fake_tasks

_PATCHED = "from core.jobs import registry, runner; from tests.cluster import tasks; registry.TASKS = tasks.TASKS; "
CHILD = (sys.executable, "-c", "import sys; " + _PATCHED + "sys.exit(runner.main(sys.argv[1:]))")
WORKER = (sys.executable, "-c", "from tests.cluster import tasks; tasks.serve()")
TASKS = fake_tasks.TASKS | {
    name: f"tests.cluster.tasks:{function}"
    for name, function in (("train", "train_and_tell"), ("gather", "gather"), ("kill", "kill"), ("look", "look"))
}


def train_and_tell(params: dict[str, Any], report: Report, finish: StopRequested, strategy: Any, chief: bool) -> None:
    """Trains as the real task does; each process leaves the weights it ended with."""
    from core.tasks.train import train_task
    from core.training.learner import Learner

    learners = []
    build = Learner.build

    def remember(*arguments: Any) -> Learner:
        learners.append(build(*arguments))
        return learners[-1]

    Learner.build = remember  # type: ignore[method-assign,assignment]
    train_task(params, report, finish, strategy, chief)
    weights = learners[-1].model.get_weights()
    np.savez(Path(params["weights"]) / ("chief.npz" if chief else "other.npz"), *weights)


def gather(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    """Ends only once `count` jobs do this at the same time."""
    folder = Path(params["folder"])
    (folder / str(params["number"])).touch()
    while len(list(folder.iterdir())) < params["count"]:
        report(0.5, "waiting for the others")
        time.sleep(0.1)


def kill(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def look(params: dict[str, Any], report: Report, finish: StopRequested) -> None:
    print(f"GPUs: [{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}]", flush=True)


def serve() -> None:
    """What a worker process of the tests does."""
    from core.jobs import worker
    from core.jobs.launchers.ray import RayLauncher
    from core.jobs.queue import Queue
    from core.settings import settings

    worker.work(
        Queue(settings().queue), poll_s=0.1, heartbeat_timeout_s=float(sys.argv[1]), launcher=RayLauncher(command=CHILD)
    )


def worker_process(silence_s: float = 28) -> Popen[bytes]:
    """A worker of its own; it inherits RAY_ADDRESS and GROUNDPLAN_DATA."""
    return Popen([*WORKER, str(silence_s)], cwd=ROOT, stdout=DEVNULL)
