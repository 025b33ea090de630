"""How long work tells whoever waits how far it is."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TypeAlias

#: Called with the share that is done (0 to 1) and what is being done.
Report: TypeAlias = Callable[[float, str], None]

#: Asked by work now and then: whether it is to end soon, with what there is.
Finish: TypeAlias = Callable[[], bool]


def silent(_share: float, _doing: str) -> None:
    """For work nobody waits for."""


def never() -> bool:
    """For work nobody asks to end early."""
    return False


@contextmanager
def asked_to_end() -> Iterator[Finish]:
    """Whether Ctrl-C was pressed in a terminal; a second one interrupts as usual. In the main thread."""
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is, at one moment."""

    share: float
    doing: str
    remaining_s: float | None = None  #: None while it is too early to tell


#: What grows by more than the one within fewer seconds than the other was done before: work that is taken up again.
_LEAP, _INSTANT_S = 0.05, 0.5


@dataclass
class Stopwatch:
    """Turns shares into Progress with the remaining time."""

    started: float = field(default_factory=time.monotonic)
    done_before: float = 0.0
    last: tuple[float, float] | None = None  #: time and share of the last word

    def at(self, share: float, doing: str) -> Progress:
        """The progress now; the rest is taken to go on as fast as it went."""
        now = time.monotonic()
        if self.last and now - self.last[0] < _INSTANT_S and share - self.last[1] > _LEAP:
            self.started, self.done_before = now, share
        self.last = now, share
        grown = share - self.done_before
        if share >= 1:
            return Progress(share, doing, 0.0)
        return Progress(share, doing, (now - self.started) / grown * (1 - share) if grown > 0.01 else None)
