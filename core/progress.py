"""Progress reports of long work, remaining time, and requests to stop early."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TypeAlias

#: Called with the share done (0 to 1) and the current step.
Report: TypeAlias = Callable[[float, str], None]

#: Polled by long work: whether to end early with the result so far.
StopRequested: TypeAlias = Callable[[], bool]


def silent(_share: float, _doing: str) -> None:
    """Ignore progress."""


def never() -> bool:
    """Never request a stop."""
    return False


@contextmanager
def stop_requested() -> Iterator[StopRequested]:
    """Turn the first Ctrl-C into a stop request; a second one interrupts as usual. For the main thread."""
    interrupts: list[int] = []
    previous = signal.getsignal(signal.SIGINT)

    def note(number: int, _frame: FrameType | None) -> None:
        interrupts.append(number)
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(interrupts)
    finally:
        signal.signal(signal.SIGINT, previous)


@dataclass(frozen=True)
class Progress:
    """Progress of a piece of work at one moment."""

    share: float
    doing: str
    remaining_s: float | None = None  #: None until it can be estimated


#: A larger increase of the share within fewer seconds is resumed work and does not count for the rate.
_RESUMED_SHARE, _RESUMED_WITHIN_S = 0.05, 0.5


@dataclass
class Stopwatch:
    """Conversion of shares to Progress with the remaining time."""

    started: float = field(default_factory=time.monotonic)  #: monotonic time [s]
    resumed_share: float = 0.0  #: share that was done before the start, in an earlier attempt
    last: tuple[float, float] | None = None  #: time [s] and share of the last report

    def at(self, share: float, doing: str) -> Progress:
        """Return the progress now, assuming that the rest takes as long per share."""
        time_s = time.monotonic()
        if self.last and time_s - self.last[0] < _RESUMED_WITHIN_S and share - self.last[1] > _RESUMED_SHARE:
            self.started, self.resumed_share = time_s, share
        self.last = time_s, share
        gain = share - self.resumed_share
        if share >= 1:
            return Progress(share, doing, 0.0)
        return Progress(share, doing, (time_s - self.started) / gain * (1 - share) if gain > 0.01 else None)
