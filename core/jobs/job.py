"""A job, and where it is on its way. core/jobs/queue.py draws the way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

LOW, NORMAL, HIGH = -1, 0, 1


class State(StrEnum):
    """Where a job is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class Job:
    """One piece of work, as the queue knew it when it was asked. Times are UTC."""

    id: int
    task: str
    params: dict[str, Any]  #: what the task is given; anything JSON can say
    title: str  #: for people
    state: State
    priority: int  #: LOW, NORMAL or HIGH; higher ones start first
    attempt: int  #: starts so far, the present one included
    stalls: int  #: starts in a row that ended by silence
    created: datetime
    started: datetime | None  #: of the present attempt
    finished: datetime | None
    worker: str | None  #: who runs it, or ran it to its end
    heartbeat: float | None  #: when that worker was last heard of, in seconds of process.now()
    stop_requested: bool
    keep: bool  #: the stop keeps what there is
    error: str | None  #: a sentence for people, where it failed


@dataclass(frozen=True)
class WorkerStatus:
    """What a worker last said of itself."""

    name: str
    device: str | None  #: for example "GPU NVIDIA H200"; None until it is known
    busy_with: int | None  #: the id of its job, or of one of them
    seen: datetime
    alive: bool  #: seen within SILENCE_S


@dataclass(frozen=True)
class Resources:
    """GPUs and machines of one job."""

    gpus: int = 0  #: of each node
    nodes: int = 1  #: machines that work on it together

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Resources":
        """What the params of a job ask for."""
        return cls(**{name: int(params[name]) for name in ("gpus", "nodes") if name in params})

    def as_params(self) -> dict[str, int]:
        """For a job's params: only what differs from the usual."""
        return {key: value for key, value in asdict(self).items() if value != getattr(Resources, key)}

    def __str__(self) -> str:
        """For people, such as "2 machines with a CPU"."""
        each = f"{self.gpus} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else "a CPU"
        return f"{self.nodes} machines with {each}" if self.nodes > 1 else each
