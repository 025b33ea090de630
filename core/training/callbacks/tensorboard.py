"""TensorBoard's event files, one in the run's folder for each start: `tensorboard --logdir <data>/runs` shows all runs.

Written with tensorboardX, which needs no TensorFlow. Its SummaryWriter is left alone: that writes from a thread of its
own, and waits forever once the thread has died of a full disk.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from core.runs.prediction_film import Film, Windows
from core.runs.run import MEASURES, Run
from core.training.callbacks.base import Epoch

if TYPE_CHECKING:
    from tensorboardX.record_writer import RecordWriter


#: TensorBoard shows ten pictures of a run; about so many are written, spread over the epochs.
PICTURES = 20
_FORMAT = "brain.Event:2"


@dataclass
class TensorBoard:
    """The watcher that writes them."""

    _film: Film = field(default=Film(Path()), init=False)
    _every: int = field(default=1, init=False)  #: epochs from one picture to the next
    _file: "RecordWriter | None" = field(default=None, init=False)

    def begin(self, run: Run, _windows: Windows, done: int) -> None:
        """As `Watcher.begin`; raises OSError."""
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.record_writer import RecordWriter

        self._film, self._every = run.film, max(1, run.config.epochs // PICTURES)
        self._file = RecordWriter(str(run.path / _next_name(run.path)))
        # A start at a step tells readers that what earlier files have from there on is void.
        self._write(0, file_version=_FORMAT)
        self._write(done + 1, session_log=SessionLog(status=SessionLog.START))
        self._file.flush()

    def end_epoch(self, epoch: Epoch) -> None:
        """As `Watcher.end_epoch`; raises OSError."""
        from tensorboardX.proto.summary_pb2 import Summary

        if self._file is None:
            return
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in _scalars(epoch.figures)]
        if epoch.number % self._every == 0 and epoch.number in self._film.frames:
            values.append(Summary.Value(tag="film", image=_picture(self._film.picture(epoch.number))))
        self._write(epoch.number, summary=Summary(value=values))
        self._file.flush()

    def close(self, _failed: bool = False) -> None:
        """As `Watcher.close`; raises OSError."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _write(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        if self._file is not None:
            self._file.write(Event(wall_time=time.time(), step=step, **content).SerializeToString())


def _next_name(folder: Path) -> str:
    """Readers go through the files by name: the new one comes last, even where the clock was set back."""
    name = "events.out.tfevents."
    numbers = [int(file.suffix[1:]) for file in folder.glob(f"{name}*") if file.suffix[1:].isdecimal()]
    return f"{name}{max([int(time.time()), *(number + 1 for number in numbers)]):010}"


def _scalars(figures: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Tags and values: loss/train beside loss/validation, so that both stand under one heading."""
    for name, value in figures.items():
        if name.startswith("val_"):
            yield f"{name.removeprefix('val_')}/validation", value
        elif f"val_{name}" in figures or name in MEASURES:
            yield f"{name}/train", value
        elif name != "epoch":
            yield name, value


def _picture(path: Path) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    with Image.open(path) as picture:
        width, height = picture.size
    return Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=path.read_bytes())
