"""A job, and where it is on its way. core/jobs/store.py draws the way."""

from dataclasses import dataclass
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
    heartbeat: float | None  #: when that worker was last heard of, in seconds of clock.now()
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
