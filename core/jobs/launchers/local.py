"""The launcher for this machine: one child process a job, in a process group of its own."""

import os
import signal
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen, TimeoutExpired
from typing import Any, Self

from core.errors import CannotStart, RunLost
from core.jobs.failures import GRACE_S
from core.jobs.folder import JobFolder
from core.jobs.job import Job, State
from core.jobs.launchers.base import Outcome
from core.jobs.launchers.exit_status import TOLD_TO_END, environment, outcome
from core.runtime.device import Lookup

ROOT = Path(__file__).parents[3]
CHILD = (sys.executable, "-m", "core.jobs.runner")


@dataclass
class LocalRun:
    """A job that runs on this machine. Leaving the `with` block ends what is left of it."""

    process: Popen[bytes]
    folder: JobFolder
    taken_up: bool = False
    stopped: bool = False  #: by this worker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def wait(self, seconds: float) -> Outcome | None:
        """See Launched. With the job's process ends whatever it has started. Raises RunLost."""
        try:
            code = self.process.wait(seconds)
        except TimeoutExpired:
            return None
        self._end_the_rest()
        if self.stopped:
            return Outcome(State.STOPPED)
        said = self.folder.error()
        if code in TOLD_TO_END and not said:  # by whoever ends everything here, as systemd does
            raise RunLost(job=self.folder.path.name, detail="somebody else told its process to end")
        return outcome(code, said)

    def finish(self) -> None:
        """See Launched; raises DiskFull, CannotWrite."""
        self.folder.ask_to_finish()

    def leave(self) -> None:
        """See Launched: nothing goes on here without its worker."""
        self.stop()

    def stop(self) -> None:
        """Ends the whole process group: SIGTERM, then SIGKILL for what is left when the job's process has ended,
        at the latest after GRACE_S seconds."""
        self.stopped = True
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutExpired):
                self.process.wait(GRACE_S)
        self._end_the_rest()

    def _end_the_rest(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group that has ended
            os.killpg(self.process.pid, number)


def launch(job: Job, command: Sequence[str] = CHILD) -> LocalRun:
    """Starts the job's process, once nothing of an earlier attempt is left; raises CannotStart."""
    folder = JobFolder.of(job.id)
    try:
        folder.prepare(job)
        with folder.log.open("ab") as log:
            process = Popen(
                [*command, str(job.id), str(job.attempt)], cwd=ROOT, env=environment(), start_new_session=True,
                stdin=PIPE,  # held open while this process lives; see child._follow_the_worker
                stdout=log, stderr=STDOUT,
            )  # fmt: skip
    except OSError as error:
        raise CannotStart(job=job.id, detail=error.strerror or str(error)) from error
    return LocalRun(process, folder)


@dataclass
class Local:
    """This machine, one job after the other: two at once would only take each other's memory."""

    command: Sequence[str] = CHILD
    slots: int = 1
    lookup: Lookup = field(default_factory=Lookup)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.lookup.end)

    def start(self, job: Job) -> LocalRun:
        """See Launcher."""
        return launch(job, self.command)

    def device(self) -> str | None:
        """See Launcher."""
        return self.lookup.answer()
