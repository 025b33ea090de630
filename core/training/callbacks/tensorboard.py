"""TensorBoard callback: an event file in the run folder for each start; `tensorboard --logdir <data>/runs`.

Written with tensorboardX, which needs no TensorFlow. Its SummaryWriter is not used: it writes from a thread, and blocks
forever once the thread has died of a full disk.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from core.runs.prediction_film import Film, PreviewBatch
from core.runs.run import MEASURES, Run
from core.training.callbacks.base import Epoch

if TYPE_CHECKING:
    from tensorboardX.record_writer import RecordWriter


#: Approximate number of images written, spread over the epochs; TensorBoard shows ten of them.
MAX_IMAGES = 20
_FORMAT = "brain.Event:2"


@dataclass
class TensorBoardCallback:
    """Logs metrics and film frames to TensorBoard."""

    _film: Film = field(default=Film(Path()), init=False)
    _every: int = field(default=1, init=False)  #: epochs from one image to the next
    _file: "RecordWriter | None" = field(default=None, init=False)

    def begin(self, run: Run, _preview: PreviewBatch, epochs_done: int) -> None:
        """Open a new event file.

        Args:
            run: The run.
            _preview: Not used; images come from the prediction film.
            epochs_done: Completed epochs; later events of earlier files become void.

        Raises:
            OSError: The file cannot be written.
        """
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.record_writer import RecordWriter

        self._film, self._every = run.film, max(1, run.config.epochs // MAX_IMAGES)
        self._file = RecordWriter(str(run.path / _next_name(run.path)))
        # A start at a step tells readers that events of earlier files from there on are void.
        self._write(0, file_version=_FORMAT)
        self._write(epochs_done + 1, session_log=SessionLog(status=SessionLog.START))
        self._file.flush()

    def end_epoch(self, epoch: Epoch) -> None:
        """Write the metrics of the epoch, and a film frame now and then; raises OSError."""
        from tensorboardX.proto.summary_pb2 import Summary

        if self._file is None:
            return
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in _scalars(epoch.metrics)]
        if epoch.number % self._every == 0 and epoch.number in self._film.frames:
            values.append(Summary.Value(tag="film", image=_image_summary(self._film.image_file(epoch.number))))
        self._write(epoch.number, summary=Summary(value=values))
        self._file.flush()

    def close(self, _failed: bool = False) -> None:
        """Close the event file; raises OSError."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _write(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        if self._file is not None:
            self._file.write(Event(wall_time=time.time(), step=step, **content).SerializeToString())


def _next_name(folder: Path) -> str:
    """Name of the next event file: readers sort by name, so it comes last even if the clock was set back."""
    name = "events.out.tfevents."
    numbers = [int(file.suffix[1:]) for file in folder.glob(f"{name}*") if file.suffix[1:].isdecimal()]
    return f"{name}{max([int(time.time()), *(number + 1 for number in numbers)]):010}"


def _scalars(metrics: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield tags and values: loss/train and loss/validation, so that both share a heading."""
    for name, value in metrics.items():
        if name.startswith("val_"):
            yield f"{name.removeprefix('val_')}/validation", value
        elif f"val_{name}" in metrics or name in MEASURES:
            yield f"{name}/train", value
        elif name != "epoch":
            yield name, value


def _image_summary(path: Path) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    with Image.open(path) as image:
        width, height = image.size
    return Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=path.read_bytes())
