"""A worker: claims one job after another and runs each in a process of its own, until it is told to leave."""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TypeAlias

from core.errors import CannotStart, LeaseLost
from core.jobs.device import Lookup
from core.jobs.local import LocalRun, Outcome, launch
from core.jobs.store import SILENCE_S, Job, Queue, State

#: Seconds between two heartbeats.
BEAT_S = 5.0

#: Starts a job somewhere; tests and clusters have their own.
Launcher: TypeAlias = Callable[[Job], LocalRun]

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
class _Worker:
    queue: Queue
    name: str
    launcher: Launcher
    poll_s: float
    lookup: Lookup
    leaving: Callable[[], bool]
    device: str | None = None
    beaten: float = float("-inf")  #: monotonic time of the last heartbeat

    def beat(self, job: Job | None) -> None:
        """A heartbeat where one is due; the device is told as soon as it is known."""
        found = None if self.device else self.lookup.answer()
        self.device = self.device or found
        if found or time.monotonic() - self.beaten >= BEAT_S:
            self.queue.beat(self.name, job.id if job else None, self.device)
            self.beaten = time.monotonic()

    def beat_now(self, job: Job | None) -> None:
        """A heartbeat that says at once what the worker is busy with."""
        self.beaten = float("-inf")
        self.beat(job)

    def do(self, job: Job) -> None:
        """Runs one job to its end, whatever that is."""
        _log.info("job %d (%s) starts", job.id, job.title)
        self.beat_now(job)
        try:
            with self.launcher(job) as run:
                ended = self._watch(job, run)
        except CannotStart as error:
            ended = Outcome(State.FAILED, str(error))
        with suppress(LeaseLost):  # it fell silent for too long, and another worker has the job: that one's word counts
            if ended is None:
                self.queue.release(job.id, self.name)
            else:
                self.queue.finish(job.id, self.name, ended.state, ended.error)
        _log.info("job %d is %s", job.id, ended.state if ended else "put back")
        self.beat_now(None)

    def _watch(self, job: Job, run: LocalRun) -> Outcome | None:
        """Waits for the run's end. None: this worker is to leave, or no longer holds the job."""
        while (ended := run.wait(self.poll_s)) is None:
            self.beat(job)
            held = self.queue.held(job.id, self.name)
            if held is None or self.leaving():
                return None
            if held.stop_requested:
                return Outcome(State.STOPPED)
        return ended


def work(
    queue: Queue,
    name: str | None = None,
    once: bool = False,
    poll_s: float = 0.5,
    silence_s: float = SILENCE_S,
    launcher: Launcher = launch,
) -> None:
    """Runs jobs until SIGTERM or SIGINT; then the running job is put back into the queue and its processes end.

    `name` must be this worker's alone (default: host and process number). `once`: one job at the most, without waiting
    for it to come. A job asked to stop ends within poll_s + GRACE_S seconds. Jobs of workers silent for `silence_s`
    seconds are taken over. Call it in the main thread, which is where signals arrive.
    """
    name = name or f"{socket.gethostname()}-{os.getpid()}"
    with _told_to_leave() as leaving, Lookup() as lookup:
        worker = _Worker(queue, name, launcher, poll_s, lookup, leaving)
        try:
            while not leaving():
                worker.beat(None)
                queue.requeue_stalled(silence_s)
                job = queue.claim(name)
                if job:
                    worker.do(job)
                if once:
                    break
                if not job:
                    time.sleep(poll_s)
        finally:
            queue.sign_off(name)
