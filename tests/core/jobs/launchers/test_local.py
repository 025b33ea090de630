import json
import os
import signal

import pytest

from core import GDAL_GUARD
from core.errors import CannotStart, RunLost
from core.jobs.failures import DISK_FULL, OUT_OF_MEMORY, UNEXPECTED
from core.jobs.folder import JobFolder
from core.jobs.launchers.base import JobResult
from core.jobs.launchers.exit_status import KILLED, environment, job_result
from core.jobs.launchers.local import LocalLauncher, launch
from core.jobs.launchers.select import make_launcher
from core.jobs.queue import Queue, State
from core.settings import settings
from tests.core.jobs import fake_tasks


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (0, None, JobResult(State.DONE)),
        (2, "No tiles.", JobResult(State.FAILED, "No tiles.")),
        (1, None, JobResult(State.FAILED, UNEXPECTED)),
        (3, None, JobResult(State.FAILED, OUT_OF_MEMORY)),
        (4, None, JobResult(State.FAILED, DISK_FULL)),
        (-signal.SIGKILL, None, JobResult(State.FAILED, KILLED)),
        (-signal.SIGKILL, "No tiles.", JobResult(State.FAILED, "No tiles.")),
    ],
)
def test_an_exit_code_becomes_a_state_and_a_sentence(code, said, expected):
    assert job_result(code, said) == expected


def test_a_crash_in_a_library_is_named_and_its_stack_is_in_the_log(queue: Queue):
    job = queue.submit("die", {})
    with fake_tasks.start(job) as run:
        ended = run.wait(20)
    assert ended is not None
    assert (ended.state, "Segmentation fault" in str(ended.error)) == (State.FAILED, True)
    assert "Fatal Python error: Segmentation fault" in JobFolder.of(job.id).tail()


def test_a_run_that_goes_on_has_no_outcome_yet(queue: Queue, tmp_path):
    with fake_tasks.start(queue.submit("linger", {"mark": str(tmp_path / "mark")})) as run:
        assert run.wait(0.01) is None


def test_the_process_is_guarded_and_finds_the_same_data(queue: Queue):
    job = queue.submit("print", {})
    show = (
        "import os, json; print(json.dumps({**os.environ, 'cwd': os.getcwd(), 'group': os.getpgrp() == os.getpid()}))"
    )
    with launch(job, (*fake_tasks.CHILD[:2], show)) as run:
        run.process.wait(20)
    found = json.loads(JobFolder.of(job.id).log.read_text())
    assert found.items() >= environment().items() >= GDAL_GUARD.items()
    assert found["GROUNDPLAN_DATA"] == str(settings().data)
    assert found["TF_CPP_MIN_LOG_LEVEL"] == "2"
    assert found["group"] is True


def test_stopping_ends_also_a_grandchild_that_will_not_hear(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    with fake_tasks.start(queue.submit("family", {"mark": str(mark)})) as run:
        fake_tasks.wait_for(lambda: mark.exists() and mark.read_text())
        run.stop()
        fake_tasks.wait_for(lambda: not fake_tasks.is_running(int(mark.read_text())))
        run.stop()  # once more does no harm
    assert fake_tasks.running_in(run.process.pid) == []


def test_a_process_told_to_end_by_somebody_else_is_a_lost_run(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    with fake_tasks.start(queue.submit("linger", {"mark": str(mark)})) as run:
        fake_tasks.wait_for(mark.exists)
        os.kill(run.process.pid, signal.SIGTERM)
        with pytest.raises(RunLost, match="its process was terminated"):
            run.wait(20)


def test_so_is_one_that_was_told_before_it_could_hear(queue: Queue):
    with launch(queue.submit("greet", {}), (*fake_tasks.CHILD[:2], "import time; time.sleep(60)")) as run:
        os.kill(run.process.pid, signal.SIGTERM)
        with pytest.raises(RunLost):
            run.wait(20)


def test_a_run_that_its_worker_stopped_is_stopped(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    with fake_tasks.start(queue.submit("linger", {"mark": str(mark)})) as run:
        fake_tasks.wait_for(mark.exists)
        run.stop()
        assert run.wait(0) == JobResult(State.STOPPED)


def test_leaving_the_block_ends_the_process(queue: Queue, tmp_path):
    with fake_tasks.start(queue.submit("linger", {"mark": str(tmp_path / "mark")})) as run:
        os.kill(run.process.pid, 0)
    assert run.process.returncode is not None


def test_a_job_that_cannot_start_is_one_sentence(queue: Queue):
    with pytest.raises(CannotStart, match="could not be started"):
        launch(queue.submit("greet", {}), ("/no/such/python",))


def test_what_a_job_leaves_behind_ends_when_the_job_ends(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    with fake_tasks.start(queue.submit("family", {"mark": str(mark)})) as run:
        fake_tasks.wait_for(lambda: mark.exists() and mark.read_text())
        os.kill(run.process.pid, signal.SIGKILL)
        assert run.wait(5) == JobResult(State.FAILED, KILLED)
        fake_tasks.wait_for(lambda: not fake_tasks.is_running(int(mark.read_text())), seconds=5)


def test_a_second_start_ends_the_first_before_it_begins(queue: Queue, tmp_path):
    mark = tmp_path / "mark"
    queue.submit("linger", {"mark": str(mark)})
    first = queue.claim("w")
    with fake_tasks.start(first) as frozen:
        fake_tasks.wait_for(lambda: mark.exists() and mark.read_text())
        os.kill(frozen.process.pid, signal.SIGSTOP)
        queue.release(first.id, "w")
        with fake_tasks.start(queue.claim("w")) as second:
            assert not fake_tasks.is_running(frozen.process.pid)
            assert second.wait(20) == JobResult(State.DONE)


def test_this_machine_runs_one_job_at_once_and_says_what_it_computes_on(queue: Queue):
    here = fake_tasks.local()
    assert (here.slots, here.device()) == (1, "CPU toy, 1 core")
    assert isinstance(make_launcher(), LocalLauncher)


def test_leaving_ends_a_run_on_this_machine(queue: Queue, tmp_path):
    run = fake_tasks.local().start(queue.submit("linger", {"mark": str(tmp_path / "mark")}))
    run.detach()
    assert run.process.returncode is not None
