"""Launcher protocol: start, poll and stop jobs on this machine or on a cluster."""

from dataclasses import dataclass
from typing import Protocol

from core.jobs.queue import Job, State


@dataclass(frozen=True)
class JobResult:
    """Final state of a job."""

    state: State
    error: str | None = None


class RunningJob(Protocol):
    """Started job. Each call returns within seconds, because the worker sends its heartbeats in between."""

    @property
    def reattached(self) -> bool:
        """Tell whether the launcher reattached to a run that had continued without a worker."""

    def wait(self, seconds: float) -> JobResult | None:
        """Wait for the end of the job; None if it still runs after the timeout.

        Raises:
            RunLost: The run ended for an external reason, such as a cluster failure.
        """

    def finish(self) -> None:
        """Ask the job to finish early and keep its results (JobFolder.request_finish)."""

    def stop(self) -> None:
        """Stop all processes of the job within 5 s; `wait` returns the result. Repeated calls are harmless."""

    def detach(self) -> None:
        """Detach at worker shutdown: stop a local run; a run on a cluster continues unless a stop was requested."""


class Launcher(Protocol):
    """Backend that runs jobs."""

    @property
    def slots(self) -> int:
        """Number of concurrent jobs: 1 on this machine, many on a cluster."""

    def start(self, job: Job) -> RunningJob:
        """Start the job, or reattach to its run if that still exists.

        Raises ClusterUnreachable (the job is requeued) or CannotStart (requeued, but failed after repeated failures).
        """

    def device(self) -> str | None:
        """Describe the device, such as "CPU AMD EPYC, 2 cores" or "Ray at http://… does not answer", if known."""
