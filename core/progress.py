"""How long work tells whoever waits how far it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

#: Called with the share that is done (0 to 1) and what is being done.
Report: TypeAlias = Callable[[float, str], None]


def silent(_share: float, _doing: str) -> None:
    """For work nobody waits for."""


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is, at one moment."""

    share: float
    doing: str
    remaining_s: float | None = None  #: None while it is too early to tell


@dataclass
class Stopwatch:
    """Turns shares into Progress with the remaining time."""

    started: float = field(default_factory=time.monotonic)

    def at(self, share: float, doing: str) -> Progress:
        """The progress now; the rest is taken to go on as fast as it went."""
        spent = time.monotonic() - self.started
        return Progress(share, doing, spent / share * (1 - share) if share > 0.01 else None)
