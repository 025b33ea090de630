"""The launcher for this machine: one child process a job, in a process group of its own."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen, TimeoutExpired
from typing import Any, Self

from core import GDAL_GUARD
from core.errors import CannotStart
from core.jobs.child import GRACE_S, UNEXPECTED
from core.jobs.folder import JobFolder
from core.jobs.store import Job, State
from core.settings import settings

ROOT = Path(__file__).parents[2]
CHILD = (sys.executable, "-m", "core.jobs.child")

KILLED = (
    "The job was killed, most likely because memory ran out. "
    "Try again with smaller batches, smaller windows or fewer tiles."
)


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    state: State
    error: str | None = None


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
    return Outcome(State.FAILED, UNEXPECTED)


def environment() -> dict[str, str]:
    """The environment of a job: this one's, with the guards that work only when set before GDAL loads."""
    return os.environ | GDAL_GUARD | {
        "GROUNDPLAN_DATA": str(settings().data),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONUNBUFFERED": "1",  # the log shows a line when it is printed
        "PYTHONFAULTHANDLER": "1",  # a crash in a library leaves its stack in the log
    }  # fmt: skip


@dataclass(frozen=True)
class LocalRun:
    """A job that runs on this machine. Leaving the `with` block ends what is left of it."""

    process: Popen[bytes]
    folder: JobFolder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def wait(self, seconds: float) -> Outcome | None:
        """How it ended, or None where it still runs after so many seconds."""
        try:
            return outcome(self.process.wait(seconds), self.folder.error())
        except TimeoutExpired:
            return None

    def stop(self) -> None:
        """Ends the whole process group: SIGTERM, then SIGKILL for what is left when the job's process has ended,
        at the latest after GRACE_S seconds."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            self.wait(GRACE_S)
        self._signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group that has ended
            os.killpg(self.process.pid, number)


def launch(job: Job, command: Sequence[str] = CHILD) -> LocalRun:
    """Starts the job's process; raises CannotStart."""
    folder = JobFolder.of(job.id)
    try:
        folder.prepare()
        with folder.log.open("ab") as log:
            process = Popen(
                [*command, str(job.id)], cwd=ROOT, env=environment(), start_new_session=True,
                stdin=PIPE,  # held open while this process lives; see child._follow_the_worker
                stdout=log, stderr=STDOUT,
            )  # fmt: skip
    except OSError as error:
        raise CannotStart(job=job.id, detail=error.strerror or str(error)) from error
    return LocalRun(process, folder)
