"""Training of a network on tiles: reads the dataset, builds the network, creates the run, trains the epochs."""

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

from core.atomic_files import translating_errors
from core.catalog.tile import Tile
from core.datasets.dataset import Dataset, read_dataset
from core.errors import InvalidSetting, NoSuchCheckpoint, RunBusy, UnknownNetwork
from core.formatting import counted
from core.progress import Report, StopRequested, never, silent
from core.runs.checkpoints import TrainerState, latest
from core.runs.config import TrainingConfig
from core.runs.live_metrics import end_live
from core.runs.run import Record, Run, ensure_absent
from core.runtime.keras_backend import start_keras
from core.training.callbacks.defaults import default_callbacks
from core.training.crop_sampler import CropSampler
from core.training.learner import Learner, local_strategy
from core.training.trainer import Trainer
from models.registry import NETWORKS, Initialization, Network, pretrain

#: Share of the progress that reading the tiles takes.
READING_SHARE = 0.1
_PACKAGES = ("tensorflow", "jax", "keras", "numpy", "rasterio", "shapely", "scikit-image", "scikit-learn")
_LOCK = ".lock"
#: Folder in the run for decoded tiles that do not fit into memory, during training.
SAMPLES_FOLDER = "scenes"
#: Time to wait for another process to release the run [s].
_PATIENCE_S = 10.0


def networks() -> Mapping[str, Network]:
    """List the available networks by name, without importing Keras."""
    return NETWORKS


@dataclass(frozen=True)
class TrainingJob:
    """Arguments and data of one call of `train`."""

    run: Run
    output_run: Run  #: where this process writes: the run, or a temporary folder
    config: TrainingConfig
    data: Dataset
    parent: Run | None
    strategy: Any
    report: Report
    stop_requested: StopRequested


def train(
    tiles: Sequence[Tile],
    config: TrainingConfig,
    folder: Path,
    report: Report = silent,
    stop_requested: StopRequested = never,
    resume: bool = False,
    parent: Run | None = None,
    strategy: Any = None,
    chief: bool = True,
) -> Run:
    """Train a network on labelled tiles; the run is written after every epoch.

    The run predicts with the weights of its best epoch, after a refit with those of its last.

    Args:
        tiles: Candidate tiles; those without labels are left out.
        config: Settings of the training.
        folder: Folder of the run.
        report: Receives the progress.
        stop_requested: Polled; True cuts the current epoch short, and the run is usable.
        resume: Resume a run of the same configuration from its last checkpoint; a finished one is returned as it is.
        parent: Run whose last state a new run continues from.
        strategy: tf.distribute.Strategy over several machines; all GPUs of this one need none. Not with a time budget,
            since every machine has its own clock.
        chief: False for the processes of a distributed training that write nothing.

    Returns:
        The run in `folder`.

    Raises:
        RunExists: The folder has a run, and `resume` is off or its configuration differs.
        RunBusy: Another process trains this run.
        UnknownNetwork: There is no such network.
        InvalidSetting: An option does not suit the network, or a time budget was given with a strategy.
        TooFewTiles: No tile is labelled.
        UnreadableTiles: No tile can be read.
        SplitImpossible: There are no training or validation crops.
        Diverged: The loss or a weight became NaN.
        MemoryError: The device has no memory for a batch of one crop.
        CannotWrite: The run cannot be written.
        DiskFull: The disk is full.
    """
    run = Run(folder)
    check_network(config)
    if strategy is not None and config.minutes:
        raise InvalidSetting(setting="minutes", value=config.minutes, detail="several machines need epochs instead")
    config = _for_tiles(config, tiles)
    if not (resume and run.exists and run.config == config):
        ensure_absent(folder)
    elif run.is_finished:  # interrupted between its last epoch and the end of its job
        return run
    with _run_lock(folder) if chief else nullcontext(), TemporaryDirectory() as scratch:
        cache = (folder if chief else Path(scratch)) / SAMPLES_FOLDER
        try:
            data = _read(tiles, config, run if run.exists else parent, cache, report)
            report(READING_SHARE, "Building the model")
            start_keras()
            job = TrainingJob(
                run, run if chief else Run(Path(scratch)), config, data, parent, strategy, report, stop_requested
            )
            batch = _fit(job, 0)
            while batch:
                gc.collect()  # reference cycles of TensorFlow hold the memory of the device
                batch = _fit(job, batch)
        finally:
            shutil.rmtree(cache, ignore_errors=True)
    return run


@contextmanager
def _run_lock(folder: Path) -> Iterator[None]:
    """Lock a run, so that no other process writes to it; released when the process ends. Raises RunBusy."""
    with translating_errors(folder / _LOCK):
        lock = FileLock(folder / _LOCK, timeout=_PATIENCE_S)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunBusy(run=folder) from error
    _remove_leftovers(folder)
    try:
        yield
    finally:
        lock.release()
        if not Run(folder).exists:  # an error came before anything was written
            with suppress(OSError):
                (folder / _LOCK).unlink(missing_ok=True)
                folder.rmdir()


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed training left behind: incomplete files, decoded tiles, live.json."""
    for file in folder.glob(".*"):
        if file.name != _LOCK and file.is_file():
            with suppress(OSError):
                file.unlink()
    shutil.rmtree(folder / SAMPLES_FOLDER, ignore_errors=True)
    end_live(folder)


def _read(tiles: Sequence[Tile], config: TrainingConfig, previous: Run | None, cache: Path, report: Report) -> Dataset:
    """Read the dataset, with the normalization of the previous run if there is one."""
    normalization = previous.record.normalization if previous else None

    def report_reading(share: float, step: str) -> None:
        report(READING_SHARE * share, step)

    targets = NETWORKS[config.network].targets
    return read_dataset(
        tiles, config.dataset, config.seed, report_reading, normalization, cache, targets, bool(config.refit)
    )


def _for_tiles(config: TrainingConfig, tiles: Sequence[Tile]) -> TrainingConfig:
    """Adapt the dataset settings to the median GSD of the labelled tiles."""
    gsds = [tile.gsd_m for tile in tiles if tile.is_labeled]
    return replace(config, dataset=config.dataset.for_gsd(float(np.median(gsds)))) if gsds else config


def _fit(job: TrainingJob, batch: int) -> int:
    """Train to the end with batches of at most `batch` crops (0: as configured).

    Returns half the batch size if memory ran out, else 0.
    """

    def report(share: float, step: str) -> None:
        job.report(READING_SHARE + (1 - READING_SHARE) * share, step)

    learner = Learner.build(job.config, job.data.bands, job.strategy or local_strategy())
    state = _initial_state(job, learner)
    state = replace(state, batch=min(batch or state.batch, state.batch or batch))
    callbacks = default_callbacks() if job.output_run is job.run else []
    trainer = Trainer(job.output_run, job.config, job.data, learner, state, callbacks, report, job.stop_requested)
    try:
        trainer.fit()
    except MemoryError:
        size = trainer.batch
        if size == 1:
            raise
        job.output_run.log(f"Out of memory with batch size {size}. Continuing with batch size {size // 2}.")
        return size // 2
    return 0


def _initial_state(job: TrainingJob, learner: Learner) -> TrainerState:
    """Initialize or restore the weights: from the run's last checkpoint, from its parent, or from the start."""
    if not job.run.exists:
        return _start(job, learner)
    run, output_run, data = job.run, job.output_run, job.data
    if output_run is not run and run.refit_thresholds:
        output_run.save_refit_thresholds(run.refit_thresholds)
    try:
        state = _restore(run, output_run, learner)
    except NoSuchCheckpoint as problem:
        output_run.log(str(problem))
        state = TrainerState()
    progress = counted(state.epoch, "epoch") + (f" and {state.crops_seen} crops" if state.crops_seen else "")
    output_run.log(f"Resuming after {progress}." if state.order > (0, 0) else "Starting again: no checkpoint.")
    _log_changes(output_run, run.record, data, learner)
    output_run.truncate_after(state.epoch, state.crops_seen / len(CropSampler(job.config, data.train)))
    return state


def _start(job: TrainingJob, learner: Learner) -> TrainerState:
    """Create the run, with pretrained or random weights, or with those of its parent."""
    output_run, data, parent = job.output_run, job.data, job.parent
    record = _record(job, learner)
    if parent:
        initialization = Initialization(parent.record.pretrained)
        state = _continue_from(output_run, parent, learner)
    else:
        initialization = pretrain(job.config.network, learner.model, **job.config.options)
        state = TrainerState()
    note = (initialization.note,) if initialization.note else ()
    Run.create(output_run.path, replace(record, notes=(*record.notes, *note), pretrained=initialization.source))
    crops = f"{len(data.train)} training crops, {len(data.validation)} validation crops."
    for line in (*note, crops, *data.notes):
        output_run.log(line)
    if parent:
        _log_changes(output_run, parent.record, data, learner)
        _freeze_thresholds(output_run, parent, data)
    return state


def _log_changes(output_run: Run, previous: Record, data: Dataset, learner: Learner) -> None:
    """Log what has changed since the training of the weights started."""
    if (data.train_tiles, data.validation_tiles) != (previous.train_tiles, previous.validation_tiles):
        output_run.log("The tiles have changed since training started, so they were split again.")
    if learner.precision != previous.precision:
        output_run.log(f"Training started in {previous.precision} and continues in {learner.precision}.")


def _freeze_thresholds(output_run: Run, parent: Run, data: Dataset) -> None:
    """Keep the parent's thresholds, without validation, if it was trained on tiles of the validation set."""
    if (
        parent.refitted
        and parent.stored_thresholds
        and any(parent.role_of(tile) == "train" for tile in data.validation_tiles)
    ):
        output_run.save_refit_thresholds(parent.stored_thresholds)
        output_run.log(f"{parent.name} was trained on all of these tiles: no validation data. Its thresholds are kept.")


def _restore(run: Run, output_run: Run, learner: Learner) -> TrainerState:
    """Restore the newest intact checkpoint of a run; raises NoSuchCheckpoint, DamagedCheckpoint."""
    checkpoint, problems = latest(run.path)
    for problem in problems:
        output_run.log(str(problem))
    learner.restore(checkpoint, run.path)
    return checkpoint.state


def _continue_from(output_run: Run, parent: Run, learner: Learner) -> TrainerState:
    """Continue from the end of another run, with its curves and its best weights; raises DamagedRun."""
    output_run.copy_history(parent)
    try:
        state = _restore(parent, output_run, learner)
    except NoSuchCheckpoint:
        learner.model.load_weights(parent.weights())
        metrics = parent.metrics().set_index("epoch")[f"val_{parent.config.best_by}"]
        score = float(metrics.get(parent.best_epoch, float("nan")))
        state = TrainerState(parent.epochs_done, best_epoch=parent.best_epoch, best_score=score)
    state = replace(state, batch=0, spent=0.0)
    output_run.truncate_after(state.epoch, 1.0 if state.crops_seen else 0.0)
    learner.checkpoint(state, parent.config).save(output_run.path)
    return state


def check_network(config: TrainingConfig) -> None:
    """Validate network and options; raises UnknownNetwork, InvalidSetting."""
    if config.network not in NETWORKS:
        raise UnknownNetwork(name=config.network, known=", ".join(NETWORKS))
    options = NETWORKS[config.network].options
    for name, value in config.options.items():
        if name not in options:
            raise InvalidSetting(setting=name, value=value, detail=f"{config.network} takes only {', '.join(options)}")
        if not isinstance(value, type(options[name])):
            raise InvalidSetting(setting=name, value=value, detail=f"must be a value such as {options[name]}")


def _record(job: TrainingJob, learner: Learner) -> Record:
    from core.runtime.device import device_name

    config, data, parent = job.config, job.data, job.parent
    pixel_sizes = [sample.grid.pixel_m for sample in data.train.samples if sample.tile in data.train_tiles]
    width_m, height_m = np.median(pixel_sizes, axis=0)
    return Record(
        config=config,
        train_tiles=data.train_tiles,
        validation_tiles=data.validation_tiles,
        normalization=data.normalization,
        bands=data.bands,
        gsd_m=(float(width_m), float(height_m)),
        parameters=learner.model.count_params(),
        device=device_name(),
        versions=_versions(),
        buffer_tiles=data.buffer_tiles,
        notes=data.notes,
        continues=parent.name if parent else "",
        precision=learner.precision,
    )


def _versions() -> dict[str, str]:
    """Versions of the packages that are installed: a machine may have JAX and no TensorFlow."""
    versions = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
