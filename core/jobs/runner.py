"""Job runner: the process of a job, `python -m core.jobs.runner <id> [attempt]`, started by a launcher.

It reads only the job folder, not the queue, which does not exist on a cluster. A thread reads the specification every
second: once it names another attempt, the lease is lost, and the process kills itself before it writes anything more.
Exit codes: 0 done; 2 failed with a message of the task; 3 out of memory; 4 disk full; 1 unexpected error, with the
traceback in the log.
"""

import os
import signal
import stat
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from types import FrameType

from core.errors import CannotRead, DiskFull, GroundplanError, NoSuchJob
from core.jobs.failures import _CODES, DISK_FULL, GRACE_S, failure_message
from core.jobs.folder import JobFolder, JobSpec
from core.jobs.registry import run_task

#: Interval between two checks of the lease [s].
LEASE_CHECK_S = 1.0


def _is_group_leader() -> bool:
    """Tell whether this process leads its process group; not so in a shell pipeline or in a Ray job."""
    return os.getpgrp() == os.getpid()


def _handle_sigterm(number: int, _frame: FrameType | None) -> None:
    """SIGTERM handler: exit by SystemExit, so `finally` blocks run and remove temporary files."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _exit_with_worker() -> None:
    """End this process group when its worker dies: standard input is a pipe that only the worker holds open."""
    while os.read(0, 64):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


def _set_up_process() -> None:
    signal.signal(signal.SIGTERM, _handle_sigterm)
    if _is_group_leader() and stat.S_ISFIFO(os.fstat(0).st_mode):
        Thread(target=_exit_with_worker, name="worker watch", daemon=True).start()
    os.nice(5)  # keeps the web server responsive
    with suppress(OSError):  # when memory runs out, Linux is to kill this process, not its worker or the web server
        Path("/proc/self/oom_score_adj").write_text("500")


@dataclass(frozen=True)
class _Lease:
    """Lease of a job: valid as long as its specification names this attempt."""

    folder: JobFolder
    attempt: int
    finish: Event = field(default_factory=Event)

    def check(self) -> None:
        """Kill this process group if the lease is lost; set `finish` if an early finish was requested."""
        try:
            is_valid = self.folder.spec().attempt == self.attempt
        except NoSuchJob:  # deleted, with its folder
            is_valid = False
        except CannotRead:  # a shared disk may be unavailable for a moment
            return
        if not is_valid:
            if _is_group_leader():
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.folder.finish_requested():
            self.finish.set()

    def keep_checking(self) -> None:
        while True:
            self.check()
            time.sleep(LEASE_CHECK_S)


def _acquire_lease(folder: JobFolder, attempt: int | None) -> tuple[JobSpec, _Lease]:
    """Read the specification and start the lease checks; raises NoSuchJob, CannotRead, DiskFull, CannotWrite."""
    spec = folder.spec()  # before any write, which would recreate the folder of a deleted job
    lease = _Lease(folder, spec.attempt if attempt is None else attempt)
    folder.claim(lease.attempt)
    # Checked again after the claim: a newer attempt either killed this process by its record or is visible here.
    lease.check()
    signal.signal(signal.SIGCONT, lambda _number, _frame: lease.check())  # before any work after a SIGSTOP
    Thread(target=lease.keep_checking, name="lease", daemon=True).start()
    return spec, lease


def main(arguments: list[str]) -> int:
    """Run the job whose ID is the first argument; returns the exit code."""
    _set_up_process()
    job_id, attempt = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else None
    folder = JobFolder.of(job_id)
    try:
        spec, lease = _acquire_lease(folder, attempt)
        with folder.reporting() as report:
            run_task(spec, report, lease.finish.is_set)
    except GroundplanError as error:
        print(error, file=sys.stderr)
        return _fail(folder, str(error), _CODES[DISK_FULL] if isinstance(error, DiskFull) else 2)
    except Exception as error:  # noqa: BLE001  process boundary: any error of a task becomes a message
        traceback.print_exc()
        sentence = failure_message(error)
        return _fail(folder, sentence, _CODES[sentence])
    return 0


def _fail(folder: JobFolder, sentence: str, code: int) -> int:
    with suppress(GroundplanError):  # without the file, the worker uses the exit code
        if folder.path.is_dir():  # a write would recreate the folder of a deleted job
            folder.fail(sentence)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
