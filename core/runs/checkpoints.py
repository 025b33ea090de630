"""Checkpoints: everything needed to resume a training, in one file that is written atomically.

A safetensors file (arrays and a text header, no executable code) with weights, optimizer state and, in its header, the
trainer state and the SHA-256 of everything. The last two are kept: if the newest is damaged, the one before it is used.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from core.atomic_files import atomic_write
from core.compat import from_stored, to_stored
from core.errors import DamagedCheckpoint, NoSuchCheckpoint

#: Number of checkpoints that are kept.
MAX_CHECKPOINTS = 2
_NAME = re.compile(r"checkpoint-(\d{6})-(\d{9})\.safetensors")


@dataclass(frozen=True)
class TrainerState:
    """Progress of a training."""

    epoch: int = 0  #: completed epochs
    crops_seen: int = 0  #: crops of the next epoch already used
    sums: tuple[float, ...] = ()  #: of the metrics over those crops; see models.steps.base.MetricSums
    seconds: float = 0.0  #: time spent on them [s]
    best_epoch: int = 0  #: 0 before the first epoch is complete
    best_score: float = nan  #: its pixel IoU or building F1 on the validation set
    spent: float = 0.0  #: time of training in all processes until the last checkpoint [s]
    batch: int = 0  #: crops per step, if memory ran out with the configured ones; 0: as configured

    @property
    def order(self) -> tuple[int, int]:
        """Sort key: later states are greater."""
        return self.epoch, self.crops_seen


@dataclass(frozen=True)
class Checkpoint:
    """Trainer state with the variables of network and optimizer, in their order."""

    state: TrainerState
    weights: Sequence[NDArray]
    optimizer: Sequence[NDArray]
    #: Random seed and epoch, which determine the order and augmentation of the crops.
    random: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)  #: TrainingConfig as plain values

    def save(self, folder: Path) -> Path:
        """Write the file and remove all but the last MAX_CHECKPOINTS; raises CannotWrite, DiskFull."""
        arrays = {f"weights/{n:04d}": value for n, value in enumerate(self.weights)}
        arrays |= {f"optimizer/{n:04d}": value for n, value in enumerate(self.optimizer)}
        arrays = {name: np.asarray(value, order="C") for name, value in arrays.items()}  # 0-d stays 0-d
        values = {"standing": to_stored(self.state), "random": dict(self.random), "config": dict(self.config)}
        header = {name: orjson.dumps(value).decode() for name, value in values.items()}
        file = folder / f"checkpoint-{self.state.epoch:06d}-{self.state.crops_seen:09d}.safetensors"
        with atomic_write(file) as temporary:
            temporary.write_bytes(save(arrays, header | {"sha256": _digest(arrays, header)}))
        files = list(_files(folder))
        index = files.index(file)
        # Checkpoints of a later state are damaged, otherwise training would have resumed from them.
        for outdated in (*files[:index], *files[index + MAX_CHECKPOINTS :]):
            outdated.unlink(missing_ok=True)
        return file


def load(file: Path) -> Checkpoint:
    """Read a checkpoint; raises DamagedCheckpoint if a single bit has changed."""
    try:
        with safe_open(file, framework="numpy") as opened:
            header = dict(opened.metadata() or {})
            arrays = {name: opened.get_tensor(name) for name in sorted(opened.keys())}
        if header.pop("sha256", "") != _digest(arrays, header):
            raise DamagedCheckpoint(name=file)
        stored = {name: orjson.loads(header[name]) for name in ("standing", "random", "config")}
        score = stored["standing"]["best_score"]  # JSON has no NaN
        values = {"sums": tuple(stored["standing"]["sums"]), "best_score": nan if score is None else score}
        state = TrainerState(**from_stored(TrainerState, stored["standing"]) | values)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(name=file) from error
    weights, optimizer = (
        [value for name, value in arrays.items() if name.startswith(kind)] for kind in ("weights/", "optimizer/")
    )
    return Checkpoint(state, weights, optimizer, stored["random"], stored["config"])


def latest(folder: Path) -> tuple[Checkpoint, list[DamagedCheckpoint]]:
    """Load the newest intact checkpoint, with the errors of newer ones; raises NoSuchCheckpoint."""
    problems: list[DamagedCheckpoint] = []
    for file in _files(folder):
        try:
            return load(file), problems
        except DamagedCheckpoint as problem:
            problems.append(problem)
    raise NoSuchCheckpoint(name=folder, detail=f" ({problems[0]})" if problems else "")


def _files(folder: Path) -> Iterator[Path]:
    """Yield the checkpoint files of a folder, newest first; they sort by name."""
    yield from sorted((path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)), reverse=True)


def _digest(arrays: Mapping[str, NDArray], header: Mapping[str, str]) -> str:
    """SHA-256 of the header and of the names, types, shapes and bytes of the arrays."""
    digest = hashlib.sha256(orjson.dumps(header, option=orjson.OPT_SORT_KEYS))
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(value.data if value.size else b"")
    return digest.hexdigest()
