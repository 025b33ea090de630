"""What runs in a job's own process: `python -m core.jobs.runner <id> [attempt]`, started by a launcher.

It knows its folder only, not the queue: on a cluster nothing else is there. A thread reads its order every second: when
another attempt has it, this process has lost the right to write and ends at once.
Exit codes: 0 done; 2 failed for a reason the task names; 3 out of memory; 4 disk full; 1 failed otherwise, the
traceback is in the log.
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
from core.jobs.failures import _CODES, DISK_FULL, GRACE_S, sentence_for
from core.jobs.folder import JobFolder, Order
from core.jobs.registry import run_task

#: Seconds between two looks at the order.
HEED_S = 1.0


def _leads_its_group() -> bool:
    """Not so where somebody starts it within a pipeline, or a cluster in a group of its own making."""
    return os.getpgrp() == os.getpid()


def _end_at_once() -> None:
    if _leads_its_group():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _leave(number: int, _frame: FrameType | None) -> None:
    """On SIGTERM, end in good order: `finally` blocks run and remove temporary files."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _follow_the_worker() -> None:
    """Ends this process group when its worker is gone: standard input is a pipe that only the worker holds open."""
    while os.read(0, 64):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


def _settle() -> None:
    signal.signal(signal.SIGTERM, _leave)
    if _leads_its_group() and stat.S_ISFIFO(os.fstat(0).st_mode):
        Thread(target=_follow_the_worker, name="follow the worker", daemon=True).start()
    os.nice(5)  # the server answers first
    with suppress(OSError):  # where memory ends, Linux is to end this process, not its worker or the server
        Path("/proc/self/oom_score_adj").write_text("500")


@dataclass(frozen=True)
class _Lease:
    """The right to work on a job, as long as its order names this attempt."""

    folder: JobFolder
    attempt: int
    finish: Event = field(default_factory=Event)

    def heed(self) -> None:
        """Ends this process where the order is another's, and hears the wish to finish."""
        try:
            mine = self.folder.order().attempt == self.attempt
        except NoSuchJob:  # deleted, with its folder
            mine = False
        except CannotRead:  # a shared disk may be away for a moment
            return
        if not mine:
            _end_at_once()
        if self.folder.is_to_finish():
            self.finish.set()

    def keep_heeding(self) -> None:
        while True:
            self.heed()
            time.sleep(HEED_S)


def _take(folder: JobFolder, attempt: int | None) -> tuple[Order, _Lease]:
    """The order, and a lease that is watched from now on; raises NoSuchJob, CannotRead, DiskFull, CannotWrite."""
    order = folder.order()  # before anything is written: the folder of a job that was deleted must not come back
    lease = _Lease(folder, order.attempt if attempt is None else attempt)
    folder.sign_in(lease.attempt)
    # And once more after signing in: whoever gave a newer one has either ended this process or is seen here.
    lease.heed()
    signal.signal(signal.SIGCONT, lambda _number, _frame: lease.heed())  # was it frozen, it looks before it works on
    Thread(target=lease.keep_heeding, name="heed the order", daemon=True).start()
    return order, lease


def main(arguments: list[str]) -> int:
    """Runs the job whose number is the first argument and returns the exit code."""
    _settle()
    job_id, attempt = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else None
    folder = JobFolder.of(job_id)
    try:
        order, lease = _take(folder, attempt)
        with folder.reporting() as report:
            run_task(order, report, lease.finish.is_set)
    except GroundplanError as error:
        print(error, file=sys.stderr)
        return _fail(folder, str(error), _CODES[DISK_FULL] if isinstance(error, DiskFull) else 2)
    except Exception as error:  # noqa: BLE001  the boundary: whatever a task raises becomes one sentence
        traceback.print_exc()
        sentence = sentence_for(error)
        return _fail(folder, sentence, _CODES[sentence])
    return 0


def _fail(folder: JobFolder, sentence: str, code: int) -> int:
    with suppress(GroundplanError):  # where even this cannot be written, the worker goes by the exit code
        if folder.path.is_dir():  # deleted with its job, it must not come back
            folder.fail(sentence)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
