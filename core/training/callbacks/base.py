"""What a training shows those who look on, and who they are. One that fails is switched off; training goes on."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import GroundplanError

if TYPE_CHECKING:
    from core.runs.run import Run  # which has a film, and so imports this package

#: So many validation windows are watched at the most.
MOST_WINDOWS = 4


@dataclass(frozen=True)
class Windows:
    """Up to MOST_WINDOWS validation windows, the same ones after every epoch."""

    pixels: NDArray[np.float32]  #: (n, side, side, bands), scaled to about 0 to 1; red, green, blue first
    target: NDArray[np.uint8]  #: (n, side, side), 1 in a building
    valid: NDArray[np.bool_]  #: (n, side, side), False where there is no picture


@dataclass(frozen=True)
class Epoch:
    """What an epoch has come to."""

    number: int  #: counted from 1
    figures: Mapping[str, float]  #: the row of metrics.jsonl
    probability: NDArray[np.float32]  #: (n, side, side) of the windows, 0 to 1


class Watcher(Protocol):
    """Told of a training, in this order. May raise GroundplanError and OSError, and nothing else."""

    def begin(self, run: "Run", windows: Windows, done: int, /) -> None:
        """Before the first epoch. `done` epochs are whole (more than 0 when resumed): what lies beyond is dropped."""

    def end_epoch(self, epoch: Epoch, /) -> None:
        """After every epoch."""

    def close(self, failed: bool = False, /) -> None:
        """At the end, also after a failure: lets go of files and connections. May be called twice."""


@dataclass
class Guarded:
    """A watcher whose failure never ends a training: the first one switches it off, with a line in the run's log."""

    watcher: Watcher
    _run: "Run | None" = field(default=None, init=False)
    _on: bool = field(default=True, init=False)

    def begin(self, run: "Run", windows: Windows, done: int) -> None:
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


def watchers() -> list[Watcher]:
    """Those that look on in this process, new for each training: the film, TensorBoard, MLflow where an address is set.

    None of them raises anything: what fails is switched off and told in the run's log.
    """
    # They import this module, and TensorBoard's format takes a moment to load.
    from core.runs.prediction_film import FilmStrip
    from core.training.callbacks.mlflow import MLflow
    from core.training.callbacks.tensorboard import TensorBoard

    chosen: list[Watcher] = [FilmStrip(), TensorBoard()]
    if os.environ.get("MLFLOW_TRACKING_URI"):
        chosen.append(MLflow())
    return [Guarded(watcher) for watcher in chosen]
