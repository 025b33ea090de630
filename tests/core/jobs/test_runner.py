import errno
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

import pytest

from core.jobs import runner
from core.jobs.failures import DISK_FULL, OUT_OF_MEMORY, UNEXPECTED, failure_message
from core.jobs.folder import JobFolder
from core.jobs.launchers.local import ROOT
from core.jobs.queue import Job, Queue
from tests.core.jobs import fake_tasks

ResourceExhaustedError = type("ResourceExhaustedError", (Exception,), {})  # what TensorFlow calls it


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), OUT_OF_MEMORY),
        (ResourceExhaustedError("OOM when allocating tensor"), OUT_OF_MEMORY),
        (RuntimeError("CUDA_ERROR: Out of memory"), OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), DISK_FULL),
        (RuntimeError("write failed: no space left on device"), DISK_FULL),
        (OSError(errno.EACCES, "Permission denied"), UNEXPECTED),
        (KeyError("epochs"), UNEXPECTED),
    ],
)
def test_an_unforeseen_exception_is_one_plain_sentence(error: Exception, sentence: str):
    assert failure_message(error) == sentence


@pytest.mark.parametrize(
    ("task", "code", "error", "printed"),
    [
        ("greet", 0, None, "hello world"),
        ("refuse", 2, "Training needs at least one labeled tile", "Training needs"),
        ("break_", 1, UNEXPECTED, "ZeroDivisionError: a secret path"),
        ("fill", 3, OUT_OF_MEMORY, "MemoryError"),
        ("fill_disk", 4, "There is not enough disk space to write epoch-7.safetensors", "not enough disk space"),
        ("os:system", 2, "Unknown task os:system", "Unknown task"),
    ],
)
def test_a_job_leaves_an_exit_code_a_sentence_and_a_log(queue: Queue, task, code, error, printed):
    job = queue.submit(task, {"whom": "world"})
    with fake_tasks.start(job) as run:
        assert run.process.wait(20) == code
    said, log = JobFolder.of(job.id).error(), "\n".join(JobFolder.of(job.id).tail())
    assert said is None if error is None else error in said
    assert printed in log
    assert ("Traceback" in log) == (code in (1, 3))


def test_sigterm_ends_a_job_that_first_removes_its_temporary_file(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    with fake_tasks.start(queue.submit("linger", {"mark": str(mark)})) as run:
        fake_tasks.wait_for(mark.with_suffix(".temporary").exists)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(20) == 128 + signal.SIGTERM
    assert not mark.with_suffix(".temporary").exists()


def test_a_job_ends_with_the_worker_that_held_its_standard_input(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    job = queue.submit("linger", {"mark": str(mark)})
    JobFolder.of(job.id).prepare(job)
    command = [*fake_tasks.CHILD, str(job.id)]
    with Popen(command, cwd=ROOT, stdin=PIPE, start_new_session=True) as process:
        fake_tasks.wait_for(mark.exists)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) != 0


@pytest.fixture
def elsewhere(queue: Queue, tmp_path: Path) -> Iterator[tuple[Job, Popen[bytes]]]:
    """A job that writes into start-0, in a process that nobody on this machine can name, as on another machine."""
    (tmp_path / "starts").mkdir()
    job = replace(queue.submit("scribble", {"folder": str(tmp_path / "starts")}), attempt=1)
    JobFolder.of(job.id).prepare(job)
    with Popen([*fake_tasks.CHILD, str(job.id)], cwd=ROOT, stdin=DEVNULL, start_new_session=True) as process:
        fake_tasks.wait_for(lambda: (tmp_path / "starts" / "start-0").exists())
        (JobFolder.of(job.id).path / "process-1.json").unlink()
        yield job, process
        process.kill()


@pytest.mark.parametrize("how", ["another attempt", "revoked", "deleted"])
def test_a_process_whose_order_is_gone_ends_within_seconds(elsewhere, how: str):
    job, process = elsewhere
    folder = JobFolder.of(job.id)
    {"another attempt": lambda: folder.prepare(replace(job, attempt=2)), "revoked": folder.revoke,
     "deleted": folder.remove}[how]()  # fmt: skip
    assert process.wait(runner.LEASE_CHECK_S + 2) == -signal.SIGKILL


def test_a_frozen_process_that_wakes_writes_nothing_more(elsewhere, tmp_path):
    job, process = elsewhere
    process.send_signal(signal.SIGSTOP)
    JobFolder.of(job.id).prepare(replace(job, attempt=2))
    written = (tmp_path / "starts" / "start-0").read_bytes()
    process.send_signal(signal.SIGCONT)
    assert process.wait(5) == -signal.SIGKILL
    assert (tmp_path / "starts" / "start-0").read_bytes() == written


def test_an_order_that_cannot_be_read_for_a_moment_ends_nothing(elsewhere):
    job, process = elsewhere
    path = JobFolder.of(job.id).path / "job.json"
    path.write_text("{")
    with pytest.raises(TimeoutExpired):
        process.wait(2 * runner.LEASE_CHECK_S)


def test_a_process_of_an_earlier_attempt_does_not_begin(queue: Queue):
    job = queue.submit("greet", {})
    JobFolder.of(job.id).prepare(replace(job, attempt=2))
    with Popen(
        [*fake_tasks.CHILD, str(job.id), "1"], cwd=ROOT, stdin=DEVNULL, stdout=PIPE, start_new_session=True
    ) as late:
        assert late.communicate()[0] == b""
    assert late.returncode == -signal.SIGKILL


def test_a_process_of_a_deleted_job_does_not_make_its_folder_again(queue: Queue):
    job = queue.submit("greet", {})
    with Popen(
        [*fake_tasks.CHILD, str(job.id), "1"], cwd=ROOT, stdin=DEVNULL, stderr=PIPE, start_new_session=True
    ) as late:
        assert b"Job 1 does not exist" in late.communicate()[1]
    assert (late.returncode, JobFolder.of(job.id).path.exists()) == (2, False)


def test_a_job_asked_to_finish_ends_well(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    with fake_tasks.start(queue.submit("keep", {"mark": str(mark)})) as run:
        fake_tasks.wait_for(mark.exists)
        run.finish()
        assert run.process.wait(20) == 0
    assert mark.read_text() == "kept"


def test_a_process_outside_a_worker_does_not_wait_for_its_standard_input(queue: Queue):
    job = queue.submit("greet", {"whom": "cluster"})
    JobFolder.of(job.id).prepare(job)
    with Popen(
        [*fake_tasks.CHILD, str(job.id)], cwd=ROOT, stdin=DEVNULL, stdout=PIPE, start_new_session=True
    ) as process:
        assert process.communicate()[0] == b"hello cluster\n"
    assert process.returncode == 0
