"""Checkpoints: everything a training needs to go on, in one file that is whole or not there.

A safetensors file (arrays and a header of text, nothing that could run) with weights, optimiser and, in its header,
where training stands and the SHA-256 of all of it. The last two are kept: where the newest is damaged, the one before
it serves.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from core.atomic_files import replacing
from core.errors import DamagedCheckpoint, NoSuchCheckpoint

#: How many are kept.
KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{6})-(\d{9})\.safetensors")


@dataclass(frozen=True)
class Standing:
    """Where a training stands."""

    epoch: int = 0  #: whole epochs
    seen: int = 0  #: crops of the next epoch already learnt from
    sums: tuple[float, ...] = ()  #: of the pixels in those crops; see models.steps.base.Sums
    seconds: float = 0.0  #: spent on them
    best_epoch: int = 0  #: 0 before the first epoch is whole
    best_score: float = nan  #: its building IoU or F1 on the validation ground
    spent: float = 0.0  #: seconds of training before this process, and in it until the last whole epoch
    batch: int = 0  #: crops a step, where memory did not permit the wanted ones; 0: as wanted

    @property
    def order(self) -> tuple[int, int]:
        """Later ones are greater."""
        return self.epoch, self.seen


@dataclass(frozen=True)
class Checkpoint:
    """Where training stands, with the variables of network and optimiser in their order."""

    standing: Standing
    weights: Sequence[NDArray]
    optimizer: Sequence[NDArray]
    #: What the random numbers follow from: (seed, epoch) gives the order and the turns of an epoch's crops.
    random: Mapping[str, int] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)  #: the TrainingConfig as plain values

    def save(self, folder: Path) -> Path:
        """Writes it, and removes older ones but for KEPT in all, and those beyond it; raises CannotWrite, DiskFull."""
        arrays = {f"weights/{n:04d}": value for n, value in enumerate(self.weights)}
        arrays |= {f"optimizer/{n:04d}": value for n, value in enumerate(self.optimizer)}
        arrays = {name: np.asarray(value, order="C") for name, value in arrays.items()}  # 0-d stays 0-d
        said = {"standing": asdict(self.standing), "random": dict(self.random), "config": dict(self.config)}
        header = {name: orjson.dumps(value).decode() for name, value in said.items()}
        file = folder / f"checkpoint-{self.standing.epoch:06d}-{self.standing.seen:09d}.safetensors"
        with replacing(file) as part:
            part.write_bytes(save(arrays, header | {"sha256": _digest(arrays, header)}))
        files = list(_files(folder))
        place = files.index(file)
        for other in (*files[:place], *files[place + KEPT :]):  # training stands here: what lies beyond is damaged
            other.unlink(missing_ok=True)
        return file


def load(file: Path) -> Checkpoint:
    """Reads one; raises DamagedCheckpoint where a single bit is not as it was written."""
    try:
        with safe_open(file, framework="numpy") as opened:
            header = dict(opened.metadata() or {})
            arrays = {name: opened.get_tensor(name) for name in sorted(opened.keys())}
        if header.pop("sha256", "") != _digest(arrays, header):
            raise DamagedCheckpoint(name=file)
        said = {name: orjson.loads(header[name]) for name in ("standing", "random", "config")}
        score = said["standing"]["best_score"]  # JSON has no NaN
        values = {"sums": tuple(said["standing"]["sums"]), "best_score": nan if score is None else score}
        standing = Standing(**said["standing"] | values)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(name=file) from error
    weights, optimizer = (
        [value for name, value in arrays.items() if name.startswith(kind)] for kind in ("weights/", "optimizer/")
    )
    return Checkpoint(standing, weights, optimizer, said["random"], said["config"])


def latest(folder: Path) -> tuple[Checkpoint, list[DamagedCheckpoint]]:
    """The newest whole checkpoint, and what is wrong with newer ones; raises NoSuchCheckpoint."""
    problems: list[DamagedCheckpoint] = []
    for file in _files(folder):
        try:
            return load(file), problems
        except DamagedCheckpoint as problem:
            problems.append(problem)
    raise NoSuchCheckpoint(name=folder, detail=f" ({problems[0]})" if problems else "")


def _files(folder: Path) -> Iterator[Path]:
    """The checkpoints of a folder, newest first; their names sort as they follow each other."""
    yield from sorted((path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name)), reverse=True)


def _digest(arrays: Mapping[str, NDArray], header: Mapping[str, str]) -> str:
    """Over names, types, shapes and bytes of the arrays, and the header."""
    digest = hashlib.sha256(orjson.dumps(header, option=orjson.OPT_SORT_KEYS))
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(value.data if value.size else b"")
    return digest.hexdigest()
