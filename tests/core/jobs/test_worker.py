import os
import signal
import threading
from functools import partial

import pytest

from core.jobs import worker
from core.jobs.folder import JobFolder
from core.jobs.local import launch
from core.jobs.store import Job, Queue, State
from core.jobs.worker import work
from tests.core.jobs import toys


@pytest.fixture(autouse=True)
def _known_device(monkeypatch):
    monkeypatch.setattr(worker, "Lookup", toys.NoLookup)


def _once(queue: Queue, launcher=toys.start) -> None:
    work(queue, "w", once=True, poll_s=0.05, launcher=launcher)


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
    assert queue.get(job.id).error.startswith("Training needs at least one labelled tile")


def test_a_job_that_cannot_start_fails_and_the_worker_goes_on(queue: Queue):
    job = queue.submit("greet", {})
    _once(queue, partial(launch, command=("/no/such/python",)))
    assert queue.get(job.id).state == State.FAILED
    assert "could not be started" in queue.get(job.id).error


def test_once_takes_one_job_and_does_not_wait_for_another(queue: Queue):
    jobs = [queue.submit("greet", {}) for _ in range(2)]
    _once(queue)
    assert [queue.get(job.id).state for job in jobs] == [State.DONE, State.QUEUED]
    queue.delete(jobs[1].id)
    _once(queue)


def test_a_worker_shows_its_device_and_its_job_and_signs_off(queue: Queue):
    seen = []

    def look(job: Job):
        seen.extend(queue.workers())
        return toys.start(job)

    job = queue.submit("greet", {})
    _once(queue, look)
    assert [(status.name, status.device, status.busy_with) for status in seen] == [("w", "CPU toy, 1 core", job.id)]
    assert queue.workers() == []


def test_jobs_of_a_silent_worker_are_taken_over(queue: Queue):
    job = queue.submit("greet", {})
    queue.claim("gone")
    work(queue, "w", once=True, silence_s=-1, launcher=toys.start)
    assert (queue.get(job.id).state, queue.get(job.id).worker) == (State.DONE, "w")


def test_a_worker_beats_while_its_job_runs(queue: Queue, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "BEAT_S", 0.01)
    job = queue.submit("linger", {"mark": str(tmp_path / "mark")})
    beats = set()

    def watch() -> None:
        toys.wait_for(lambda: beats.add(queue.get(job.id).heartbeat) or len(beats) > 4)
        queue.request_stop(job.id)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _once(queue)
    watcher.join()
    assert len(beats) > 4
    assert queue.get(job.id).state == State.STOPPED


def test_a_worker_that_lost_its_job_ends_it_and_leaves_it_to_the_other(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    job = queue.submit("linger", {"mark": str(mark)})

    def take_over() -> None:
        toys.wait_for(mark.exists)
        queue.requeue_stalled(-1)
        queue.claim("other")

    thief = threading.Thread(target=take_over)
    thief.start()
    _once(queue)
    thief.join()
    assert not toys.is_running(int(mark.read_text()))
    assert (queue.get(job.id).state, queue.get(job.id).worker) == (State.RUNNING, "other")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("stop", "state"), [(False, State.QUEUED), (True, State.STOPPED)])
def test_a_worker_told_to_leave_puts_its_job_back(queue: Queue, tmp_path, number, stop, state):
    mark = tmp_path / "mark"
    job = queue.submit("linger", {"mark": str(mark)})

    def tell() -> None:
        toys.wait_for(mark.exists)
        if stop:
            queue.request_stop(job.id)
        os.kill(os.getpid(), number)

    teller = threading.Thread(target=tell)
    teller.start()
    work(queue, "w", poll_s=0.05, launcher=toys.start)
    teller.join()
    assert queue.get(job.id).state == state
    assert not toys.is_running(int(mark.read_text()))
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
