"""The callback that draws the prediction film."""

from dataclasses import dataclass, field
from pathlib import Path

from core.runs.prediction_film import Film, Windows
from core.runs.run import Run
from core.training.callbacks.base import Epoch


@dataclass
class FilmStrip:
    """The watcher that makes the film."""

    _film: Film = field(default=Film(Path()), init=False)

    def begin(self, run: Run, windows: Windows, done: int) -> None:
        """As `Watcher.begin`; raises CannotWrite, DiskFull."""
        self._film = Film(run.path / "film")
        self._film.begin(windows, done)

    def end_epoch(self, epoch: Epoch) -> None:
        """As `Watcher.end_epoch`; raises CannotWrite, DiskFull."""
        self._film.add(epoch.number, epoch.probability)

    def close(self, failed: bool = False) -> None:
        """Nothing is open."""
