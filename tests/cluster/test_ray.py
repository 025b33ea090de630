"""Jobs on a real Ray cluster of one machine, which looks in the page as this machine itself does."""

import os
import signal
import time
from collections.abc import Iterator
from subprocess import Popen

import pytest

from core.errors import ClusterUnreachable
from core.jobs.failures import UNEXPECTED
from core.jobs.folder import JobFolder
from core.jobs.job import Job, State
from core.jobs.launchers.base import JobResult
from core.jobs.launchers.exit_status import KILLED
from core.jobs.launchers.ray import RayLauncher, RayLauncherJob, Submission
from core.jobs.queue import Queue
from tests.cluster import tasks
from tests.cluster.head import Head
from tests.core.jobs.fake_tasks import is_running, reached, running_in, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def ray(cluster: Queue) -> RayLauncher:
    return RayLauncher(command=tasks.CHILD)


@pytest.fixture
def worker(cluster: Queue) -> Iterator[Popen[bytes]]:
    with tasks.worker_process() as process:
        yield process
        process.kill()


def _start(queue: Queue, ray: RayLauncher, task: str, **params: object) -> tuple[Job, RayLauncherJob]:
    queue.submit(task, params)
    job = queue.claim("w")
    assert job is not None
    return job, ray.start(job)


def _ended(run: RayLauncherJob) -> JobResult:
    ended: JobResult = wait_for(lambda: run.wait(0.2), 60)
    return ended


def test_jobs_of_every_end_look_as_they_do_on_one_machine(cluster: Queue, ray: RayLauncher):
    names = ("greet", "refuse", "break_", "die", "kill", "look")
    jobs = {task: _start(cluster, ray, task, whom="world") for task in names}
    ended = {task: _ended(run) for task, (_, run) in jobs.items()}
    logs = {task: "\n".join(run.folder.tail()) for task, (_, run) in jobs.items()}
    assert ended["greet"] == JobResult(State.DONE)
    assert logs["greet"] == "hello world"
    assert jobs["greet"][1].folder.progress().share == 1
    assert ended["refuse"].error.startswith("Training needs at least one labeled tile")
    assert ended["break_"] == JobResult(State.FAILED, UNEXPECTED)
    assert "ZeroDivisionError: a secret path" in logs["break_"]
    assert "Segmentation fault" in ended["die"].error
    assert "Fatal Python error: Segmentation fault" in logs["die"]
    assert ended["kill"] == JobResult(State.FAILED, KILLED)
    assert logs["look"] == "GPUs: []"  # it asked for none


def test_stopping_ends_all_processes_within_five_seconds(cluster: Queue, ray: RayLauncher, tmp_path):
    mark = tmp_path / "mark"
    _, run = _start(cluster, ray, "family", mark=str(mark))
    deaf = int(wait_for(lambda: mark.exists() and mark.read_text(), 60))
    group = os.getpgid(deaf)
    began = time.monotonic()
    run.stop()
    assert wait_for(lambda: run.wait(0.2), 5) == JobResult(State.STOPPED)
    assert not running_in(group)
    assert time.monotonic() - began < 5
    assert not is_running(deaf)
    run.stop()  # once more does no harm


def test_a_job_for_which_nothing_is_free_says_so_and_can_be_stopped(cluster: Queue, ray: RayLauncher, tmp_path):
    _, run = _start(cluster, ray, "linger", mark=str(tmp_path / "mark"), gpus=2)
    assert run.wait(1.5) is None
    assert run.folder.progress().doing == "Waiting for 2 GPUs of the cluster"
    began = time.monotonic()
    run.stop()
    assert wait_for(lambda: run.wait(0.2), 5) == JobResult(State.STOPPED)
    assert time.monotonic() - began < 5
    assert not (tmp_path / "mark").exists()


def test_a_worker_that_starts_again_takes_up_the_job_that_goes_on(cluster: Queue, ray: RayLauncher, tmp_path):
    mark = tmp_path / "mark"
    job, run = _start(cluster, ray, "linger", mark=str(mark))
    child = int(wait_for(lambda: mark.exists() and mark.read_text(), 60))
    run.detach()
    cluster.release(job.id, "w")
    again = cluster.claim("x")
    taken = RayLauncher(command=tasks.CHILD).start(again)
    assert (again.attempt, taken.submission) == (job.attempt + 1, run.submission)
    assert taken.wait(1.5) is None
    assert is_running(child)
    # Once it was stopped in the queue, nothing goes on that could be taken up.
    cluster.release(job.id, "x")
    cluster.request_stop(job.id)
    wait_for(lambda: not is_running(child), 5)
    cluster.retry(job.id)
    anew = ray.start(cluster.claim("w"))
    assert anew.submission != run.submission
    assert _ended(anew) == JobResult(State.DONE)


def test_the_worker_tells_what_the_cluster_has(head: Head, ray: RayLauncher):
    assert ray.device() == f"Ray at {head.address}: 4 CPUs, 0 GPUs"


def test_a_wrong_token_is_told(ray: RayLauncher, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    with pytest.raises(ClusterUnreachable, match="RAY_AUTH_TOKEN"):
        ray.cluster.job("any")


def test_jobs_run_side_by_side_through_a_real_worker(cluster: Queue, worker: Popen[bytes], tmp_path):
    folder = tmp_path / "together"
    folder.mkdir()
    count = 6
    params = [{"folder": str(folder), "number": n, "count": count, "cpus": 0.5} for n in range(count)]
    jobs = [cluster.submit("gather", each) for each in params]
    for job in jobs:
        wait_for(lambda job=job: cluster.get(job.id).state.is_over, 90)
    assert [cluster.get(job.id).state for job in jobs] == [State.DONE] * count


def test_jobs_stopped_at_once_take_about_as_long_as_one(cluster: Queue, worker: Popen[bytes], tmp_path):
    marks = [tmp_path / f"mark-{n}" for n in range(4)]
    jobs = [cluster.submit("family", {"mark": str(mark), "cpus": 0.5}) for mark in marks]
    deaf = [int(wait_for(lambda mark=mark: mark.exists() and mark.read_text(), 60)) for mark in marks]
    began = time.monotonic()
    for job in jobs:
        cluster.request_stop(job.id)
    wait_for(lambda: not any(map(is_running, deaf)), 20)
    gone = time.monotonic() - began
    for job in jobs:
        reached(cluster, job, State.STOPPED)
    print(f"\n4 jobs stopped at once: gone after {gone:.1f} s, stopped after {time.monotonic() - began:.1f} s")
    assert gone < 5


def test_a_head_that_dies_loses_no_job(head: Head, cluster: Queue, worker: Popen[bytes], tmp_path):
    mark = tmp_path / "mark"
    job = cluster.submit("linger", {"mark": str(mark)})
    child = int(wait_for(lambda: mark.exists() and mark.read_text(), 60))
    head.kill()
    assert not is_running(child)
    other = cluster.submit("greet", {"whom": "world"})
    wait_for(lambda: any("does not respond" in (status.device or "") for status in cluster.workers()), 30)
    assert not any(cluster.get(each.id).state.is_over for each in (job, other))
    head.start()
    for each in (job, other):
        done = wait_for(lambda each=each: (found := cluster.get(each.id)).state.is_over and found, 90)
        assert (done.state, done.error) == (State.DONE, None)
    assert cluster.get(job.id).attempt == 2
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0


def test_a_worker_killed_and_started_again_finishes_what_the_cluster_did_meanwhile(
    cluster: Queue, worker: Popen[bytes], tmp_path
):
    mark = tmp_path / "mark"
    job = cluster.submit("linger", {"mark": str(mark)})
    child = int(wait_for(lambda: mark.exists() and mark.read_text(), 60))
    ticket = Submission.find(JobFolder.of(job.id))
    worker.kill()
    worker.wait()
    assert is_running(child)
    with tasks.worker_process(silence_s=1.5) as second:
        wait_for(lambda: cluster.get(job.id).attempt == 2, 20)
        assert Submission.find(JobFolder.of(job.id)) == ticket
        assert is_running(child)
        cluster.request_stop(job.id)
        reached(cluster, job, State.STOPPED)
        assert not is_running(child)
        second.terminate()
