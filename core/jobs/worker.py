"""Worker: claims jobs, runs them with a launcher and polls them in one thread, until SIGTERM or SIGINT."""

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
    ClusterUnreachable,
    DiskFull,
    GroundplanError,
    LeaseLost,
    QueueBusy,
    RunLost,
)
from core.jobs.launchers.base import JobResult, Launcher, RunningJob
from core.jobs.launchers.select import make_launcher
from core.jobs.queue import HEARTBEAT_TIMEOUT_S, Job, Queue, State
from core.jobs.webhook import WebhookNotifier
from core.settings import settings

#: Interval between two heartbeats [s].
HEARTBEAT_S = 10.0
#: Pause between claims after a start failure [s]: initial (doubled each time) and maximum.
BACKOFF_S, MAX_BACKOFF_S = 5.0, 60.0
#: Consecutive start failures after which a job fails.
MAX_START_FAILURES = 3
#: Run time after which an attempt counts as stable and the losses of earlier attempts are reset [s].
STABLE_S = 3600.0
#: Maximum wait for pending webhook notifications at shutdown [s].
_WEBHOOK_WAIT_S = 3.0

_log = logging.getLogger(__name__)


@contextmanager
def _stop_signal() -> Iterator[Callable[[], bool]]:
    """Yield a check for SIGTERM or SIGINT. The handler only records the signal; the loop ends at a safe point."""
    signals: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(signals)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class _Task:
    """Job leased to this worker."""

    job: Job
    run: RunningJob | None  #: None if it could not be started
    stable_at: float = math.inf  #: monotonic time at which its losses are reset
    result: JobResult | None = None  #: kept until the queue has recorded it
    finish_requested: bool = False  #: an early finish that keeps the results
    stopping: bool = False  #: stop requested; its final state is stopped, whatever its result


@dataclass
class _Worker:
    queue: Queue
    name: str
    launcher: Launcher
    poll_s: float
    heartbeat_timeout_s: float
    webhook: WebhookNotifier
    stop_requested: Callable[[], bool]  #: whether SIGTERM or SIGINT has arrived
    claims_left: float = math.inf  #: number of further claims
    tasks: list[_Task] = field(default_factory=list)
    device: str | None = None
    last_heartbeat: float = -math.inf  #: monotonic time of the last heartbeat
    start_failures: Counter[int] = field(default_factory=Counter)  #: consecutive start failures by job ID
    pause_s: float = 0.0
    paused_until: float = -math.inf
    requeue_after: float = -math.inf  #: monotonic time before which no lost job of another worker is requeued
    last_warning: str = ""

    def poll(self) -> None:
        """Send heartbeats, requeue lost jobs, claim and poll jobs; takes about poll_s seconds.

        Lost jobs are requeued only after the own heartbeat, so a worker never requeues its own jobs.
        """
        with self._tolerate_queue_errors():
            self._send_heartbeats()
            self._requeue_lost()
        with self._tolerate_queue_errors():
            self._claim()
        for task in list(self.tasks):
            with self._tolerate_queue_errors():
                self._send_heartbeats()
                self._watch(task, self.poll_s / len(self.tasks))
        if not self.tasks:
            time.sleep(self.poll_s)

    @contextmanager
    def _tolerate_queue_errors(self) -> Iterator[None]:
        """Tolerate a queue that cannot be written: running jobs continue, and the next poll tries again."""
        try:
            yield
        except (QueueBusy, DiskFull, CannotWrite) as error:
            if str(error) != self.last_warning:
                _log.warning("%s The worker continues and tries again.", error)
                self.last_warning = str(error)
            # Other workers could not write either; they get time for a heartbeat before their jobs count as lost.
            self.requeue_after = time.monotonic() + HEARTBEAT_S
            time.sleep(self.poll_s)

    def _send_heartbeats(self, now: bool = False) -> None:
        """Send heartbeats that are due, and at once when the device changes."""
        device = self.launcher.device()
        if now or device != self.device or time.monotonic() - self.last_heartbeat >= HEARTBEAT_S:
            for job_id in tuple(task.job.id for task in self.tasks) or (None,):
                self.queue.heartbeat(self.name, job_id, device)
            self.device, self.last_heartbeat = device, time.monotonic()

    def _requeue_lost(self) -> None:
        if time.monotonic() < self.requeue_after:
            return
        for job in self.queue.requeue_lost(self.heartbeat_timeout_s):
            _log.warning("job %d missed its heartbeat and is %s", job.id, job.state)
            self._notify(job)

    def _claim(self) -> None:
        while len(self.tasks) < self.launcher.slots and self.claims_left and time.monotonic() >= self.paused_until:
            self.claims_left -= 1
            job = self.queue.claim(self.name)
            if job is None:
                return
            self._start(job)
            self._send_heartbeats(now=True)

    def _start(self, job: Job) -> None:
        _log.info("job %d (%s) started", job.id, job.title)
        try:
            run = self.launcher.start(job)
        except (CannotStart, ClusterUnreachable) as error:
            _log.warning("%s", error)
            self._postpone(job, error)
            return
        del self.start_failures[job.id]
        self.pause_s = 0.0
        self.tasks.append(_Task(job, run, time.monotonic() + (0.0 if run.reattached else STABLE_S)))

    def _postpone(self, job: Job, error: CannotStart | ClusterUnreachable) -> None:
        """Requeue a job after a temporary problem; a job that can never be started fails."""
        self.start_failures[job.id] += isinstance(error, CannotStart)
        if self.start_failures[job.id] >= MAX_START_FAILURES:
            del self.start_failures[job.id]
            self.tasks.append(_Task(job, None, result=JobResult(State.FAILED, str(error))))
            return
        self.pause_s = min(max(2 * self.pause_s, BACKOFF_S), MAX_BACKOFF_S)
        self.paused_until = time.monotonic() + self.pause_s
        self._requeue(job, self.queue.release)

    def _watch(self, task: _Task, seconds: float) -> None:
        """Wait for the end of the run; forward a requested stop or finish, and record the result."""
        try:
            if task.run and not task.result:
                task.result = task.run.wait(seconds)
        except RunLost as error:
            _log.warning("%s", error)
            self._drop(task)
            # At shutdown the system signals the job's process, too: that does not count as a loss of the job.
            self._requeue(task.job, self.queue.release if self.stop_requested() else self.queue.mark_lost)
            return
        held = self.queue.held_job(task.job.id, self.name)
        if held is None or held.attempt != task.job.attempt:
            self._drop(task)  # the lease expired by heartbeat timeout, and the job was requeued
            return
        if held.losses and time.monotonic() >= task.stable_at:
            self.queue.reset_losses(held.id, self.name)
        if held.stop_requested and task.run and not task.result:
            self._forward_stop(task, task.run, held.keep)
        if task.result:
            self._finish(task, held, task.result)

    def _forward_stop(self, task: _Task, run: RunningJob, keep: bool) -> None:
        if not keep and not task.stopping:
            run.stop()
            task.stopping = True
        elif keep and not task.finish_requested:
            run.finish()
            task.finish_requested = True

    def _finish(self, task: _Task, held: Job, result: JobResult) -> None:
        finished_early = held.stop_requested and held.keep and result.state is State.DONE
        if finished_early or task.stopping:
            result = JobResult(State.STOPPED)
        with suppress(LeaseLost):
            self._notify(self.queue.finish(held.id, self.name, result.state, result.error))
        self.tasks.remove(task)
        self._send_heartbeats(now=True)

    def _drop(self, task: _Task) -> None:
        self.tasks.remove(task)
        if task.run:
            task.run.detach()

    def _requeue(self, job: Job, requeue: Callable[[int, str], Job]) -> None:
        with suppress(LeaseLost):
            self._notify(requeue(job.id, self.name))

    def _notify(self, job: Job) -> None:
        _log.info("job %d is %s", job.id, job.state)
        if job.state.is_over:
            self.webhook.send(job)

    def shut_down(self) -> None:
        """Release all leased jobs: local processes end, Ray jobs keep running and are reattached later."""
        for task in list(self.tasks):
            with suppress(GroundplanError):
                self._watch(task, 0.0)  # records a job that has just ended
        for task in list(self.tasks):
            self._drop(task)
            with suppress(GroundplanError):
                self._requeue(task.job, self.queue.release)
        with suppress(GroundplanError):
            self.queue.remove_worker(self.name)
        self.webhook.wait(_WEBHOOK_WAIT_S)


def work(
    queue: Queue,
    name: str | None = None,
    once: bool = False,
    poll_s: float = 0.5,
    heartbeat_timeout_s: float = HEARTBEAT_TIMEOUT_S,
    launcher: Launcher | None = None,
) -> None:
    """Run jobs until SIGTERM or SIGINT; then requeue what runs on this machine and end its processes.

    Call it in the main thread, where signals arrive. A job asked to stop ends within poll_s + GRACE_S seconds.

    Args:
        queue: The job queue.
        name: Unique name of the worker; by default host and process number.
        once: Whether to end after one job, or at once with an empty queue.
        poll_s: Interval between two polls of the queue [s].
        heartbeat_timeout_s: Heartbeat timeout after which jobs of other workers are requeued [s].
        launcher: Runs the jobs; by default the one of GROUNDPLAN_LAUNCHER.
    """
    name = name or f"{socket.gethostname()}-{os.getpid()}"
    claims = 1 if once else math.inf
    with _stop_signal() as stop_requested:
        webhook = WebhookNotifier(settings().webhook)
        launcher = launcher or make_launcher()
        worker = _Worker(queue, name, launcher, poll_s, heartbeat_timeout_s, webhook, stop_requested, claims)
        try:
            while not stop_requested() and not (once and not worker.claims_left and not worker.tasks):
                worker.poll()
        finally:
            worker.shut_down()
