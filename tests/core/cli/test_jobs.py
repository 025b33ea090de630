"""`python -m core jobs …`, in this process, over a queue of its own."""

import sys
from collections.abc import Callable

import pytest

from core.cli import main
from core.cli.jobs import NO_WORKER
from core.jobs.folder import JobFolder
from core.jobs.queue import HIGH, Job, Queue, State
from tests.core.jobs.conftest import queue

__all__ = ["queue"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(queue: Queue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["core", "jobs", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return command


@pytest.fixture
def failed(queue: Queue) -> Job:
    """A job that printed two lines and failed for want of memory."""
    queue.submit("train", {}, "Vegas")
    job = queue.claim("w")
    assert job is not None
    JobFolder.of(job.id).prepare(job)
    JobFolder.of(job.id).log.write_text("epoch 1\nepoch 2\n")
    return queue.finish(job.id, "w", State.FAILED, "The memory was not enough.")


def test_an_empty_queue_says_so(run: Run):
    assert run("list") == (0, "No jobs yet.\n", "")


def test_jobs_are_listed_with_their_places_and_a_missing_worker_is_told(run: Run, queue: Queue):
    queue.submit("train", {}, "later")
    queue.submit("predict", {}, "sooner", HIGH)
    status, out, err = run("list")
    lines = [line.split() for line in out.splitlines()]
    assert (status, err.strip()) == (0, NO_WORKER)
    assert lines == [
        ["job", "state", "place", "starts", "task", "title"],
        ["2", "queued", "0", "0", "predict", "sooner"],
        ["1", "queued", "1", "0", "train", "later"],
    ]
    queue.heartbeat("w")
    assert run("list")[2] == ""


def test_a_failed_job_is_shown_with_its_reason_and_its_last_lines(run: Run, failed: Job):
    assert run("show", failed.id, "--lines", 1) == (
        0, f"job {failed.id} (Vegas): failed\nThe memory was not enough.\n  epoch 2\n", ""
    )  # fmt: skip


def test_a_running_job_is_shown_with_its_progress(run: Run, queue: Queue):
    queue.submit("train", {}, "Vegas")
    job = queue.claim("w")
    JobFolder.of(job.id).prepare(job)
    with JobFolder.of(job.id).reporting() as report:
        report(0.25, "epoch 3 of 12")
    assert run("show", job.id)[1] == f"job {job.id} (Vegas): running\n25% epoch 3 of 12\n"


def test_a_job_is_stopped_and_tried_again(run: Run, queue: Queue):
    job = queue.submit("train", {}, "Vegas")
    assert run("stop", job.id)[1] == f"job {job.id} (Vegas): stopped\n"
    assert run("retry", job.id)[1] == f"job {job.id} (Vegas): queued\n"
    queue.claim("w")
    assert run("stop", job.id, "--keep")[1] == f"job {job.id} (Vegas): running, stopping\n"
    assert queue.get(job.id).keep


def test_a_waiting_job_is_moved(run: Run, queue: Queue):
    for title in ("a", "b"):
        queue.submit("train", {}, title)
    assert run("move", 2, 0)[1] == "0  job 2 (b)\n1  job 1 (a)\n"


def test_a_deleted_job_leaves_no_files(run: Run, queue: Queue, failed: Job):
    assert run("delete", failed.id)[:2] == (0, f"job {failed.id} deleted\n")
    assert queue.jobs() == []
    assert not JobFolder.of(failed.id).path.exists()


@pytest.mark.parametrize("command", ["show", "stop", "retry", "delete"])
def test_a_number_nobody_gave_is_a_sentence(run: Run, command: str):
    status, out, err = run(command, 99)
    assert (status, out) == (2, "")
    assert err.startswith("Job 99 does not exist.")
