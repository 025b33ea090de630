"""Trains a network on tiles and leaves a run behind. Reads from top to bottom: data, network, run, epochs."""

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from core.backend import start_keras
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.dataset import Dataset, read_dataset
from core.errors import Diverged, InvalidSetting, UnknownNetwork
from core.progress import Report, silent
from core.runs import MEASURES, Record, Run, TrainingConfig, refuse_existing
from core.settings import settings
from models.registry import NETWORKS, Network, build

if TYPE_CHECKING:
    import keras

#: Share of the progress that reading the tiles takes.
READING = 0.1
_PACKAGES = ("tensorflow", "jax", "keras", "numpy", "rasterio", "shapely")


def networks() -> Mapping[str, Network]:
    """The networks a run can be trained with, by name; keras is not imported."""
    return NETWORKS


def train(tiles: Sequence[Tile], config: TrainingConfig, folder: Path, report: Report = silent) -> Run:
    """Trains on the labelled ones of the tiles and returns the run in `folder`, which grows with every epoch.

    Weights are those of the last whole epoch. Tiles lie in memory: about 5 MB each with 4 channels of 512×512.
    Raises RunExists, UnknownNetwork, InvalidSetting, TooFewTiles, UnreadableTiles, NoTrainingGround, Diverged, and what
    writing the run raises.
    """
    refuse_existing(folder)
    check_network(config)
    data = read_dataset(tiles, config.recipe, config.seed, lambda share, doing: report(READING * share, doing))
    report(READING, "building the network")
    start_keras(config.seed)
    model = build(config.network, data.bands, **config.options)
    run = Run.create(folder, _record(config, data, model.count_params()))
    for note in (f"{len(data.train)} crops to train on, {len(data.validation)} to check on.", *data.notes):
        run.log(note)
    _fit(model, data, Journal(run, report, -(-len(data.train) // config.batch)))
    return run


def check_network(config: TrainingConfig) -> None:
    """Raises UnknownNetwork, or InvalidSetting for an option the network does not have."""
    if config.network not in NETWORKS:
        raise UnknownNetwork(name=config.network, known=", ".join(NETWORKS))
    options = NETWORKS[config.network].options
    for name, value in config.options.items():
        if name not in options:
            raise InvalidSetting(setting=name, value=value, detail=f"{config.network} has only {', '.join(options)}")
        if not isinstance(value, type(options[name])):
            raise InvalidSetting(setting=name, value=value, detail=f"it is a value like {options[name]}")


def _record(config: TrainingConfig, data: Dataset, parameters: int) -> Record:
    from core.jobs.device import device_name

    pixels = [scene.grid.pixel_m for scene in data.train.scenes if scene.tile in data.train_tiles]
    across, down = np.median(pixels, axis=0)
    return Record(
        config=config,
        train_tiles=data.train_tiles,
        validation_tiles=data.validation_tiles,
        scaling=data.scaling,
        bands=data.bands,
        gsd_m=(float(across), float(down)),
        parameters=parameters,
        device=device_name(),
        versions=_versions(),
        between_tiles=data.between,
        notes=data.notes,
    )


def _versions() -> dict[str, str]:
    """Of those packages that are installed: a machine may have JAX and no TensorFlow."""
    found = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


@dataclass
class Journal:
    """Writes down what happens while keras fits; its methods are keras's callbacks."""

    run: Run
    report: Report
    batches: int  #: in an epoch
    epoch: int = 0
    began: float = field(default_factory=time.monotonic)

    def begin_epoch(self, epoch: int, _logs: Mapping[str, float] | None = None) -> None:
        """Starts the clock; keras counts from 0, people from 1."""
        self.epoch, self.began = epoch + 1, time.monotonic()

    def end_batch(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Reports progress; raises Diverged."""
        loss = float((logs or {})["loss"])
        if not isfinite(loss):
            self._diverged("the loss")
        epochs = self.run.config.epochs
        done = (self.epoch - 1 + (batch + 1) / self.batches) / epochs
        doing = f"epoch {self.epoch} of {epochs}, batch {batch + 1} of {self.batches}, loss {loss:.2f}"
        self.report(READING + (1 - READING) * done, doing)

    def _diverged(self, what: str) -> NoReturn:
        self.run.log(f"Epoch {self.epoch}: {what} is no number any more. Stopped.")
        raise Diverged(epoch=self.epoch)

    def end_epoch(self, model: "keras.Model", logs: Mapping[str, float]) -> None:
        """Puts the weights, the figures and a sentence into the run; raises Diverged."""
        # A finite loss is not enough: behind a ReLU a weight can be lost without a trace in it.
        if not all(np.isfinite(weight).all() for weight in model.get_weights()):
            self._diverged("a weight")
        seconds = round(time.monotonic() - self.began, 3)
        figures = {name: float(logs[name]) for prefix in ("", "val_") for m in MEASURES if (name := prefix + m) in logs}
        self.run.put_weights(model, self.epoch)
        self.run.add_metrics({"epoch": self.epoch, "seconds": seconds, **figures})
        said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self.run.log(f"Epoch {self.epoch} of {self.run.config.epochs} in {seconds:.1f} s: {said}")


def _fit(model: "keras.Model", data: Dataset, journal: Journal) -> None:
    import keras

    from models.fitting import Batches, compile_for_pixels

    config = journal.run.config
    compile_for_pixels(model, config.learning_rate).fit(
        Batches(data.train.cut, len(data.train), config.batch, config.seed),
        validation_data=Batches(data.validation.cut, len(data.validation), config.batch, None),
        epochs=config.epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_begin=journal.begin_epoch,
                on_train_batch_end=journal.end_batch,
                on_epoch_end=lambda _epoch, logs: journal.end_epoch(model, logs),
            )
        ],
    )


def train_task(params: Mapping[str, Any], report: Report) -> None:
    """The job: {"run": name of its folder, "tiles": [ids], "config": {…}}; raises what `train` raises, NoSuchTile."""
    folder = settings().runs / Path(str(params["run"])).name
    config = TrainingConfig.of(params.get("config", {}))
    catalog = read_catalog()
    _clear_interrupted(folder, config)
    train([catalog.tile(tile) for tile in params["tiles"]], config, folder, report)


def _clear_interrupted(folder: Path, config: TrainingConfig) -> None:
    """A job whose machine went down starts again: what its first try left behind goes."""
    if (folder / "config.json").is_file() and not Run(folder).is_finished and Run(folder).config == config:
        shutil.rmtree(folder)
