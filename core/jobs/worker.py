"""A worker: claims jobs, has a launcher run them, watches them in one thread, until it is told to leave."""

import logging
import math
import os
import signal
import socket
import time
from collections import Counter
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
from core.jobs.launchers.base import Launched, Launcher, Outcome
from core.jobs.launchers.select import launcher
from core.jobs.queue import SILENCE_S, Job, Queue, State
from core.jobs.webhook import Notices
from core.settings import settings

#: Seconds between two heartbeats.
BEAT_S = 10.0
#: Seconds for which nothing is claimed after a job could not be started: doubled each time, up to the second figure.
PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0
#: A job that could not be started so often in a row fails.
MOST_REFUSALS = 3
#: A start that has lived for so many seconds is no part of a row of stalls: the earlier ones are forgiven.
GOOD_S = 3600.0
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
    forgiven_at: float = math.inf  #: monotonic time from which its earlier stalls do not count
    ended: Outcome | None = None  #: kept until the queue has it
    asked: bool = False  #: to finish with what it has
    stopping: bool = False  #: was told to end, and is stopped however it does


@dataclass
class _Worker:
    queue: Queue
    name: str
    launcher: Launcher
    poll_s: float
    silence_s: float
    notices: Notices
    leaving: Callable[[], bool]  #: whether this worker was told to leave
    claims: float = math.inf  #: how many more jobs it may ask for
    tasks: list[_Task] = field(default_factory=list)
    device: str | None = None
    beaten: float = -math.inf  #: monotonic time of the last heartbeat
    refusals: Counter[int] = field(default_factory=Counter)  #: how often in a row a job could not be started
    pause_s: float = 0.0
    paused_until: float = -math.inf
    holds_back_until: float = -math.inf  #: monotonic time before which it takes nothing over
    complaint: str = ""

    def round(self) -> None:
        """Takes about poll_s seconds. Without a heartbeat nothing is taken over: no worker robs itself."""
        with self._patience():
            self._beat()
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
            self.holds_back_until = time.monotonic() + BEAT_S  # others could not write either, and are to beat first
            time.sleep(self.poll_s)

    def _beat(self, now: bool = False) -> None:
        """Heartbeats where they are due; what it computes on is told as soon as that changes."""
        found = self.launcher.device()
        if now or found != self.device or time.monotonic() - self.beaten >= BEAT_S:
            for job_id in tuple(task.job.id for task in self.tasks) or (None,):
                self.queue.beat(self.name, job_id, found)
            self.device, self.beaten = found, time.monotonic()

    def _take_over(self) -> None:
        if time.monotonic() < self.holds_back_until:
            return
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
            run = self.launcher.start(job)
        except (CannotStart, ClusterAway) as error:
            _log.warning("%s", error)
            self._put_off(job, error)
            return
        del self.refusals[job.id]
        self.pause_s = 0.0
        self.tasks.append(_Task(job, run, time.monotonic() + (0.0 if run.taken_up else GOOD_S)))

    def _put_off(self, job: Job, error: CannotStart | ClusterAway) -> None:
        """What is wrong may be over in a minute; a job that cannot be started again and again fails."""
        self.refusals[job.id] += isinstance(error, CannotStart)
        if self.refusals[job.id] >= MOST_REFUSALS:
            del self.refusals[job.id]
            self.tasks.append(_Task(job, None, ended=Outcome(State.FAILED, str(error))))
            return
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
            # Whoever told this worker to leave has told the job's process, too: that is no mark against the job.
            self._give_back(task.job, self.queue.release if self.leaving() else self.queue.stall)
            return
        held = self.queue.held(task.job.id, self.name)
        if held is None or held.attempt != task.job.attempt:
            self._drop(task)  # it was silent for too long and another worker has the job: that one's word counts
            return
        if held.stalls and time.monotonic() >= task.forgiven_at:
            self.queue.forgive(held.id, self.name)
        if held.stop_requested and task.run and not task.ended:
            self._end_early(task, task.run, held.keep)
        if task.ended:
            self._finish(task, held, task.ended)

    def _end_early(self, task: _Task, run: Launched, keep: bool) -> None:
        if not keep and not task.stopping:
            run.stop()
            task.stopping = True
        elif keep and not task.asked:
            run.finish()
            task.asked = True

    def _finish(self, task: _Task, held: Job, ended: Outcome) -> None:
        kept = held.stop_requested and held.keep and ended.state is State.DONE
        if kept or task.stopping:
            ended = Outcome(State.STOPPED)
        with suppress(LeaseLost):
            self._tell(self.queue.finish(held.id, self.name, ended.state, ended.error))
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
        """Puts back what it holds; what runs on this machine ends, what runs on a cluster goes on where it may."""
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
        notices = Notices(settings().webhook)
        worker = _Worker(queue, name, where or launcher(), poll_s, silence_s, notices, leaving, claims)
        try:
            while not leaving() and not (once and not worker.claims and not worker.tasks):
                worker.round()
        finally:
            worker.leave()
