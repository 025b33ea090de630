"""Run folder: everything that a training leaves on disk.

config.json    configuration, tiles, normalization, device and versions (`Record`)
metrics.jsonl  one line per epoch
steps.jsonl    points of the curves within epochs; live.json the latest step (core/runs/live_metrics.py)
log.txt        one line per event
tuning.json    thresholds optimized on the validation set; refit-tuning.json during a refit
weights.json   file with the weights of the best epoch so far, in a refit of the last, and its SHA-256
epoch-N.weights.h5
checkpoint-*   state to resume from (core/runs/checkpoints.py)
film/          predictions for some validation crops after each epoch (core/runs/prediction_film.py)
events.out.*   metrics for TensorBoard
"""

import hashlib
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from math import sqrt
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

import orjson
import pandas as pd

from core.atomic_files import append_jsonl, atomic_write, filter_jsonl, read_jsonl, translating_errors
from core.compat import from_stored, to_stored
from core.datasets.normalization import Normalization
from core.errors import DamagedRun, NoSuchRun, RunExists
from core.runs.config import TrainingConfig
from core.runs.live_metrics import STEPS, LiveMetrics, read_steps
from core.runs.prediction_film import Film
from core.types import GsdRange

#: Metrics of an epoch in metrics.jsonl, on the training crops and, with the prefix val_, on the validation crops.
MEASURES = ("loss", "accuracy", "precision", "recall", "iou")
#: Further columns, without val_; images_s is the training speed in crops per second.
_TRAINING_COLUMNS = ("learning_rate", "images_s")
#: A network suits a GSD this many times smaller or larger than the one it was trained on.
_GSD_FACTOR = 2.0
_REFIT_THRESHOLDS = "refit-tuning.json"


@dataclass(frozen=True)
class Record:
    """Content of config.json: enough to predict with the weights and to train them again."""

    config: TrainingConfig
    train_tiles: tuple[str, ...]
    validation_tiles: tuple[str, ...]  #: a tile in both was divided by a line
    normalization: Normalization
    bands: int
    gsd_m: tuple[float, float]  #: width and height of a pixel of the network [m]
    parameters: int
    device: str
    versions: Mapping[str, str]
    buffer_tiles: tuple[str, ...] = ()  #: left out between training and validation; used in a refit
    pretrained: str = ""  #: source of pretrained weights, with their license; empty: random
    notes: tuple[str, ...] = ()  #: what was left out, and how the tiles were split
    continues: str = ""  #: name of the run this one continues
    precision: str = "float32"  #: of computation
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    @property
    def tiles(self) -> tuple[str, ...]:
        """Ids of all tiles that could be read."""
        return tuple(dict.fromkeys((*self.train_tiles, *self.validation_tiles, *self.buffer_tiles)))

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Record":
        """Create from parsed JSON; raises KeyError, TypeError or InvalidSetting for anything else."""
        values = from_stored(cls, values)
        limits = values["normalization"]
        normalization = Normalization(tuple(limits["low"]), tuple(limits["high"]))
        width_m, height_m = values["gsd_m"]
        lists = {key: tuple(values[key]) for key in ("train_tiles", "validation_tiles", "notes")}
        lists["buffer_tiles"] = tuple(values.get("buffer_tiles", ()))
        config = TrainingConfig.of(values["config"])
        nested = {"config": config, "normalization": normalization, "gsd_m": (width_m, height_m)}
        return cls(**{**values, **lists, **nested})


@dataclass(frozen=True)
class Run:
    """Folder of a run. Properties read it again each time, except for the record, which never changes."""

    path: Path

    @classmethod
    def create(cls, path: Path, record: Record) -> "Run":
        """Create a run; raises RunExists, CannotWrite, DiskFull."""
        ensure_absent(path)
        run = cls(path)
        run._write("config.json", to_stored(record))
        return run

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def exists(self) -> bool:
        """True if the folder has a run."""
        return self._file("config.json").is_file()

    @cached_property
    def record(self) -> Record:
        """Content of config.json; raises NoSuchRun, DamagedRun."""
        if not self._file("config.json").is_file():
            raise NoSuchRun(name=self.path)
        try:
            return Record.of(self._read("config.json"))
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedRun(name=self.path, detail="its config.json is damaged") from error

    @property
    def config(self) -> TrainingConfig:
        """Settings of the training."""
        return self.record.config

    @property
    def created(self) -> datetime:
        """Time the training started; raises DamagedRun."""
        try:
            return datetime.fromisoformat(self.record.created).astimezone(UTC)
        except ValueError as error:
            raise DamagedRun(name=self.path, detail="its training date is missing") from error

    def metrics(self) -> pd.DataFrame:
        """Read metrics.jsonl, one row per epoch; an incomplete last line is left out. Raises DamagedRun.

        Columns: epoch, seconds, MEASURES, val_ MEASURES, val_f1, learning_rate, images_s; NaN where undefined.
        """
        columns = ["epoch", "seconds", *MEASURES, *(f"val_{name}" for name in (*MEASURES, "f1")), *_TRAINING_COLUMNS]
        try:
            rows = read_jsonl(self._file("metrics.jsonl"))
        except ValueError as error:
            raise DamagedRun(name=self.path, detail="its metrics.jsonl is damaged") from error
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[1:], float) | {"epoch": int})

    def add_metrics(self, row: Mapping[str, float]) -> None:
        """Append the metrics of an epoch; raises CannotWrite, DiskFull."""
        append_jsonl(self._file("metrics.jsonl"), dict(row))

    def truncate_after(self, epoch: int, share: float = 0.0) -> None:
        """Drop metrics after an epoch and a share of the next, from where the training resumes."""
        filter_jsonl(self._file("metrics.jsonl"), lambda row: row["epoch"] <= epoch)
        filter_jsonl(self._file(STEPS), lambda row: row["epoch"] <= epoch + share)

    def copy_history(self, parent: "Run") -> None:
        """Copy metrics, film and best weights of another run; raises DamagedRun, CannotWrite, DiskFull."""
        weights = parent.weights()
        with translating_errors(self.path):
            for file in (weights, *(parent._file(name) for name in ("weights.json", "metrics.jsonl", STEPS))):
                if file.is_file():
                    shutil.copyfile(file, self.path / file.name)
            if parent.film.path.is_dir():
                shutil.copytree(parent.film.path, self.film.path, dirs_exist_ok=True)

    def log(self, text: str) -> None:
        """Append a line to log.txt, with the time in UTC; raises CannotWrite, DiskFull."""
        file = self._file("log.txt")
        with translating_errors(file), file.open("a", encoding="utf-8") as opened:
            opened.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")

    def live(self) -> LiveMetrics | None:
        """Read live.json; None before and after the training."""
        return LiveMetrics.read(self.path)

    def steps(self) -> pd.DataFrame:
        """Read steps.jsonl, at most one row per second of training.

        Columns: epoch (2.5 is the middle of the third), loss, learning_rate, images_s.
        """
        return read_steps(self.path)

    @property
    def film(self) -> Film:
        """Prediction film: predictions for some validation crops after each epoch."""
        return Film(self.path / "film")

    @property
    def log_text(self) -> str:
        """Content of log.txt so far."""
        file = self._file("log.txt")
        return file.read_text("utf-8", errors="replace") if file.is_file() else ""

    @property
    def epochs_done(self) -> int:
        """Number of completed epochs; raises DamagedRun."""
        try:
            rows = read_jsonl(self._file("metrics.jsonl"))
            return int(rows[-1]["epoch"]) if rows else 0
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedRun(name=self.path, detail="its metrics.jsonl is damaged") from error

    @property
    def best_epoch(self) -> int:
        """Epoch of the weights: the best on the validation set, in a refit the last; 0 before the first."""
        return int(self._weights["epoch"]) if self._file("weights.json").is_file() else 0

    @property
    def is_usable(self) -> bool:
        """True if there are weights to predict with; `weights` verifies the file itself."""
        try:
            return bool(self.record.bands and self.best_epoch and self._weights_file.is_file())
        except (NoSuchRun, DamagedRun):
            return False

    @property
    def is_finished(self) -> bool:
        """True after the last epoch, early stopping, or the end of the time budget."""
        since_best = self.epochs_done - self.best_epoch
        is_complete = self.epochs_done >= self.config.epochs or 0 < self.config.patience <= since_best
        return self.is_usable and (is_complete or bool(self.config.minutes and self.stored_thresholds))

    @property
    def stored_thresholds(self) -> dict[str, Any] | None:
        """Optimized thresholds as plain values; None before the optimization, and in old runs."""
        try:
            return self._read("tuning.json")
        except (OSError, ValueError):
            return None

    def save_thresholds(self, values: Mapping[str, Any]) -> None:
        """Save the thresholds at the end of the training; raises CannotWrite, DiskFull."""
        self._write("tuning.json", dict(values))
        self._file(_REFIT_THRESHOLDS).unlink(missing_ok=True)

    @property
    def refit_thresholds(self) -> dict[str, Any] | None:
        """Thresholds optimized before a running refit; None before and after it."""
        try:
            return self._read(_REFIT_THRESHOLDS)
        except (OSError, ValueError):
            return None

    def save_refit_thresholds(self, values: Mapping[str, Any]) -> None:
        """Save the thresholds at the start of a refit; raises CannotWrite, DiskFull."""
        self._write(_REFIT_THRESHOLDS, dict(values))

    @property
    def refitted(self) -> bool:
        """True during and after a refit, which trains on the validation set as well."""
        return bool(self.refit_thresholds or (self.stored_thresholds or {}).get("refitted"))

    def role_of(self, tile: str) -> Literal["train", "validation", "both", "new"]:
        """Role of a tile in the training; "both" if a line divided it."""
        record = self.record
        if tile in record.tiles and self.refitted:
            return "train"
        in_train, in_validation = tile in record.train_tiles, tile in record.validation_tiles
        if in_train and in_validation:
            return "both"
        return "train" if in_train else "validation" if in_validation else "new"

    def weights(self) -> Path:
        """File with the weights, verified against its SHA-256; raises NoSuchRun, DamagedRun."""
        if not self.record or not self._file("weights.json").is_file():
            raise DamagedRun(name=self.path, detail="it was stopped before its first epoch was complete")
        file = self._weights_file
        if not file.is_file() or _sha256(file) != self._weights["sha256"]:
            raise DamagedRun(name=self.path, detail="its weights are missing or damaged")
        return file

    def save_weights(self, model: Any, epoch: int) -> None:
        """Save the weights of a Keras model as the best; the old ones stay valid until the new file is complete.

        Raises CannotWrite, DiskFull.
        """
        new = self._file(f"epoch-{epoch}.weights.h5")
        with atomic_write(new) as temporary:
            model.save_weights(temporary)
        self._write("weights.json", {"file": new.name, "sha256": _sha256(new), "epoch": epoch})
        for old in self.path.glob("epoch-*.weights.h5"):
            if old != new:
                old.unlink(missing_ok=True)

    @property
    def _weights(self) -> dict[str, Any]:
        try:
            weights = self._read("weights.json")
            return {"file": str(weights["file"]), "sha256": str(weights["sha256"]), "epoch": int(weights["epoch"])}
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise DamagedRun(name=self.path, detail="its weights.json is damaged") from error

    @property
    def _weights_file(self) -> Path:
        # Only the name: a weights.json from elsewhere must not point outside the folder.
        return self._file(Path(self._weights["file"]).name)

    def _file(self, name: str) -> Path:
        return self.path / name

    def _read(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = orjson.loads(self._file(name).read_bytes())
        return values

    def _write(self, name: str, values: object) -> None:
        with atomic_write(self._file(name)) as temporary:
            temporary.write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2))


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def ensure_absent(path: Path) -> None:
    """Raise RunExists if a folder has a run already."""
    if (path / "config.json").exists():
        raise RunExists(name=path)


def runs(folder: Path) -> list[Run]:
    """List the runs in a folder, newest first, including those without weights; see also `damaged`."""
    return sorted(
        (run for run in _run_folders(folder) if _problem(run) is None), key=lambda run: run.created, reverse=True
    )


def usable_runs(folder: Path) -> list[Run]:
    """List the runs that can predict, newest first."""
    return [run for run in runs(folder) if run.is_usable]


def trained_gsd(folder: Path) -> GsdRange | None:
    """Range of GSD that the runs in a folder suit [m]; None without a run."""
    gsds = [sqrt(run.record.gsd_m[0] * run.record.gsd_m[1]) for run in usable_runs(folder)]
    return (min(gsds) / _GSD_FACTOR, max(gsds) * _GSD_FACTOR) if gsds else None


def seconds_a_tile(folder: Path) -> float | None:
    """Training time per tile and epoch of the newest run [s]; None if unknown."""
    for run in usable_runs(folder)[:3]:
        with suppress(DamagedRun):
            seconds = run.metrics()["seconds"]
            if len(seconds) and run.record.train_tiles:
                return float(seconds.median()) / len(run.record.train_tiles)
    return None


def damaged(folder: Path) -> list[DamagedRun | NoSuchRun]:
    """List the errors of the folders that `runs` leaves out, by name."""
    return [problem for run in _run_folders(folder) if (problem := _problem(run))]


def _run_folders(folder: Path) -> list[Run]:
    return [Run(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []


def _problem(run: Run) -> DamagedRun | NoSuchRun | None:
    try:
        _ = run.created
    except (DamagedRun, NoSuchRun) as problem:
        return problem
    return None


#: Maximum length of the readable part of a folder's name.
_MAX_NAME = 80


def run_name(title: str) -> str:
    """Make a readable, unique folder name for a new run."""
    readable = re.sub(r"[^\w.]+", "-", title, flags=re.ASCII).strip("-.")[:_MAX_NAME]
    return f"{readable or 'run'}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(2)}"
