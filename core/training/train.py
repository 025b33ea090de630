"""Trains a network on tiles and leaves a run behind. Reads from top to bottom: data, network, run, epochs."""

import gc
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from core.atomic_files import writing
from core.catalog.tile import Tile
from core.datasets.dataset import Dataset, read_dataset
from core.errors import InvalidSetting, NoSuchCheckpoint, RunBusy, UnknownNetwork
from core.progress import Finish, Report, never, silent
from core.runs.checkpoints import Standing, latest
from core.runs.config import TrainingConfig
from core.runs.live_metrics import end_live
from core.runs.run import Record, Run, refuse_existing
from core.runtime.keras_backend import start_keras
from core.training.callbacks.defaults import watchers
from core.training.crop_sampler import Drawing
from core.training.learner import Learner, local_strategy
from core.training.trainer import Fit
from models.registry import NETWORKS, Beginning, Network, pretrain

#: Share of the progress that reading the tiles takes.
READING = 0.1
_PACKAGES = ("tensorflow", "jax", "keras", "numpy", "rasterio", "shapely", "scikit-image", "scikit-learn")
_LOCK = ".lock"
#: Folder of the decoded tiles that memory has no room for, while a run is trained.
SCENES = "scenes"
#: Seconds to wait for another process to leave the run.
_PATIENCE_S = 10.0


def networks() -> Mapping[str, Network]:
    """The networks a run can be trained with, by name; keras is not imported."""
    return NETWORKS


@dataclass(frozen=True)
class _Lesson:
    """What one call of `train` is about."""

    run: Run
    told: Run  #: where this process writes: the run, or a folder that goes away
    config: TrainingConfig
    data: Dataset
    parent: Run | None
    strategy: Any
    report: Report
    finish: Finish


def train(
    tiles: Sequence[Tile],
    config: TrainingConfig,
    folder: Path,
    report: Report = silent,
    finish: Finish = never,
    resume: bool = False,
    parent: Run | None = None,
    strategy: Any = None,
    chief: bool = True,
) -> Run:
    """Trains on the labelled ones of the tiles and returns the run in `folder`, which grows with every epoch.

    The run predicts with the weights of its best epoch, after a refit of its last. With `resume` a run of the same
    configuration goes on from its last checkpoint, and a finished one is returned; a new run may begin where its
    `parent` ended. When `finish` says so, the running epoch is cut short and the run is usable. `strategy` spreads the
    work over machines (a tf.distribute.Strategy; all GPUs of this one need none) and knows no minutes, since every
    machine has a clock of its own; processes that are not the `chief` leave nothing behind.
    Raises RunExists, RunBusy, UnknownNetwork, InvalidSetting, TooFewTiles, UnreadableTiles, NoTrainingGround, Diverged,
    MemoryError, and what writing the run raises.
    """
    run = Run(folder)
    check_network(config)
    if strategy is not None and config.minutes:
        raise InvalidSetting(setting="minutes", value=config.minutes, detail="several machines end together by epochs")
    config = _for_tiles(config, tiles)
    if not (resume and run.exists and run.config == config):
        refuse_existing(folder)
    elif run.is_finished:  # it was interrupted between its last epoch and its job's end
        return run
    with _alone_in(folder) if chief else nullcontext(), TemporaryDirectory() as scratch:
        cache = (folder if chief else Path(scratch)) / SCENES
        try:
            data = _read(tiles, config, run if run.exists else parent, cache, report)
            report(READING, "building the network")
            start_keras()
            job = _Lesson(run, run if chief else Run(Path(scratch)), config, data, parent, strategy, report, finish)
            smaller = _fit(job, 0)
            while smaller:
                gc.collect()  # what fills the device is held by circles of TensorFlow's
                smaller = _fit(job, smaller)
        finally:
            shutil.rmtree(cache, ignore_errors=True)
    return run


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """No two processes write into one run. The lock goes with the process that holds it; raises RunBusy."""
    with writing(folder / _LOCK):
        lock = FileLock(folder / _LOCK, timeout=_PATIENCE_S)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunBusy(run=folder) from error
    _tidy(folder)
    try:
        yield
    finally:
        lock.release()
        if not Run(folder).exists:  # refused before anything was written
            with suppress(OSError):
                (folder / _LOCK).unlink(missing_ok=True)
                folder.rmdir()


def _tidy(folder: Path) -> None:
    """Removes what a training that was killed could not: files that never became whole, decoded tiles, live.json."""
    for left in folder.glob(".*"):
        if left.name != _LOCK and left.is_file():
            with suppress(OSError):
                left.unlink()
    shutil.rmtree(folder / SCENES, ignore_errors=True)
    end_live(folder)


def _read(tiles: Sequence[Tile], config: TrainingConfig, before: Run | None, cache: Path, report: Report) -> Dataset:
    """The data; scaled as the run before it was, where there is one."""
    scaling = before.record.scaling if before else None

    def reading(share: float, doing: str) -> None:
        report(READING * share, doing)

    targets = NETWORKS[config.network].targets
    return read_dataset(tiles, config.recipe, config.seed, reading, scaling, cache, targets, bool(config.refit))


def _for_tiles(config: TrainingConfig, tiles: Sequence[Tile]) -> TrainingConfig:
    """With a recipe for the resolution of the labelled ones of these tiles."""
    labelled = [tile.gsd_m for tile in tiles if tile.is_labelled]
    return replace(config, recipe=config.recipe.seeing(float(np.median(labelled)))) if labelled else config


def _fit(job: _Lesson, batch: int) -> int:
    """Trains to the end, with at most `batch` crops a step (0: as wanted); the half of them, where memory ran out."""
    learner = Learner.build(job.config, job.data.bands, job.strategy or local_strategy())
    standing = _stand(job, learner)
    standing = replace(standing, batch=min(batch or standing.batch, standing.batch or batch))
    lookers = watchers() if job.told is job.run else []
    fit = Fit(job.told, job.config, job.data, learner, standing, lookers, _after_reading(job.report), job.finish)
    try:
        fit.to_the_end()
    except MemoryError:
        if fit.batch == 1:
            raise
        job.told.log(f"The memory was not enough for {fit.batch} crops a step. Going on with {fit.batch // 2}.")
        return fit.batch // 2
    return 0


def _after_reading(report: Report) -> Report:
    return lambda share, doing: report(READING + (1 - READING) * share, doing)


def _stand(job: _Lesson, learner: Learner) -> Standing:
    """Where training begins: at the run's last checkpoint, where its parent ended, or at nothing."""
    run, told, data = job.run, job.told, job.data
    if not run.exists:
        record = _record(job, learner)
        begun = _beginning(job, learner)
        standing = _take_over(told, job.parent, learner) if job.parent else Standing()
        notes = (*record.notes, begun.said) if begun.said else record.notes
        Run.create(told.path, replace(record, notes=notes, pretrained=begun.source))
        for note in (
            begun.said,
            f"{len(data.train)} crops to train on, {len(data.validation)} to check on.",
            *data.notes,
        ):
            if note:
                told.log(note)
        if job.parent:
            _tell_changes(told, job.parent.record, data, learner)
            _mind_refit(told, job.parent, data)
        return standing
    if told is not run and run.early_tuning:
        told.put_early_tuning(run.early_tuning)
    try:
        standing = _restore(run, told, learner)
    except NoSuchCheckpoint as problem:
        told.log(str(problem))
        standing = Standing()
    done = f"{standing.epoch} whole epochs and {standing.seen} crops" if standing.seen else f"{standing.epoch} epochs"
    told.log(f"Going on after {done}." if standing.order > (0, 0) else "Starting again: no epoch was whole.")
    _tell_changes(told, run.record, data, learner)
    told.drop_after(standing.epoch, standing.seen / len(Drawing(job.config, data.train)))
    return standing


def _beginning(job: _Lesson, learner: Learner) -> Beginning:
    """What a new run's weights are; those of its parent had their own beginning."""
    if job.parent:
        return Beginning(job.parent.record.pretrained)
    return pretrain(job.config.network, learner.model, **job.config.options)


def _tell_changes(told: Run, before: Record, data: Dataset, learner: Learner) -> None:
    """What is not as it was when the weights began to learn."""
    if (data.train_tiles, data.validation_tiles) != (before.train_tiles, before.validation_tiles):
        told.log("The tiles have changed since training began: they are divided anew.")
    if learner.precision != before.precision:
        told.log(f"It began in {before.precision} and goes on in {learner.precision}.")


def _mind_refit(told: Run, parent: Run, data: Dataset) -> None:
    """Ground that the parent has learned from cannot check its child: thresholds stay, and no epoch is checked."""
    if parent.refitted and parent.tuned and any(parent.taught(tile) == "train" for tile in data.validation_tiles):
        told.put_early_tuning(parent.tuned)
        told.log(f"{parent.name} has learned from all of this ground: nothing is left to check on, thresholds stay.")


def _restore(run: Run, told: Run, learner: Learner) -> Standing:
    """Takes on the newest whole checkpoint; raises NoSuchCheckpoint, DamagedCheckpoint."""
    checkpoint, problems = latest(run.path)
    for problem in problems:
        told.log(str(problem))
    learner.restore(checkpoint, run.path)
    return checkpoint.standing


def _take_over(told: Run, parent: Run, learner: Learner) -> Standing:
    """Begins a run where another one ended, with its curves and its best weights; raises DamagedRun."""
    told.copy_history(parent)
    try:
        standing = _restore(parent, told, learner)
    except NoSuchCheckpoint:
        learner.model.load_weights(parent.weights())
        metrics = parent.metrics().set_index("epoch")[f"val_{parent.config.best_by}"]
        score = float(metrics.get(parent.best_epoch, float("nan")))
        standing = Standing(parent.epochs_done, best_epoch=parent.best_epoch, best_score=score)
    standing = replace(standing, batch=0, spent=0.0)
    told.drop_after(standing.epoch, 1.0 if standing.seen else 0.0)
    learner.checkpoint(standing, parent.config).save(told.path)
    return standing


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


def _record(job: _Lesson, learner: Learner) -> Record:
    from core.runtime.device import device_name

    config, data, parent = job.config, job.data, job.parent
    pixels = [scene.grid.pixel_m for scene in data.train.scenes if scene.tile in data.train_tiles]
    across, down = np.median(pixels, axis=0)
    return Record(
        config=config,
        train_tiles=data.train_tiles,
        validation_tiles=data.validation_tiles,
        scaling=data.scaling,
        bands=data.bands,
        gsd_m=(float(across), float(down)),
        parameters=learner.model.count_params(),
        device=device_name(),
        versions=_versions(),
        between_tiles=data.between,
        notes=data.notes,
        continues=parent.name if parent else "",
        precision=learner.precision,
    )


def _versions() -> dict[str, str]:
    """Of those packages that are installed: a machine may have JAX and no TensorFlow."""
    found = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
