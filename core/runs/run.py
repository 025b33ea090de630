"""A training run is a folder; everything it produced lies in it.

config.json    what was trained on what, and how (`Record`)
metrics.jsonl  one line an epoch
steps.jsonl    points of the curves within epochs; live.json how it goes at this second (core/runs/live_metrics.py)
log.txt        one line an event
tuning.json    the thresholds that found most buildings of the validation ground (thresholds); refit-tuning.json
               while that ground is learned from
weights.json   which file holds the weights of the best epoch so far, in a refit of the last, and its SHA-256
epoch-N.weights.h5
checkpoint-*   what training goes on from (core/runs/checkpoints.py)
film/          what the network made of some windows after each epoch (core/runs/prediction_film.py)
events.out.*   the same figures for TensorBoard
"""

import hashlib
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from math import sqrt
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

import orjson
import pandas as pd

from core.atomic_files import add_line, keep_lines, read_lines, replacing, writing
from core.datasets.normalization import Scaling
from core.errors import DamagedRun, NoSuchRun, RunExists
from core.runs.config import TrainingConfig
from core.runs.live_metrics import STEPS, Live, read_steps
from core.runs.prediction_film import Film
from core.types import GsdRange

#: Columns of `Run.metrics`; each but epoch and seconds also with the prefix val_.
MEASURES = ("loss", "accuracy", "precision", "recall", "iou")
#: The further ones, without: crops learnt from in a second of learning, without the check.
_PACE = ("learning_rate", "images_s")
#: A network suits pixels this many times smaller or larger than those it was trained on.
_GSD_FACTOR = 2.0
_EARLY = "refit-tuning.json"


@dataclass(frozen=True)
class Record:
    """What config.json says: enough to predict with the weights and to train them again."""

    config: TrainingConfig
    train_tiles: tuple[str, ...]
    validation_tiles: tuple[str, ...]  #: a tile in both was divided by a line
    scaling: Scaling
    bands: int
    gsd_m: tuple[float, float]  #: width and height of the network's pixels on the ground
    parameters: int
    device: str
    versions: Mapping[str, str]
    between_tiles: tuple[str, ...] = ()  #: left out, because they lie between both sides; in a refit learned from
    pretrained: str = ""  #: what its weights had learned from before, with their licence; empty: they were random
    notes: tuple[str, ...] = ()  #: what was left out, and how the ground was divided
    continues: str = ""  #: the run whose weights this one began with
    precision: str = "float32"  #: what the arithmetic was done in
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    @property
    def tiles(self) -> tuple[str, ...]:
        """Ids of all tiles that training was given and could read."""
        return tuple(dict.fromkeys((*self.train_tiles, *self.validation_tiles, *self.between_tiles)))

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Record":
        """From the parsed JSON; raises KeyError, TypeError or InvalidSetting where it is not such a record."""
        scaling = Scaling(tuple(values["scaling"]["low"]), tuple(values["scaling"]["high"]))
        across, down = values["gsd_m"]
        lists = {key: tuple(values[key]) for key in ("train_tiles", "validation_tiles", "notes")}
        lists["between_tiles"] = tuple(values.get("between_tiles", ()))
        config = TrainingConfig.of(values["config"])
        return cls(**{**values, **lists, "config": config, "scaling": scaling, "gsd_m": (across, down)})


@dataclass(frozen=True)
class Run:
    """A run's folder. Properties read it anew as it grows, but for the record, which never changes."""

    path: Path

    @classmethod
    def create(cls, path: Path, record: Record) -> "Run":
        """A new run; raises RunExists, CannotWrite, DiskFull."""
        refuse_existing(path)
        run = cls(path)
        run._write("config.json", asdict(record))
        return run

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def exists(self) -> bool:
        """Whether training has begun here."""
        return self._file("config.json").is_file()

    @cached_property
    def record(self) -> Record:
        """What was trained on what; raises NoSuchRun, DamagedRun."""
        if not self._file("config.json").is_file():
            raise NoSuchRun(name=self.path)
        try:
            return Record.of(self._read("config.json"))
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedRun(name=self.path, detail="its config.json cannot be read") from error

    @property
    def config(self) -> TrainingConfig:
        """What the person chose."""
        return self.record.config

    @property
    def created(self) -> datetime:
        """When training began; raises DamagedRun."""
        try:
            return datetime.fromisoformat(self.record.created).astimezone(UTC)
        except ValueError as error:
            raise DamagedRun(name=self.path, detail="it does not say when it was trained") from error

    def metrics(self) -> pd.DataFrame:
        """One row an epoch: epoch, seconds, MEASURES and val_ MEASURES, val_f1; NaN where something was divided by
        nothing or not asked for.

        A line that is not whole yet is left out.
        """
        columns = ["epoch", "seconds", *MEASURES, *(f"val_{name}" for name in (*MEASURES, "f1")), *_PACE]
        try:
            rows = read_lines(self._file("metrics.jsonl"))
        except ValueError as error:
            raise DamagedRun(name=self.path, detail="its metrics.jsonl cannot be read") from error
        return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[1:], float) | {"epoch": int})

    def add_metrics(self, row: Mapping[str, float]) -> None:
        """Appends the figures of an epoch; raises CannotWrite, DiskFull."""
        add_line(self._file("metrics.jsonl"), dict(row))

    def drop_after(self, epoch: int, seen: float = 0.0) -> None:
        """Forgets the figures beyond so many whole epochs and a share of the next: training goes on from there."""
        keep_lines(self._file("metrics.jsonl"), lambda row: row["epoch"] <= epoch)
        keep_lines(self._file(STEPS), lambda row: row["epoch"] <= epoch + seen)

    def copy_history(self, parent: "Run") -> None:
        """Takes over another run's curves, film and best weights; raises DamagedRun, CannotWrite, DiskFull."""
        weights = parent.weights()
        with writing(self.path):
            for file in (weights, *(parent._file(name) for name in ("weights.json", "metrics.jsonl", STEPS))):
                if file.is_file():
                    shutil.copyfile(file, self.path / file.name)
            if parent.film.path.is_dir():
                shutil.copytree(parent.film.path, self.film.path, dirs_exist_ok=True)

    def log(self, text: str) -> None:
        """Appends a line to log.txt, with the time in UTC; raises CannotWrite, DiskFull."""
        file = self._file("log.txt")
        with writing(file), file.open("a", encoding="utf-8") as opened:
            opened.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")

    def live(self) -> Live | None:
        """How the training is going at this moment; None before and after it."""
        return Live.read(self.path)

    def steps(self) -> pd.DataFrame:
        """A row every second of training or less often: epoch (2.5 is the middle of the third), loss, learning_rate,
        images_s."""
        return read_steps(self.path)

    @property
    def film(self) -> Film:
        """What the network made of some validation windows after each epoch."""
        return Film(self.path / "film")

    @property
    def log_text(self) -> str:
        """What log.txt says so far."""
        file = self._file("log.txt")
        return file.read_text("utf-8", errors="replace") if file.is_file() else ""

    @property
    def epochs_done(self) -> int:
        """How many epochs are whole."""
        try:
            rows = read_lines(self._file("metrics.jsonl"))
            return int(rows[-1]["epoch"]) if rows else 0
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedRun(name=self.path, detail="its metrics.jsonl cannot be read") from error

    @property
    def best_epoch(self) -> int:
        """The epoch of the weights: the best on the validation ground, in a refit the last; 0 before the first."""
        return int(self._weights["epoch"]) if self._file("weights.json").is_file() else 0

    @property
    def is_usable(self) -> bool:
        """Whether there is something to predict with; the weights themselves are verified by `weights`."""
        try:
            return bool(self.record.bands and self.best_epoch and self._weights_file.is_file())
        except (NoSuchRun, DamagedRun):
            return False

    @property
    def is_finished(self) -> bool:
        """Whether all epochs were trained, or as many as patience had it."""
        waited = self.epochs_done - self.best_epoch
        enough = self.epochs_done >= self.config.epochs or 0 < self.config.patience <= waited
        return self.is_usable and (enough or bool(self.config.minutes and self.tuned))

    @property
    def tuned(self) -> dict[str, Any] | None:
        """The tuned thresholds, as plain values; None before they were tuned, and in runs that are older than it."""
        try:
            return self._read("tuning.json")
        except (OSError, ValueError):
            return None

    def put_tuning(self, values: Mapping[str, Any]) -> None:
        """Keeps what threshold optimization found, once nothing is trained any more; raises CannotWrite, DiskFull."""
        self._write("tuning.json", dict(values))
        self._file(_EARLY).unlink(missing_ok=True)

    @property
    def early_tuning(self) -> dict[str, Any] | None:
        """What threshold optimization found before the validation ground was learned from; None before and after."""
        try:
            return self._read(_EARLY)
        except (OSError, ValueError):
            return None

    def put_early_tuning(self, values: Mapping[str, Any]) -> None:
        """Keeps what threshold optimization found, and that the validation ground is learned from now on."""
        self._write(_EARLY, dict(values))

    @property
    def refitted(self) -> bool:
        """Whether it learns, or has learned in the end, from the ground that was kept for validation."""
        return bool(self.early_tuning or (self.tuned or {}).get("refitted"))

    def taught(self, tile: str) -> Literal["train", "validation", "both", "new"]:
        """What a tile was to the network; of one that was divided by a line, both."""
        record = self.record
        if tile in record.tiles and self.refitted:
            return "train"
        trained, checked = tile in record.train_tiles, tile in record.validation_tiles
        return "both" if trained and checked else "train" if trained else "validation" if checked else "new"

    def weights(self) -> Path:
        """The file with the weights, verified against its SHA-256; raises NoSuchRun, DamagedRun."""
        if not self.record or not self._file("weights.json").is_file():
            raise DamagedRun(name=self.path, detail="it was stopped before its first epoch was whole")
        file = self._weights_file
        if not file.is_file() or _sha256(file) != self._weights["sha256"]:
            raise DamagedRun(name=self.path, detail="its weights are missing or have been changed")
        return file

    def put_weights(self, model: Any, epoch: int) -> None:
        """Saves a keras model's weights as the best. The old ones stay valid until the new ones are whole.

        Raises CannotWrite, DiskFull.
        """
        new = self._file(f"epoch-{epoch}.weights.h5")
        with replacing(new) as part:
            model.save_weights(part)
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
            raise DamagedRun(name=self.path, detail="its weights.json cannot be read") from error

    @property
    def _weights_file(self) -> Path:
        # Only the name: a weights.json from elsewhere must not lead out of the folder.
        return self._file(Path(self._weights["file"]).name)

    def _file(self, name: str) -> Path:
        return self.path / name

    def _read(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = orjson.loads(self._file(name).read_bytes())
        return values

    def _write(self, name: str, values: object) -> None:
        with replacing(self._file(name)) as part:
            part.write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2))


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def refuse_existing(path: Path) -> None:
    """Raises RunExists where a folder already holds a run."""
    if (path / "config.json").exists():
        raise RunExists(name=path)


def runs(folder: Path) -> list[Run]:
    """The runs in a folder, newest first, also those still without weights; `damaged` has the rest."""
    return sorted((run for run in _all(folder) if _problem(run) is None), key=lambda run: run.created, reverse=True)


def usable_runs(folder: Path) -> list[Run]:
    """The runs one can predict with, newest first."""
    return [run for run in runs(folder) if run.is_usable]


def trained_gsd(folder: Path) -> GsdRange | None:
    """Range of ground sample distances that the runs in a folder suit; None without a run."""
    sides = [sqrt(run.record.gsd_m[0] * run.record.gsd_m[1]) for run in usable_runs(folder)]
    return (min(sides) / _GSD_FACTOR, max(sides) * _GSD_FACTOR) if sides else None


def seconds_a_tile(folder: Path) -> float | None:
    """How long the newest run took for one tile and epoch, None where there is none to go by."""
    for run in usable_runs(folder)[:3]:
        with suppress(DamagedRun):
            seconds = run.metrics()["seconds"]
            if len(seconds) and run.record.train_tiles:
                return float(seconds.median()) / len(run.record.train_tiles)
    return None


def damaged(folder: Path) -> list[DamagedRun | NoSuchRun]:
    """What is wrong with the folders that `runs` leaves out, by name."""
    return [problem for run in _all(folder) if (problem := _problem(run))]


def _all(folder: Path) -> list[Run]:
    return [Run(path) for path in sorted(folder.iterdir()) if path.is_dir()] if folder.is_dir() else []


def _problem(run: Run) -> DamagedRun | NoSuchRun | None:
    try:
        _ = run.created
    except (DamagedRun, NoSuchRun) as problem:
        return problem
    return None


#: No folder's name is longer than this, whatever somebody called a training.
_LONGEST_NAME = 80


def run_name(words: str) -> str:
    """A folder for a new run that tells what it is and that no other run has."""
    readable = re.sub(r"[^\w.]+", "-", words, flags=re.ASCII).strip("-.")[:_LONGEST_NAME]
    return f"{readable or 'run'}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(2)}"
