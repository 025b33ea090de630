"""Real workers, real signals: no job is lost, run twice or left running."""

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from core.jobs.local import KILLED, ROOT
from core.jobs.store import Job, Queue, State
from tests.core.jobs.toys import is_running, reached, running_in, wait_for, worker_process

CLAIMER = """
import sys
from pathlib import Path
from core.jobs.store import Queue, State
queue, name = Queue(Path(sys.argv[1])), sys.argv[2]
while job := queue.claim(name):
    print(job.id)
    queue.finish(job.id, name, State.DONE)
"""

SUBMITTER = """
import sys
from pathlib import Path
from core.jobs.store import Queue
Queue(Path(sys.argv[1])).submit("greet", {})
"""


@pytest.fixture(autouse=True)
def _the_queue_is_whole_at_the_end(queue: Queue) -> Iterator[None]:
    yield
    with closing(sqlite3.connect(queue.path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.fixture
def worker(queue: Queue) -> Iterator[Popen[bytes]]:
    with worker_process() as process:
        yield process
        process.kill()


def _lingering(queue: Queue, mark: Path) -> tuple[Job, int]:
    """A job that runs, and its process, which leads its process group."""
    job = queue.submit("linger", {"mark": str(mark)})
    return job, int(wait_for(lambda: mark.exists() and mark.read_text()))


def test_eight_claimers_start_fifty_jobs_fifty_times(queue: Queue):
    ids = [queue.submit("greet", {}).id for _ in range(50)]
    command = [sys.executable, "-c", CLAIMER, str(queue.path)]
    claimers = [Popen([*command, f"c{n}"], cwd=ROOT, stdout=PIPE, text=True) for n in range(8)]
    started = [int(line) for claimer in claimers for line in claimer.communicate()[0].split()]
    assert [claimer.returncode for claimer in claimers] == [0] * 8
    assert sorted(started) == ids
    assert {job.state for job in queue.jobs(100)} == {State.DONE}


def test_eight_programs_make_a_new_queue_at_once(queue: Queue):
    programs = [Popen([sys.executable, "-c", SUBMITTER, str(queue.path)], cwd=ROOT) for _ in range(8)]
    assert [program.wait() for program in programs] == [0] * 8
    assert len(queue.jobs()) == 8


def test_a_stopped_job_has_no_process_after_five_seconds(queue: Queue, worker: Popen[bytes], tmp_path: Path):
    job, child = _lingering(queue, tmp_path / "mark")
    queue.request_stop(job.id)
    wait_for(lambda: not running_in(child), seconds=5)
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
