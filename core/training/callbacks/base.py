"""What a training shows those who look on, and who they are. One that fails is switched off; training goes on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import GroundplanError
from core.runs.prediction_film import Windows
from core.runs.run import Run


@dataclass(frozen=True)
class Epoch:
    """What an epoch has come to."""

    number: int  #: counted from 1
    figures: Mapping[str, float]  #: the row of metrics.jsonl
    probability: NDArray[np.float32]  #: (n, side, side) of the windows, 0 to 1


class Watcher(Protocol):
    """Told of a training, in this order. May raise GroundplanError and OSError, and nothing else."""

    def begin(self, run: Run, windows: Windows, done: int, /) -> None:
        """Before the first epoch. `done` epochs are whole (more than 0 when resumed): what lies beyond is dropped."""

    def end_epoch(self, epoch: Epoch, /) -> None:
        """After every epoch."""

    def close(self, failed: bool = False, /) -> None:
        """At the end, also after a failure: lets go of files and connections. May be called twice."""


@dataclass
class Guarded:
    """A watcher whose failure never ends a training: the first one switches it off, with a line in the run's log."""

    watcher: Watcher
    _run: Run | None = field(default=None, init=False)
    _on: bool = field(default=True, init=False)

    def begin(self, run: Run, windows: Windows, done: int) -> None:
        """As `Watcher.begin`, but never raises."""
        self._run = run
        with self._forgiving():
            self.watcher.begin(run, windows, done)

    def end_epoch(self, epoch: Epoch) -> None:
        """As `Watcher.end_epoch`, but never raises."""
        if self._on:
            with self._forgiving():
                self.watcher.end_epoch(epoch)

    def close(self, failed: bool = False) -> None:
        """As `Watcher.close`, but never raises."""
        if self._on:
            with self._forgiving():
                self.watcher.close(failed)

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except (OSError, GroundplanError) as error:
            self._on = False
            # On a full disk not even this line, or the end of a file, can be written.
            with suppress(OSError, GroundplanError):
                self._say(f"{type(self.watcher).__name__} was switched off, training goes on: {error}")
            with suppress(OSError, GroundplanError):
                self.watcher.close(True)

    def _say(self, text: str) -> None:
        if self._run:
            self._run.log(" ".join(text.split()))
