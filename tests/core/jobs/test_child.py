import errno
import signal
from subprocess import PIPE, Popen

import pytest

from core.jobs.child import DISK_FULL, OUT_OF_MEMORY, UNEXPECTED, sentence_for
from core.jobs.folder import JobFolder
from core.jobs.local import ROOT
from core.jobs.store import Queue
from tests.core.jobs import toys

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
    assert sentence_for(error) == sentence


@pytest.mark.parametrize(
    ("task", "code", "error", "printed"),
    [
        ("greet", 0, None, "hello world"),
        ("refuse", 2, "Training needs at least one labelled tile", "Training needs"),
        ("break_", 1, UNEXPECTED, "ZeroDivisionError: a secret path"),
        ("fill", 1, OUT_OF_MEMORY, "MemoryError"),
        ("os:system", 2, "os:system is not a task this worker runs", "not a task"),
    ],
)
def test_a_job_leaves_an_exit_code_a_sentence_and_a_log(queue: Queue, task, code, error, printed):
    job = queue.submit(task, {"whom": "world"})
    with toys.start(job) as run:
        assert run.process.wait(20) == code
    said, log = JobFolder.of(job.id).error(), "\n".join(JobFolder.of(job.id).tail())
    assert said is None if error is None else error in said
    assert printed in log
    assert ("Traceback" in log) == (code == 1)


def test_sigterm_ends_a_job_that_first_removes_its_temporary_file(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    with toys.start(queue.submit("linger", {"mark": str(mark)})) as run:
        toys.wait_for(mark.with_suffix(".temporary").exists)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(20) == 128 + signal.SIGTERM
    assert not mark.with_suffix(".temporary").exists()


def test_a_job_ends_with_the_worker_that_held_its_standard_input(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    command = [*toys.CHILD, str(queue.submit("linger", {"mark": str(mark)}).id)]
    with Popen(command, cwd=ROOT, stdin=PIPE, start_new_session=True) as process:
        toys.wait_for(mark.exists)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) != 0
