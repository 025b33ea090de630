"""A worker: claims jobs, has a launcher run them, watches them in one thread, until it is told to leave."""

import logging
import math
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from core.errors import (
    CannotStart,
    CannotWrite,
    ClusterAway,
    DiskFull,
    GroundplanError,
    LeaseLost,
    QueueBusy,
    RunLost,
)
from core.jobs.launcher import Launched, Launcher, Outcome, launcher
from core.jobs.notice import Notices
from core.jobs.store import SILENCE_S, Job, Queue, State
from core.settings import settings

#: Seconds between two heartbeats.
BEAT_S = 10.0
#: Seconds for which nothing is claimed after a cluster was away: doubled each time, up to the second figure.
PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0
#: Seconds that notices on their way have when the worker leaves.
_NOTICES_S = 3.0

_log = logging.getLogger(__name__)


@contextmanager
def _told_to_leave() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT has come. The handler only notes it: the loop leaves where that is safe."""
    told: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class _Task:
    """A job this worker holds."""

    job: Job
    run: Launched | None  #: None where it could not be started
    ended: Outcome | None = None  #: kept until the queue has it
    asked: bool = False  #: to finish with what it has


@dataclass
class _Worker:
    queue: Queue
    name: str
    launcher: Launcher
    poll_s: float
    silence_s: float
    notices: Notices
    claims: float = math.inf  #: how many more jobs it may ask for
    tasks: list[_Task] = field(default_factory=list)
    device: str | None = None
    beaten: float = -math.inf  #: monotonic time of the last heartbeat
    pause_s: float = 0.0
    paused_until: float = -math.inf
    complaint: str = ""

    def round(self) -> None:
        """Takes about poll_s seconds. The heartbeat comes first: a worker that was frozen does not rob itself."""
        with self._patience():
            self._beat()
        with self._patience():
            self._take_over()
        with self._patience():
            self._claim()
        for task in list(self.tasks):
            with self._patience():
                self._beat()
                self._watch(task, self.poll_s / len(self.tasks))
        if not self.tasks:
            time.sleep(self.poll_s)

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """A queue that cannot be written for a while ends no job: what was to be done is done in a later round."""
        try:
            yield
        except (QueueBusy, DiskFull, CannotWrite) as error:
            if str(error) != self.complaint:
                _log.warning("%s The worker goes on and tries again.", error)
                self.complaint = str(error)
            time.sleep(self.poll_s)

    def _beat(self, now: bool = False) -> None:
        """Heartbeats where they are due; what it computes on is told as soon as that changes."""
        found = self.launcher.device()
        if now or found != self.device or time.monotonic() - self.beaten >= BEAT_S:
            for job_id in tuple(task.job.id for task in self.tasks) or (None,):
                self.queue.beat(self.name, job_id, found)
            self.device, self.beaten = found, time.monotonic()

    def _take_over(self) -> None:
        for job in self.queue.requeue_stalled(self.silence_s):
            _log.warning("job %d fell silent and is %s", job.id, job.state)
            self._tell(job)

    def _claim(self) -> None:
        while len(self.tasks) < self.launcher.slots and self.claims and time.monotonic() >= self.paused_until:
            self.claims -= 1
            job = self.queue.claim(self.name)
            if job is None:
                return
            self._start(job)
            self._beat(now=True)

    def _start(self, job: Job) -> None:
        _log.info("job %d (%s) starts", job.id, job.title)
        try:
            self.tasks.append(_Task(job, self.launcher.start(job)))
            self.pause_s = 0.0
        except CannotStart as error:
            self.tasks.append(_Task(job, None, Outcome(State.FAILED, str(error))))
        except ClusterAway as error:
            _log.warning("%s", error)
            self.pause_s = min(max(2 * self.pause_s, PAUSE_S), LONGEST_PAUSE_S)
            self.paused_until = time.monotonic() + self.pause_s
            self._give_back(job, self.queue.release)

    def _watch(self, task: _Task, seconds: float) -> None:
        """Waits for the run's end, and does what was asked for in the meantime."""
        try:
            if task.run and not task.ended:
                task.ended = task.run.wait(seconds)
        except RunLost as error:
            _log.warning("%s", error)
            self._drop(task)
            self._give_back(task.job, self.queue.stall)
            return
        held = self.queue.held(task.job.id, self.name)
        if held is None or held.attempt != task.job.attempt:
            self._drop(task)  # it was silent for too long and another worker has the job: that one's word counts
            return
        if held.stop_requested and task.run and not task.ended:
            self._end_early(task, task.run, held.keep)
        if task.ended:
            self._finish(task, held, task.ended)

    def _end_early(self, task: _Task, run: Launched, keep: bool) -> None:
        if not keep:
            run.stop()
            task.ended = Outcome(State.STOPPED)
        elif not task.asked:
            run.finish()
            task.asked = True

    def _finish(self, task: _Task, held: Job, ended: Outcome) -> None:
        kept = held.stop_requested and held.keep and ended.state is State.DONE
        with suppress(LeaseLost):
            self._tell(self.queue.finish(held.id, self.name, State.STOPPED if kept else ended.state, ended.error))
        self.tasks.remove(task)
        self._beat(now=True)

    def _drop(self, task: _Task) -> None:
        self.tasks.remove(task)
        if task.run:
            task.run.leave()

    def _give_back(self, job: Job, how: Callable[[int, str], Job]) -> None:
        with suppress(LeaseLost):
            self._tell(how(job.id, self.name))

    def _tell(self, job: Job) -> None:
        _log.info("job %d is %s", job.id, job.state)
        if job.state.is_over:
            self.notices.send(job)

    def leave(self) -> None:
        """Puts back what it holds; what runs on this machine ends, what runs on a cluster goes on."""
        for task in list(self.tasks):
            with suppress(GroundplanError):
                self._watch(task, 0.0)  # it may just have ended
        for task in list(self.tasks):
            self._drop(task)
            with suppress(GroundplanError):
                self._give_back(task.job, self.queue.release)
        with suppress(GroundplanError):
            self.queue.sign_off(self.name)
        self.notices.wait(_NOTICES_S)


def work(
    queue: Queue,
    name: str | None = None,
    once: bool = False,
    poll_s: float = 0.5,
    silence_s: float = SILENCE_S,
    where: Launcher | None = None,
) -> None:
    """Runs jobs until SIGTERM or SIGINT; then what runs here is put back into the queue and its processes end.

    `name` must be this worker's alone (default: host and process number). `once`: one job at the most, without waiting
    for it to come. A job asked to stop ends within poll_s + GRACE_S seconds. Jobs of workers silent for `silence_s`
    seconds are taken over. `where` they run is what GROUNDPLAN_LAUNCHER names, unless said. Call it in the main
    thread, which is where signals arrive.
    """
    name = name or f"{socket.gethostname()}-{os.getpid()}"
    claims = 1 if once else math.inf
    with _told_to_leave() as leaving:
        worker = _Worker(queue, name, where or launcher(), poll_s, silence_s, Notices(settings().webhook), claims)
        try:
            while not leaving() and not (once and not worker.claims and not worker.tasks):
                worker.round()
        finally:
            worker.leave()
