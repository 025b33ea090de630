"""Job and its state; core/jobs/queue.py shows the transitions between states."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

LOW, NORMAL, HIGH = -1, 0, 1


class State(StrEnum):
    """State of a job in the queue."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_over(self) -> bool:
        """Tell whether the state is final."""
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True)
class Job:
    """Row of the job queue at the time of the query. Times are UTC."""

    id: int
    task: str
    params: dict[str, Any]  #: parameters of the task; any JSON values
    title: str  #: shown to users
    state: State
    priority: int  #: LOW, NORMAL or HIGH; higher ones start first
    attempt: int  #: number of starts, including the current one
    losses: int  #: consecutive attempts that ended by a heartbeat timeout or a lost run
    created: datetime
    started: datetime | None  #: of the current attempt
    finished: datetime | None
    worker: str | None  #: worker that runs the job or ran it to its end
    heartbeat: float | None  #: last heartbeat of that worker, process.now() [s]
    stop_requested: bool
    keep: bool  #: the job finishes early and keeps its results
    error: str | None  #: message of a failed job


@dataclass(frozen=True)
class WorkerStatus:
    """Last status that a worker reported."""

    name: str
    device: str | None  #: for example "GPU NVIDIA H200"; None until it is known
    busy_with: int | None  #: ID of its job, or of one of them
    last_seen: datetime
    alive: bool  #: last heartbeat within HEARTBEAT_TIMEOUT_S


@dataclass(frozen=True)
class Resources:
    """GPUs and machines of one job."""

    gpus: int = 0  #: per node
    nodes: int = 1  #: machines that run the job together

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Resources":
        """Read the requested resources from the parameters of a job."""
        return cls(**{name: int(params[name]) for name in ("gpus", "nodes") if name in params})

    def as_params(self) -> dict[str, int]:
        """Convert to job parameters, without default values."""
        return {key: value for key, value in asdict(self).items() if value != getattr(Resources, key)}

    def __str__(self) -> str:
        """Description for users, such as "2 machines with a CPU"."""
        per_node = f"{self.gpus} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else "a CPU"
        return f"{self.nodes} machines with {per_node}" if self.nodes > 1 else per_node
