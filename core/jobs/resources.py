"""What a job asks a cluster for, in its params; one machine gives all it has."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


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
