"""Where jobs run: what a worker asks of this machine, or of a cluster, to start them, watch them and end them."""

from dataclasses import dataclass
from typing import Protocol

from core.jobs.queue import Job, State


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    state: State
    error: str | None = None


class Launched(Protocol):
    """A job that was started. None of its calls may take longer than some seconds: the worker's heart beats between."""

    @property
    def taken_up(self) -> bool:
        """Whether it had been started before, and went on without a worker."""

    def wait(self, seconds: float) -> Outcome | None:
        """How it ended, or None where it still runs after so many seconds; raises RunLost where it is gone through
        no fault of its own, such as a cluster that died. Once it was told to stop, it ends as stopped."""

    def finish(self) -> None:
        """Asks it to end soon and to keep what it has (JobFolder.ask_to_finish)."""

    def stop(self) -> None:
        """Has all of it end within 5 s, which `wait` tells; once more does no harm."""

    def leave(self) -> None:
        """The worker leaves: a run on this machine is stopped, one on a cluster goes on unless it was told to stop."""


class Launcher(Protocol):
    """A place where jobs run."""

    @property
    def slots(self) -> int:
        """How many jobs run there at once: 1 on this machine, many on a cluster."""

    def start(self, job: Job) -> Launched:
        """Starts the job, or takes up its run that still goes on there.

        Raises ClusterAway (the job waits), CannotStart (it waits, too, but not for ever).
        """

    def device(self) -> str | None:
        """What it computes on, in words: "CPU AMD EPYC, 2 cores", "Ray at http://… does not answer"; None until it is
        known."""
