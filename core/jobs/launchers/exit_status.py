"""Exit status of a job's process, and its environment."""

import os
import signal

from core import GDAL_GUARD
from core.jobs.failures import REASONS, UNEXPECTED
from core.jobs.job import State
from core.jobs.launchers.base import JobResult
from core.settings import settings

KILLED = "The job was killed, probably because memory ran out. Try again with a smaller batch size or fewer tiles."

#: Exit codes of a process after SIGTERM, with and without its handler.
TERMINATED = (128 + signal.SIGTERM, -signal.SIGTERM)


def job_result(code: int, message: str | None) -> JobResult:
    """Result of a job from its exit code (negative: the signal that ended the process) and its message."""
    if code == 0:
        return JobResult(State.DONE)
    if message:
        return JobResult(State.FAILED, message)
    if code == -signal.SIGKILL:
        return JobResult(State.FAILED, KILLED)
    if code < 0:
        cause = signal.strsignal(-code) or f"signal {-code}"
        return JobResult(State.FAILED, f"The job was terminated by the system ({cause}). See the log for details.")
    return JobResult(State.FAILED, REASONS.get(code, UNEXPECTED))


def environment() -> dict[str, str]:
    """Environment of a job's process: the current one, with the GDAL guards, which must be set before GDAL loads."""
    return os.environ | GDAL_GUARD | {
        "GROUNDPLAN_DATA": str(settings().data),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONUNBUFFERED": "1",  # lines appear in the log at once
        "PYTHONFAULTHANDLER": "1",  # a crash in a native library logs its stack
    }  # fmt: skip
