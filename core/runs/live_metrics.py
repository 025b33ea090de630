"""How a training goes at this moment, in its run's folder: live.json is replaced, steps.jsonl grows."""

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from core.atomic_files import add_line, read_lines, replacing
from core.errors import CannotWrite, DiskFull

STEPS = "steps.jsonl"
#: So many lines a training adds to it at the most: more than a curve has pixels.
MOST_STEPS = 1000
_LIVE = "live.json"
_COLUMNS = ("epoch", "loss", "learning_rate", "images_s")


@dataclass(frozen=True)
class Live:
    """The latest step of a training."""

    epoch: int  #: counted from 1
    epochs: int
    batch: int  #: of the epoch, counted from 1
    batches: int
    loss: float  #: mean of the epoch so far
    learning_rate: float
    images_s: float  #: crops learnt from in a second
    device_memory_bytes: int | None  #: in use on the GPU; None where the device does not tell
    updated: datetime

    def write(self, folder: Path) -> None:
        """Into live.json. A courtesy: a full disk ends training only where it must."""
        with suppress(DiskFull, CannotWrite), replacing(folder / _LIVE) as part:
            part.write_bytes(orjson.dumps(asdict(self) | {"updated": self.updated.timestamp()}))

    def note(self, folder: Path) -> None:
        """As a line of steps.jsonl. A courtesy as well."""
        at = self.epoch - 1 + self.batch / self.batches
        with suppress(DiskFull, CannotWrite):
            add_line(folder / STEPS, {"epoch": at, **{name: getattr(self, name) for name in _COLUMNS[1:]}})

    @classmethod
    def read(cls, folder: Path) -> "Live | None":
        """What live.json says; None where there is none."""
        try:
            facts: dict[str, Any] = orjson.loads((folder / _LIVE).read_bytes())
            return cls(**facts | {"updated": datetime.fromtimestamp(facts["updated"], UTC)})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def end_live(folder: Path) -> None:
    """Training is over: nothing is live any more."""
    (folder / _LIVE).unlink(missing_ok=True)


def read_steps(folder: Path) -> pd.DataFrame:
    """See Run.steps; empty where there are none or they cannot be read."""
    rows: list[dict[str, Any]] = []
    with suppress(ValueError):
        rows = read_lines(folder / STEPS)
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(float)
