import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from core.errors import CannotStart, ClusterUnreachable, DiskFull, QueueBusy, RunLost
from core.jobs import process, worker
from core.jobs import queue as store
from core.jobs.folder import JobFolder
from core.jobs.launchers.base import JobResult
from core.jobs.queue import Job, Queue, State
from core.jobs.worker import HEARTBEAT_S, work
from tests.core.jobs import fake_tasks


def _once(queue: Queue, where=None) -> None:
    work(queue, "w", once=True, poll_s=0.05, launcher=where or fake_tasks.local())


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Somebody else, at the same time; whatever happens to them happens to the test."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001  a failed assertion, too
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()
    assert failures == []


def claim_and_vanish(queue: Queue, monkeypatch) -> None:
    """The first job belongs to a worker of before the machine was switched off."""
    with monkeypatch.context() as before:
        before.setattr(process, "boot_id", lambda: "another boot")
        queue.claim("gone")


def leave() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_job_runs_to_its_end(queue: Queue):
    job = queue.submit("greet", {"whom": "world"})
    _once(queue)
    over = queue.get(job.id)
    assert (over.state, over.error, over.worker) == (State.DONE, None, "w")
    assert over.started <= over.finished
    folder = JobFolder.of(job.id)
    assert folder.tail() == ["hello world"]
    assert (folder.progress().share, folder.progress().doing) == (1, "greeted")


def test_a_job_that_fails_says_why(queue: Queue):
    job = queue.submit("refuse", {})
    _once(queue)
    assert queue.get(job.id).state == State.FAILED
    assert queue.get(job.id).error.startswith("Training needs at least one labeled tile")


def test_a_job_that_cannot_start_fails_the_third_time_and_the_worker_goes_on(queue: Queue, monkeypatch):
    monkeypatch.setattr(worker, "BACKOFF_S", 0.05)
    job = queue.submit("greet", {})

    def wait() -> None:
        fake_tasks.reached(queue, job, State.FAILED)
        leave()

    with meanwhile(wait):
        work(queue, "w", poll_s=0.05, launcher=fake_tasks.local(("/no/such/python",)))
    assert queue.get(job.id).attempt == 3
    assert "could not be started" in queue.get(job.id).error


def test_a_job_that_cannot_start_for_now_waits_without_a_mark_against_it(queue: Queue):
    job = queue.submit("greet", {})
    _once(queue, fake_tasks.local(("/no/such/python",)))
    assert (queue.get(job.id).state, queue.get(job.id).losses) == (State.QUEUED, 0)


def test_once_takes_one_job_and_does_not_wait_for_another(queue: Queue):
    jobs = [queue.submit("greet", {}) for _ in range(2)]
    _once(queue)
    assert [queue.get(job.id).state for job in jobs] == [State.DONE, State.QUEUED]
    queue.delete(jobs[1].id)
    _once(queue)


def test_a_worker_shows_its_device_and_its_job_and_signs_off(queue: Queue, tmp_path):
    job = queue.submit("linger", {"mark": str(tmp_path / "mark")})

    def look() -> None:
        fake_tasks.wait_for(lambda: [status.busy_with for status in queue.workers()] == [job.id])
        assert [(status.name, status.device) for status in queue.workers()] == [("w", "CPU toy, 1 core")]
        queue.request_stop(job.id)

    with meanwhile(look):
        _once(queue)
    assert queue.workers() == []


def test_jobs_of_a_silent_worker_are_taken_over(queue: Queue, monkeypatch):
    job = queue.submit("greet", {})
    claim_and_vanish(queue, monkeypatch)
    _once(queue)
    assert (queue.get(job.id).state, queue.get(job.id).worker, queue.get(job.id).attempt) == (State.DONE, "w", 2)


def test_a_worker_beats_while_its_job_runs(queue: Queue, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "HEARTBEAT_S", 0.01)
    job = queue.submit("linger", {"mark": str(tmp_path / "mark")})
    beats = set()

    def watch() -> None:
        fake_tasks.wait_for(lambda: beats.add(queue.get(job.id).heartbeat) or len(beats) > 4)
        queue.request_stop(job.id)

    with meanwhile(watch):
        _once(queue)
    assert len(beats) > 4
    assert queue.get(job.id).state == State.STOPPED


def test_one_heartbeat_may_fail_before_a_worker_counts_as_silent():
    assert 2 * HEARTBEAT_S < store.HEARTBEAT_TIMEOUT_S < 30


def test_a_worker_that_lost_its_job_ends_it_and_leaves_it_to_the_other(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    job = queue.submit("linger", {"mark": str(mark)})

    def take_over() -> None:
        fake_tasks.wait_for(mark.exists)
        queue.requeue_lost(-1)
        queue.claim("other")

    with meanwhile(take_over):
        _once(queue)
    assert not fake_tasks.is_running(int(mark.read_text()))
    assert (queue.get(job.id).state, queue.get(job.id).worker) == (State.RUNNING, "other")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("stop", "state"), [(False, State.QUEUED), (True, State.STOPPED)])
def test_a_worker_told_to_leave_puts_its_job_back(queue: Queue, tmp_path, number, stop, state):
    mark = tmp_path / "mark"
    job = queue.submit("linger", {"mark": str(mark)})

    def tell() -> None:
        fake_tasks.wait_for(mark.exists)
        if stop:
            queue.request_stop(job.id)
        os.kill(os.getpid(), number)

    with meanwhile(tell):
        work(queue, "w", poll_s=0.05, launcher=fake_tasks.local())
    assert queue.get(job.id).state == state
    assert not fake_tasks.is_running(int(mark.read_text()))
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


@pytest.mark.parametrize(("both", "stalls"), [(True, 0), (False, 1)])
def test_a_process_that_somebody_told_to_end_is_put_back_and_a_leaving_worker_s_is_no_stall(
    queue: Queue, tmp_path, both, stalls
):
    mark = tmp_path / "mark"
    job = queue.submit("linger", {"mark": str(mark)})

    def tell() -> None:
        child = int(fake_tasks.wait_for(lambda: mark.exists() and mark.read_text()))
        if both:
            leave()
        os.kill(child, signal.SIGTERM)

    with meanwhile(tell):
        work(queue, "w", once=True, poll_s=2, launcher=fake_tasks.local())  # the process ends before the next poll
    found = queue.get(job.id)
    assert (found.state, found.error, found.losses) == (State.QUEUED, None, stalls)


# Stops that keep what there is


def test_a_job_that_ends_well_after_a_keeping_stop_is_stopped(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    job = queue.submit("keep", {"mark": str(mark)})

    def stop() -> None:
        fake_tasks.wait_for(mark.exists)
        queue.request_stop(job.id, keep=True)

    with meanwhile(stop):
        _once(queue)
    assert (queue.get(job.id).state, queue.get(job.id).error) == (State.STOPPED, None)
    assert mark.read_text() == "kept"


def test_a_plain_stop_after_a_keeping_one_ends_the_job_at_once(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    job = queue.submit("linger", {"mark": str(mark)})  # it hears no wish to finish

    def stop() -> None:
        fake_tasks.wait_for(mark.exists)
        queue.request_stop(job.id, keep=True)
        fake_tasks.wait_for(JobFolder.of(job.id).finish_requested)
        assert fake_tasks.is_running(int(mark.read_text()))
        queue.request_stop(job.id)

    with meanwhile(stop):
        _once(queue)
    assert queue.get(job.id).state == State.STOPPED


def test_an_interrupted_job_is_started_once_more_to_keep_what_it_has(queue: Queue, tmp_path, monkeypatch):
    mark = tmp_path / "mark"
    job = queue.submit("keep", {"mark": str(mark)})
    claim_and_vanish(queue, monkeypatch)
    queue.request_stop(job.id, keep=True)
    _once(queue)
    assert (queue.get(job.id).state, mark.read_text()) == (State.STOPPED, "kept")


# Launchers of other kinds


@dataclass
class Errand:
    """A run that ends when it is told to."""

    job: Job
    happened: list[str] = field(default_factory=list)
    outcome: JobResult | None = None
    lost: bool = False
    reattached: bool = False

    def wait(self, seconds: float) -> JobResult | None:
        time.sleep(seconds)
        if self.lost:
            raise RunLost(job=self.job.id, detail="the head died")
        return self.outcome

    def finish(self) -> None:
        self.happened.append("finish")

    def stop(self) -> None:
        self.happened.append("stop")

    def detach(self) -> None:
        self.happened.append("detach")


@dataclass
class Cluster:
    """Three places; its runs are kept by the job's number."""

    slots: int = 3
    runs: dict[int, Errand] = field(default_factory=dict)
    away: bool = False
    takes_up: bool = False
    asked: int = 0

    def start(self, job: Job) -> Errand:
        self.asked += 1
        if self.away:
            raise ClusterUnreachable(address="http://cluster", detail="no route")
        self.runs[job.id] = Errand(job, reattached=self.takes_up)
        return self.runs[job.id]

    def device(self) -> str | None:
        return "Cluster does not answer" if self.away else "Cluster"


def test_as_many_jobs_run_at_once_as_there_are_places(queue: Queue):
    cluster = Cluster()
    jobs = [queue.submit("greet", {}) for _ in range(5)]

    def look() -> None:
        fake_tasks.wait_for(lambda: queue.count(State.RUNNING) == 3)
        cluster.runs[jobs[1].id].outcome = JobResult(State.FAILED, "It failed.")
        fake_tasks.wait_for(lambda: jobs[3].id in cluster.runs)
        assert queue.get(jobs[1].id).error == "It failed."
        leave()

    with meanwhile(look):
        work(queue, "w", poll_s=0.05, launcher=cluster)
    assert [queue.get(job.id).state for job in jobs] == ["queued", "failed", "queued", "queued", "queued"]
    assert [cluster.runs[jobs[n].id].happened for n in (0, 2, 3)] == [["detach"]] * 3


def test_all_jobs_of_a_worker_live_by_its_heartbeat(queue: Queue, monkeypatch):
    monkeypatch.setattr(worker, "HEARTBEAT_S", 0.05)
    jobs = [queue.submit("greet", {}) for _ in range(3)]

    def look() -> None:
        fake_tasks.wait_for(lambda: queue.count(State.RUNNING) == 3)
        before = [queue.get(job.id).heartbeat for job in jobs]
        fake_tasks.wait_for(
            lambda: all(queue.get(job.id).heartbeat > beat for job, beat in zip(jobs, before, strict=True))
        )
        leave()

    with meanwhile(look):
        work(queue, "w", poll_s=0.05, launcher=Cluster())


def test_a_run_that_is_lost_starts_again_and_counts_as_a_stall(queue: Queue):
    cluster, job = Cluster(), queue.submit("greet", {})

    def look() -> None:
        fake_tasks.wait_for(lambda: job.id in cluster.runs)
        first = cluster.runs[job.id]
        first.lost = True
        fake_tasks.wait_for(lambda: cluster.runs[job.id] is not first)
        cluster.runs[job.id].outcome = JobResult(State.DONE)
        fake_tasks.reached(queue, job, State.DONE)
        leave()

    with meanwhile(look):
        work(queue, "w", poll_s=0.05, launcher=cluster)
    assert (queue.get(job.id).losses, queue.get(job.id).attempt) == (1, 2)


@pytest.mark.parametrize(("takes_up", "good_s"), [(True, 3600), (False, 0.2)])
def test_a_run_that_was_taken_up_or_has_lived_long_is_forgiven_its_earlier_stalls(
    queue: Queue, monkeypatch, takes_up, good_s
):
    monkeypatch.setattr(worker, "STABLE_S", good_s)
    cluster, job = Cluster(takes_up=takes_up), queue.submit("greet", {})
    for _ in range(store.MAX_LOSSES - 1):
        queue.claim("gone")
        queue.mark_lost(job.id, "gone")

    def look() -> None:
        fake_tasks.wait_for(lambda: job.id in cluster.runs)
        fake_tasks.wait_for(lambda: queue.get(job.id).losses == 0)
        cluster.runs[job.id].lost = True

    with meanwhile(look):
        work(queue, "w", once=True, poll_s=0.05, launcher=cluster)
    assert (queue.get(job.id).state, queue.get(job.id).losses) == (State.QUEUED, 1)


def test_a_run_that_has_not_lived_long_is_not_forgiven_its_earlier_stalls(queue: Queue):
    cluster, job = Cluster(), queue.submit("greet", {})
    queue.claim("gone")
    queue.mark_lost(job.id, "gone")

    def look() -> None:
        run = fake_tasks.wait_for(lambda: cluster.runs.get(job.id))
        time.sleep(0.3)
        run.lost = True

    with meanwhile(look):
        work(queue, "w", once=True, poll_s=0.05, launcher=cluster)
    assert queue.get(job.id).losses == 2


@pytest.mark.parametrize(
    "own", [JobResult(State.FAILED, "It was ended."), JobResult(State.DONE), JobResult(State.STOPPED)]
)
def test_a_stop_is_sent_once_and_then_the_job_is_stopped_however_its_run_ends(queue: Queue, own):
    cluster, job = Cluster(), queue.submit("greet", {})

    def stop() -> None:
        run = fake_tasks.wait_for(lambda: cluster.runs.get(job.id))
        queue.request_stop(job.id)
        fake_tasks.wait_for(lambda: run.happened)
        time.sleep(0.3)  # several polls
        assert (queue.get(job.id).state, run.happened) == (State.RUNNING, ["stop"])
        run.outcome = own

    with meanwhile(stop):
        work(queue, "w", once=True, poll_s=0.05, launcher=cluster)
    assert (queue.get(job.id).state, queue.get(job.id).error) == (State.STOPPED, None)


def test_a_worker_that_leaves_in_the_middle_of_a_stop_leaves_a_stopped_job(queue: Queue):
    cluster, job = Cluster(), queue.submit("greet", {})

    def stop() -> None:
        run = fake_tasks.wait_for(lambda: cluster.runs.get(job.id))
        queue.request_stop(job.id)
        fake_tasks.wait_for(lambda: run.happened)
        leave()

    with meanwhile(stop):
        work(queue, "w", poll_s=0.05, launcher=cluster)
    assert (queue.get(job.id).state, cluster.runs[job.id].happened) == (State.STOPPED, ["stop", "detach"])


def test_jobs_wait_for_a_cluster_that_is_away_without_a_mark_against_them(queue: Queue, monkeypatch):
    monkeypatch.setattr(worker, "BACKOFF_S", 0.3)
    cluster, job = Cluster(away=True), queue.submit("greet", {})

    def look() -> None:
        fake_tasks.wait_for(lambda: [status.device for status in queue.workers()] == ["Cluster does not answer"])
        fake_tasks.wait_for(lambda: cluster.asked)
        time.sleep(0.2)  # several polls, all within the pause
        assert cluster.asked == 1
        assert (queue.get(job.id).state, queue.get(job.id).losses) == (State.QUEUED, 0)
        cluster.away = False
        fake_tasks.wait_for(lambda: job.id in cluster.runs)
        fake_tasks.wait_for(lambda: [status.device for status in queue.workers()] == ["Cluster"])
        leave()

    with meanwhile(look):
        work(queue, "w", poll_s=0.02, launcher=cluster)


def test_a_worker_that_lost_its_lease_leaves_a_cluster_s_run_to_whoever_has_it(queue: Queue):
    cluster, job = Cluster(), queue.submit("greet", {})

    def take_over() -> None:
        fake_tasks.wait_for(lambda: job.id in cluster.runs)
        queue.requeue_lost(-1)
        queue.claim("other")
        fake_tasks.wait_for(lambda: cluster.runs[job.id].happened == ["detach"])
        leave()

    with meanwhile(take_over):
        work(queue, "w", poll_s=0.05, launcher=cluster)
    assert queue.get(job.id).worker == "other"


def test_a_second_start_by_the_same_worker_is_not_taken_for_the_first(queue: Queue):
    cluster, job = Cluster(), queue.submit("greet", {})

    def take_back() -> None:
        fake_tasks.wait_for(lambda: job.id in cluster.runs)
        first = cluster.runs[job.id]
        queue.requeue_lost(-1)
        fake_tasks.wait_for(lambda: cluster.runs[job.id] is not first)
        fake_tasks.wait_for(lambda: first.happened == ["detach"])
        assert cluster.runs[job.id].happened == []
        leave()

    with meanwhile(take_back):
        work(queue, "w", poll_s=0.05, launcher=cluster)


# A queue that cannot be written for a while


@pytest.mark.parametrize("error", [DiskFull(name="jobs.sqlite"), QueueBusy(name="jobs.sqlite")])
@pytest.mark.parametrize("call", ["heartbeat", "requeue_lost", "claim", "held_job", "finish"])
def test_a_queue_that_fails_for_a_while_costs_no_job(queue: Queue, monkeypatch, tmp_path, call, error):
    usual, failures = getattr(Queue, call), iter([error] * 3)

    def fail_first(*arguments, **named):
        for failure in failures:
            raise failure
        return usual(*arguments, **named)

    monkeypatch.setattr(Queue, call, fail_first)
    job = queue.submit("greet", {})

    def wait() -> None:
        fake_tasks.reached(queue, job, State.DONE)
        leave()

    with meanwhile(wait):
        work(queue, "w", poll_s=0.05, launcher=fake_tasks.local())
    assert queue.get(job.id).attempt == 1


@pytest.fixture
def outage(monkeypatch) -> threading.Event:
    """While it is set, nobody's heartbeat can be written."""
    lasts, usual = threading.Event(), Queue.heartbeat

    def beat(*arguments, **named) -> None:
        if lasts.is_set():
            raise DiskFull(name="jobs.sqlite")
        usual(*arguments, **named)

    monkeypatch.setattr(worker, "HEARTBEAT_S", 0.8)
    monkeypatch.setattr(Queue, "heartbeat", beat)
    return lasts


def test_after_an_outage_of_the_queue_a_worker_does_not_rob_itself(queue: Queue, outage, monkeypatch):
    monkeypatch.setattr(worker, "HEARTBEAT_S", 0.01)  # others get no time, so nothing but its own heartbeat protects it
    cluster, job = Cluster(), queue.submit("greet", {})

    def live_through() -> None:
        fake_tasks.wait_for(lambda: job.id in cluster.runs)
        outage.set()
        time.sleep(1.5)  # longer than its silence may last
        outage.clear()
        time.sleep(1.0)
        leave()

    with meanwhile(live_through):
        work(queue, "w", poll_s=0.05, heartbeat_timeout_s=1.0, launcher=cluster)
    assert (queue.get(job.id).attempt, queue.get(job.id).losses) == (1, 0)


def test_after_an_outage_of_the_queue_others_may_beat_before_anything_is_taken_over(queue: Queue, outage):
    job = queue.submit("greet", {})
    queue.claim("other")

    def live_through() -> None:
        outage.set()
        time.sleep(1.2)
        outage.clear()
        time.sleep(0.4)
        queue.heartbeat("other", job.id)  # it is a little slower
        time.sleep(0.6)
        assert (queue.get(job.id).worker, queue.get(job.id).losses) == ("other", 0)
        fake_tasks.wait_for(lambda: queue.get(job.id).losses == 1)  # then it falls silent
        leave()

    with meanwhile(live_through):
        work(queue, "w", poll_s=0.05, heartbeat_timeout_s=1.0, launcher=Cluster(slots=0))


def test_a_wish_to_finish_that_cannot_be_written_is_written_later(queue: Queue, monkeypatch, tmp_path):
    mark, failures = tmp_path / "mark", iter([DiskFull(name="finish")])
    usual = JobFolder.request_finish

    def fail_first(folder: JobFolder) -> None:
        for failure in failures:
            raise failure
        usual(folder)

    monkeypatch.setattr(JobFolder, "request_finish", fail_first)
    job = queue.submit("keep", {"mark": str(mark)})

    def stop() -> None:
        fake_tasks.wait_for(mark.exists)
        queue.request_stop(job.id, keep=True)

    with meanwhile(stop):
        _once(queue)
    assert (queue.get(job.id).state, mark.read_text()) == (State.STOPPED, "kept")


# Notices


@pytest.fixture
def told(monkeypatch) -> list[tuple[int, State]]:
    found: list[tuple[int, State]] = []
    monkeypatch.setattr(worker.WebhookNotifier, "send", lambda _notices, job: found.append((job.id, job.state)))
    return found


def test_whoever_waits_is_told_of_each_end(queue: Queue, told):
    done, failed = queue.submit("greet", {}), queue.submit("refuse", {})
    for _ in range(2):
        _once(queue)
    assert told == [(done.id, State.DONE), (failed.id, State.FAILED)]


def test_a_job_that_failed_by_silence_is_told_too(queue: Queue, told, monkeypatch):
    monkeypatch.setattr(store, "MAX_LOSSES", 1)
    job = queue.submit("greet", {})
    claim_and_vanish(queue, monkeypatch)
    _once(queue)
    assert told == [(job.id, State.FAILED)]


def test_a_job_that_is_put_back_is_no_news(queue: Queue, told):
    queue.submit("greet", {})
    _once(queue, Cluster(away=True))
    assert told == []


@dataclass
class Choosy(Cluster):
    """Refuses a job as often as it is told to, then takes it."""

    refusals: int = 99

    def start(self, job: Job) -> Errand:
        if self.refusals:
            self.refusals -= 1
            raise CannotStart(job=job.id, detail="no such task there")
        return super().start(job)


def test_a_cluster_may_refuse_a_job(queue: Queue, monkeypatch):
    monkeypatch.setattr(worker, "BACKOFF_S", 0.05)
    job = queue.submit("greet", {})

    def wait() -> None:
        fake_tasks.reached(queue, job, State.FAILED)
        leave()

    with meanwhile(wait):
        work(queue, "w", poll_s=0.05, launcher=Choosy())
    assert queue.get(job.id).error == str(CannotStart(job=job.id, detail="no such task there"))


def test_only_refusals_in_a_row_make_a_job_fail(queue: Queue, monkeypatch):
    monkeypatch.setattr(worker, "BACKOFF_S", 0.05)
    cluster, job = Choosy(refusals=2), queue.submit("greet", {})

    def look() -> None:
        first = fake_tasks.wait_for(lambda: cluster.runs.get(job.id))
        cluster.refusals, first.lost = 2, True
        fake_tasks.wait_for(lambda: cluster.runs[job.id] is not first)
        cluster.runs[job.id].outcome = JobResult(State.DONE)
        fake_tasks.reached(queue, job, State.DONE)
        leave()

    with meanwhile(look):
        work(queue, "w", poll_s=0.05, launcher=cluster)
    assert queue.get(job.id).attempt == 6
