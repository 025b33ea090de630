"""Live metrics of a running training: live.json is replaced, steps.jsonl grows."""

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from core.atomic_files import append_jsonl, atomic_write, read_jsonl
from core.errors import CannotWrite, DiskFull

STEPS = "steps.jsonl"
#: Maximum number of lines a training adds to steps.jsonl: more than a chart has pixels.
MAX_STEPS = 1000
_LIVE = "live.json"
_COLUMNS = ("epoch", "loss", "learning_rate", "images_s")


@dataclass(frozen=True)
class LiveMetrics:
    """Metrics of the latest step of a training."""

    epoch: int  #: counted from 1
    epochs: int
    batch: int  #: of the epoch, counted from 1
    batches: int
    loss: float  #: mean of the epoch so far
    learning_rate: float
    images_s: float  #: training speed in crops per second
    device_memory_bytes: int | None  #: in use on the GPU; None if unknown
    updated: datetime

    def write(self, folder: Path) -> None:
        """Write live.json; errors are ignored, because training does not depend on it."""
        with suppress(DiskFull, CannotWrite), atomic_write(folder / _LIVE) as temporary:
            temporary.write_bytes(orjson.dumps(asdict(self) | {"updated": self.updated.timestamp()}))

    def append_step(self, folder: Path) -> None:
        """Append a line to steps.jsonl; errors are ignored."""
        epoch = self.epoch - 1 + self.batch / self.batches
        with suppress(DiskFull, CannotWrite):
            append_jsonl(folder / STEPS, {"epoch": epoch, **{name: getattr(self, name) for name in _COLUMNS[1:]}})

    @classmethod
    def read(cls, folder: Path) -> "LiveMetrics | None":
        """Read live.json; None if there is none."""
        try:
            values: dict[str, Any] = orjson.loads((folder / _LIVE).read_bytes())
            return cls(**values | {"updated": datetime.fromtimestamp(values["updated"], UTC)})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def end_live(folder: Path) -> None:
    """Remove live.json at the end of a training."""
    (folder / _LIVE).unlink(missing_ok=True)


def read_steps(folder: Path) -> pd.DataFrame:
    """Read steps.jsonl, see Run.steps; empty if it is missing or damaged."""
    rows: list[dict[str, Any]] = []
    with suppress(ValueError):
        rows = read_jsonl(folder / STEPS)
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(float)
