"""Exit status of a job's process, and its environment."""

import os
import signal

from core import GDAL_GUARD
from core.jobs.failures import REASONS, UNEXPECTED
from core.jobs.job import State
from core.jobs.launchers.base import Outcome
from core.settings import settings

KILLED = (
    "The job was killed, most likely because memory ran out. "
    "Try again with smaller batches, smaller windows or fewer tiles."
)

#: The exit codes of a process that was told to end, in good order or before it could hear.
TOLD_TO_END = (128 + signal.SIGTERM, -signal.SIGTERM)


def outcome(code: int, said: str | None) -> Outcome:
    """What an exit code means (negative: the signal that ended the process), with what the job said of itself."""
    if code == 0:
        return Outcome(State.DONE)
    if said:
        return Outcome(State.FAILED, said)
    if code == -signal.SIGKILL:
        return Outcome(State.FAILED, KILLED)
    if code < 0:
        cause = signal.strsignal(-code) or f"signal {-code}"
        return Outcome(State.FAILED, f"The job was ended by the system ({cause}). The log may have the details.")
    return Outcome(State.FAILED, REASONS.get(code, UNEXPECTED))


def environment() -> dict[str, str]:
    """The environment of a job: this one's, with the guards that work only when set before GDAL loads."""
    return os.environ | GDAL_GUARD | {
        "GROUNDPLAN_DATA": str(settings().data),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONUNBUFFERED": "1",  # the log shows a line when it is printed
        "PYTHONFAULTHANDLER": "1",  # a crash in a library leaves its stack in the log
    }  # fmt: skip
