"""What runs in a job's own process: `python -m core.jobs.child <id>`, started by a launcher.

Exit codes: 0 done; 2 failed for a reason the task names; 1 failed unexpectedly, the traceback is in the log.
"""

import errno
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import FrameType

from core.errors import GroundplanError, is_out_of_memory
from core.jobs.folder import JobFolder
from core.jobs.store import Queue
from core.jobs.tasks import run_task
from core.settings import settings

#: Seconds a job has between SIGTERM and SIGKILL to remove its temporary files.
GRACE_S = 4.0

OUT_OF_MEMORY = (
    "The memory was not enough for this job. Try again with smaller batches, smaller windows or fewer tiles."
)
DISK_FULL = "There is no room left on the disk. Free some space and start the job again."
UNEXPECTED = "The job failed unexpectedly. The log has the details."


def sentence_for(error: Exception) -> str:
    """What people are told of an exception nobody foresaw."""
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "no space left" in str(error).lower():
        return DISK_FULL
    return UNEXPECTED


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
    if os.getpgrp() == os.getpid():  # not so where somebody starts it within a pipeline
        Thread(target=_follow_the_worker, name="follow the worker", daemon=True).start()
    os.nice(5)  # the server answers first
    with suppress(OSError):  # where memory ends, Linux is to end this process, not its worker or the server
        Path("/proc/self/oom_score_adj").write_text("500")


def main(arguments: list[str]) -> int:
    """Runs the job whose number is the first argument and returns the exit code."""
    _settle()
    job_id = int(arguments[0])
    folder = JobFolder.of(job_id)
    try:
        with folder.reporting() as report:
            run_task(Queue(settings().queue).get(job_id), report)
    except GroundplanError as error:
        print(error, file=sys.stderr)
        return _fail(folder, str(error), 2)
    except Exception as error:  # noqa: BLE001  the boundary: whatever a task raises becomes one sentence
        traceback.print_exc()
        return _fail(folder, sentence_for(error), 1)
    return 0


def _fail(folder: JobFolder, sentence: str, code: int) -> int:
    with suppress(GroundplanError):  # where even this cannot be written, the worker goes by the exit code
        folder.fail(sentence)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
