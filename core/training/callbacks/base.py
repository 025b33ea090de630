"""Training callbacks: protocol, and a wrapper that disables a callback after an error while training continues."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import GroundplanError
from core.runs.prediction_film import PreviewBatch
from core.runs.run import Run


@dataclass(frozen=True)
class Epoch:
    """Results of an epoch."""

    number: int  #: counted from 1
    metrics: Mapping[str, float]  #: its row of metrics.jsonl
    probability: NDArray[np.float32]  #: prediction for the preview crops, (n, side, side), 0 to 1


class Callback(Protocol):
    """Callback of a training, called in this order; may raise only GroundplanError and OSError."""

    def begin(self, run: Run, preview: PreviewBatch, epochs_done: int, /) -> None:
        """Called before the first epoch; results beyond the completed epochs are dropped.

        Args:
            run: The run.
            preview: Validation crops that are predicted after every epoch.
            epochs_done: Completed epochs, more than 0 if the training is resumed.
        """

    def end_epoch(self, epoch: Epoch, /) -> None:
        """Called after every epoch."""

    def close(self, failed: bool = False, /) -> None:
        """Close files and connections, at the end or after a failure; may be called twice."""


@dataclass
class FaultTolerantCallback:
    """Wrapper that disables a callback at its first error, with a line in the log of the run."""

    callback: Callback
    _run: Run | None = field(default=None, init=False)
    _enabled: bool = field(default=True, init=False)

    def begin(self, run: Run, preview: PreviewBatch, epochs_done: int) -> None:
        """Run `Callback.begin` without raising.

        Args:
            run: The run.
            preview: Validation crops that are predicted after every epoch.
            epochs_done: Completed epochs.
        """
        self._run = run
        with self._tolerating_errors():
            self.callback.begin(run, preview, epochs_done)

    def end_epoch(self, epoch: Epoch) -> None:
        """Run `Callback.end_epoch` without raising."""
        if self._enabled:
            with self._tolerating_errors():
                self.callback.end_epoch(epoch)

    def close(self, failed: bool = False) -> None:
        """Run `Callback.close` without raising."""
        if self._enabled:
            with self._tolerating_errors():
                self.callback.close(failed)

    @contextmanager
    def _tolerating_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, GroundplanError) as error:
            self._enabled = False
            # On a full disk, neither this line nor the end of a file can be written.
            with suppress(OSError, GroundplanError):
                if self._run:
                    reason = " ".join(str(error).split())
                    name = type(self.callback).__name__.removesuffix("Callback")
                    self._run.log(f"{name} was disabled after an error; training continues: {reason}")
            with suppress(OSError, GroundplanError):
                self.callback.close(True)
