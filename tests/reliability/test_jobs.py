"""Real workers, real signals: no job is lost, run twice or left running."""

import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, Popen, run

import pytest

from core.cli.jobs import NO_WORKER
from core.jobs.launchers.exit_status import KILLED
from core.jobs.launchers.local import ROOT
from core.jobs.queue import HEARTBEAT_TIMEOUT_S, Job, Queue, State
from tests.core.jobs.fake_tasks import is_running, reached, real_worker, running_in, wait_for, worker_process

CLAIMER = """
import sys
from pathlib import Path
from core.jobs.queue import Queue, State
queue, name = Queue(Path(sys.argv[1])), sys.argv[2]
while job := queue.claim(name):
    print(job.id)
    queue.finish(job.id, name, State.DONE)
"""

SUBMITTER = """
import sys
from pathlib import Path
from core.jobs.queue import Queue
Queue(Path(sys.argv[1])).submit("greet", {})
"""


@pytest.fixture
def worker(queue: Queue) -> Iterator[Popen[bytes]]:
    with worker_process() as process:
        yield process
        process.kill()


def _lingering(queue: Queue, mark: Path) -> tuple[Job, int]:
    """A job that runs, and its process, which leads its process group."""
    job = queue.submit("linger", {"mark": str(mark)})
    return job, int(wait_for(lambda: mark.exists() and mark.read_text()))


def test_eight_claimers_start_a_hundred_jobs_a_hundred_times(queue: Queue):
    ids = [queue.submit("greet", {}).id for _ in range(100)]
    command = [sys.executable, "-c", CLAIMER, str(queue.path)]
    claimers = [Popen([*command, f"c{n}"], cwd=ROOT, stdout=PIPE, text=True) for n in range(8)]
    started = [int(line) for claimer in claimers for line in claimer.communicate()[0].split()]
    assert [claimer.returncode for claimer in claimers] == [0] * 8
    print(f"\n8 claimers, {len(ids)} jobs: {len(started)} starts of {len(set(started))} jobs")
    assert sorted(started) == ids
    assert {job.state for job in queue.jobs(100)} == {State.DONE}


def test_eight_programs_make_a_new_queue_at_once(queue: Queue):
    programs = [Popen([sys.executable, "-c", SUBMITTER, str(queue.path)], cwd=ROOT) for _ in range(8)]
    assert [program.wait() for program in programs] == [0] * 8
    assert len(queue.jobs()) == 8


def test_a_stopped_job_has_no_process_after_five_seconds(queue: Queue, worker: Popen[bytes], tmp_path: Path):
    job, child = _lingering(queue, tmp_path / "mark")
    began = time.monotonic()
    queue.request_stop(job.id)
    wait_for(lambda: not running_in(child), seconds=5)
    print(f"\na stopped job's process group was gone after {time.monotonic() - began:.1f} s")
    assert reached(queue, job, State.STOPPED).error is None


def test_a_killed_job_fails_with_a_sentence_and_the_worker_goes_on(queue: Queue, worker: Popen[bytes], tmp_path: Path):
    job, child = _lingering(queue, tmp_path / "mark")
    os.kill(child, signal.SIGKILL)
    assert reached(queue, job, State.FAILED).error == KILLED
    reached(queue, queue.submit("greet", {}), State.DONE)


def test_a_killed_worker_takes_its_job_along_and_another_finishes_it(
    queue: Queue, worker: Popen[bytes], tmp_path: Path
):
    job, child = _lingering(queue, tmp_path / "mark")
    worker.kill()
    wait_for(lambda: not running_in(child))
    assert queue.get(job.id).state == State.RUNNING
    with worker_process() as second:
        done = reached(queue, job, State.DONE)
        assert done.worker is not None
        assert done.worker.endswith(str(second.pid))
        second.terminate()


def test_a_worker_told_to_leave_puts_its_job_back_and_another_finishes_it(
    queue: Queue, worker: Popen[bytes], tmp_path: Path
):
    job, child = _lingering(queue, tmp_path / "mark")
    worker.terminate()
    assert worker.wait(20) == 0
    assert not is_running(child)
    assert (queue.get(job.id).state, queue.workers()) == (State.QUEUED, [])
    with worker_process() as second:
        reached(queue, job, State.DONE)
        second.terminate()


def test_a_worker_and_its_job_told_to_end_together_put_the_job_back(queue: Queue, worker: Popen[bytes], tmp_path: Path):
    """As systemd ends a service, all its processes at once."""
    job, child = _lingering(queue, tmp_path / "mark")
    for pid in (child, worker.pid):
        os.kill(pid, signal.SIGTERM)
    assert worker.wait(20) == 0
    assert not is_running(child)
    back = queue.get(job.id)
    assert (back.state, back.error) == (State.QUEUED, None)


# The Proof table of issue 4: `pytest tests/reliability -s` prints the figures.


def _note_every_end(queue: Queue) -> None:
    """From now on the database itself writes down each time a job becomes done."""
    with closing(sqlite3.connect(queue.path)) as database, database:
        database.execute("CREATE TABLE ends (job INTEGER)")
        database.execute(
            "CREATE TRIGGER note AFTER UPDATE OF state ON jobs WHEN new.state = 'done' "
            "BEGIN INSERT INTO ends VALUES (new.id); END"
        )


def _ends(queue: Queue) -> list[int]:
    with closing(sqlite3.connect(queue.path)) as database:
        return [job for (job,) in database.execute("SELECT job FROM ends ORDER BY job")]


@pytest.fixture
def two_workers(queue: Queue) -> Iterator[list[Popen[bytes]]]:
    """Two that may be replaced; a job may be lost to them as often as one likes."""
    workers = [worker_process(0.05, 1.0, stalls=1000) for _ in range(2)]
    yield workers
    for worker in workers:
        worker.kill()
        worker.wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fifty_kills_of_a_worker_lose_no_job_and_finish_none_twice(
    queue: Queue, two_workers: list[Popen[bytes]], tmp_path: Path
):
    starts, chance = tmp_path / "starts", random.Random(4)
    wait_for(queue.workers)
    _note_every_end(queue)
    ids = [queue.submit("once", {"starts": str(starts), "number": n, "seconds": 0.3}).id for n in range(200)]
    for _ in range(50):
        victim = chance.randrange(2)
        name = f"-{two_workers[victim].pid}"
        wait_for(lambda name=name: any(worker.name.endswith(name) for worker in queue.workers()))
        time.sleep(chance.uniform(0.0, 1.0))
        two_workers[victim].kill()
        two_workers[victim].wait()
        two_workers[victim] = worker_process(0.05, 1.0, stalls=1000)
    killed_during = len(_ends(queue))
    wait_for(lambda: queue.count(State.DONE) == len(ids), seconds=400)
    began, ends, jobs = len(starts.read_text().split()), _ends(queue), queue.jobs(500)
    lost, twice = [job.id for job in jobs if job.state is not State.DONE], len(ends) - len(set(ends))
    stalls = sum(job.attempt > 1 for job in jobs)
    print(f"\n50 kills during the first {killed_during} of 200 jobs: {stalls} jobs interrupted, {began} starts")
    print(f"{len(lost)} jobs lost, {twice} finished twice")
    assert (lost, ends) == ([], ids)
    assert killed_during < 200  # or some kills met nobody at work
    assert stalls > 10


def _starts(folder: Path) -> list[Path]:
    return sorted(folder.glob("start-*"))


@pytest.mark.slow
def test_the_job_of_a_frozen_worker_runs_elsewhere_within_thirty_seconds(queue: Queue, tmp_path: Path):
    """Both the worker and the job's process are frozen, as with a machine's container; the job never reports."""
    with real_worker() as first:
        job = queue.submit("scribble", {"folder": str(tmp_path / "starts")})
        (tmp_path / "starts").mkdir()
        (old,) = wait_for(lambda: _starts(tmp_path / "starts"))
        child = int(wait_for(old.read_text).split()[0])
        with real_worker() as second:
            time.sleep(HEARTBEAT_TIMEOUT_S + 7)
            assert (queue.get(job.id).attempt, len(_starts(tmp_path / "starts"))) == (1, 1)
            last = queue.get(job.id).heartbeat
            wait_for(lambda: queue.get(job.id).heartbeat != last)  # the longest wait: it freezes after a heartbeat
            os.kill(child, signal.SIGSTOP)
            first.send_signal(signal.SIGSTOP)
            frozen, began = old.read_bytes(), time.monotonic()
            new = wait_for(lambda: [*_starts(tmp_path / "starts")[1:]], seconds=40)[0]
            wait_for(new.read_text)
            took = time.monotonic() - began
            print(
                f"\na silent but living job kept for {HEARTBEAT_TIMEOUT_S + 7:.0f} s; "
                f"frozen, it ran elsewhere after {took:.1f} s"
            )
            for sleeper in (lambda: os.kill(child, signal.SIGCONT), lambda: first.send_signal(signal.SIGCONT)):
                try:
                    sleeper()
                except ProcessLookupError:
                    continue
            before = len(new.read_bytes())
            time.sleep(3)
            assert old.read_bytes() == frozen
            assert len(new.read_bytes()) > before
            assert queue.get(job.id).worker.endswith(str(second.pid))
            assert took <= 30
            second.terminate()
        first.terminate()


def test_two_workers_start_each_job_once(queue: Queue, tmp_path: Path):
    starts = tmp_path / "starts"
    with worker_process() as first, worker_process() as second:
        wait_for(lambda: len(queue.workers()) == 2)
        ids = [queue.submit("once", {"starts": str(starts), "number": n}).id for n in range(20)]
        wait_for(lambda: queue.count(State.DONE) == len(ids), seconds=60)
        for worker in (first, second):
            worker.terminate()
    began = sorted(map(int, starts.read_text().split()))
    print(f"\n2 workers, {len(ids)} jobs: {len(began)} starts")
    assert began == list(range(20))
    assert {job.attempt for job in queue.jobs()} == {1}


@pytest.mark.slow
def test_clocks_on_the_wall_that_jump_an_hour_are_no_silence(queue: Queue, tmp_path: Path):
    starts = tmp_path / "starts"
    job = queue.submit("once", {"starts": str(starts), "number": 0, "seconds": 8})
    with worker_process(jump_s=3600) as first, worker_process(jump_s=-3600) as second:
        reached(queue, job, State.DONE)
        for worker in (first, second):
            worker.terminate()
    done = queue.get(job.id)
    print(f"\nclocks that jump by an hour for 8 s, silence of 1.5 s: {done.attempt} start, {done.losses} stalls")
    assert (done.attempt, done.losses, starts.read_text()) == (1, 0, "0\n")


def test_without_a_worker_jobs_wait_and_the_queue_says_so(queue: Queue, worker: Popen[bytes]):
    wait_for(queue.workers)
    worker.terminate()
    assert worker.wait(20) == 0
    queue.submit("greet", {})
    assert queue.workers() == []
    said = run([sys.executable, "-m", "core", "jobs", "list"], cwd=ROOT, capture_output=True, text=True)
    assert (said.returncode, said.stderr.strip()) == (0, NO_WORKER)
    assert "queued" in said.stdout
