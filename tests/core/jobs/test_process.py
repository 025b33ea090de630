import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

import pytest

from core.jobs.process import Process
from tests.core.jobs.fake_tasks import is_running, wait_for


@pytest.fixture
def sleeper():
    """A process that leads a group, and what is known of it."""
    with Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        began = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        yield replace(Process.this(), pid=process.pid, started=began)
        process.kill()


def test_this_process_is_running():
    assert Process.this().pid == os.getpid()
    assert Process.this().is_running()


@pytest.mark.parametrize("frozen", [False, True])
def test_a_killed_process_has_ended_even_a_frozen_one(sleeper, frozen):
    if frozen:
        os.kill(sleeper.pid, signal.SIGSTOP)
    sleeper.kill()
    assert not is_running(sleeper.pid)
    assert not sleeper.is_running()
    sleeper.kill()


def test_its_children_end_with_it(tmp_path):
    mark = tmp_path / "mark"
    program = (
        "import os, sys, time, pathlib; child = os.fork(); child and pathlib.Path(sys.argv[1]).write_text(str(child)); "
        "time.sleep(60)"
    )
    with Popen([sys.executable, "-c", program, str(mark)], start_new_session=True) as process:
        child = int(wait_for(lambda: mark.exists() and mark.read_text()))
        began = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        replace(Process.this(), pid=process.pid, started=began).kill()
    wait_for(lambda: not is_running(child), seconds=5)


@pytest.mark.parametrize("other", [{"started": 1}, {"boot": "another"}])
def test_a_process_that_only_has_the_same_number_is_left_alone(sleeper, other):
    replace(sleeper, **other).kill()
    time.sleep(0.1)
    assert is_running(sleeper.pid)
