"""Local launcher: one child process per job, in its own process group."""

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
from core.jobs.launchers.base import JobResult
from core.jobs.launchers.exit_status import TERMINATED, environment, job_result
from core.runtime.device import DeviceLookup

ROOT = Path(__file__).parents[3]
CHILD = (sys.executable, "-m", "core.jobs.runner")


@dataclass
class LocalJob:
    """Job on this machine, as a context manager that stops its process group."""

    process: Popen[bytes]
    folder: JobFolder
    reattached: bool = False
    stopped: bool = False  #: by this worker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def wait(self, seconds: float) -> JobResult | None:
        """See RunningJob. The rest of the process group is killed once the job's process has ended. Raises RunLost."""
        try:
            code = self.process.wait(seconds)
        except TimeoutExpired:
            return None
        self._kill_group()
        if self.stopped:
            return JobResult(State.STOPPED)
        message = self.folder.error()
        if code in TERMINATED and not message:  # by a system shutdown, for instance from systemd
            raise RunLost(job=self.folder.path.name, detail="its process was terminated")
        return job_result(code, message)

    def finish(self) -> None:
        """See RunningJob; raises DiskFull, CannotWrite."""
        self.folder.request_finish()

    def detach(self) -> None:
        """See RunningJob: a local job does not run without its worker."""
        self.stop()

    def stop(self) -> None:
        """Stop the process group: SIGTERM, then SIGKILL once the job's process has ended, after GRACE_S at most."""
        self.stopped = True
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            with suppress(TimeoutExpired):
                self.process.wait(GRACE_S)
        self._kill_group()

    def _kill_group(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS raises the latter for a group that has ended
            os.killpg(self.process.pid, number)


def launch(job: Job, command: Sequence[str] = CHILD) -> LocalJob:
    """Start the process of a job, after killing those of earlier attempts; raises CannotStart."""
    folder = JobFolder.of(job.id)
    try:
        folder.prepare(job)
        with folder.log.open("ab") as log:
            process = Popen(
                [*command, str(job.id), str(job.attempt)], cwd=ROOT, env=environment(), start_new_session=True,
                stdin=PIPE,  # held open while this worker lives; see runner._exit_with_worker
                stdout=log, stderr=STDOUT,
            )  # fmt: skip
    except OSError as error:
        raise CannotStart(job=job.id, detail=error.strerror or str(error)) from error
    return LocalJob(process, folder)


@dataclass
class LocalLauncher:
    """Launcher for this machine: one job at a time, because concurrent jobs would compete for memory."""

    command: Sequence[str] = CHILD
    slots: int = 1
    lookup: DeviceLookup = field(default_factory=DeviceLookup)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.lookup.end)

    def start(self, job: Job) -> LocalJob:
        """See Launcher."""
        return launch(job, self.command)

    def device(self) -> str | None:
        """See Launcher."""
        return self.lookup.result()
