"""Callback that writes the prediction film."""

from dataclasses import dataclass, field
from pathlib import Path

from core.runs.prediction_film import Film, PreviewBatch
from core.runs.run import Run
from core.training.callbacks.base import Epoch


@dataclass
class FilmCallback:
    """Writes a frame of the prediction film after every epoch."""

    _film: Film = field(default=Film(Path()), init=False)

    def begin(self, run: Run, preview: PreviewBatch, epochs_done: int) -> None:
        """Write image and ground truth of the preview crops.

        Args:
            run: The run.
            preview: Validation crops that are predicted after every epoch.
            epochs_done: Completed epochs.

        Raises:
            CannotWrite: The film cannot be written.
            DiskFull: The disk is full.
        """
        self._film = Film(run.path / "film")
        self._film.begin(preview, epochs_done)

    def end_epoch(self, epoch: Epoch) -> None:
        """Add the frame of the epoch; raises CannotWrite, DiskFull."""
        self._film.add(epoch.number, epoch.probability)

    def close(self, failed: bool = False) -> None:
        """Do nothing: no file stays open."""
