"""Training jobs: submit a new run, continue a run for more epochs, delete a job with its run."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.catalog.store import read_catalog
from core.compat import to_stored
from core.errors import DamagedRun, RunInUse
from core.jobs.folder import JobFolder
from core.jobs.job import Resources
from core.jobs.queue import NORMAL, Job, Queue
from core.progress import Report, StopRequested, never
from core.runs.config import TrainingConfig
from core.runs.run import Run, run_name
from core.settings import settings
from core.training.train import train

_CONTINUED = " (continued)"


def ends_together(minutes: float, resources: Resources) -> bool:
    """Tell whether all machines of a training end at the same step: several machines need epochs (0 minutes)."""
    return resources.nodes == 1 or not minutes


def submit_training(
    queue: Queue, tiles: Sequence[str], config: TrainingConfig, label: str,
    resources: Resources | None = None, priority: int = NORMAL, extra: Mapping[str, Any] | None = None,
) -> Job:  # fmt: skip
    """Queue a training.

    Args:
        queue: The job queue.
        tiles: IDs of the tiles.
        config: Training configuration; its name is the title of the job.
        label: Becomes part of the name of the run's folder.
        resources: GPUs and machines of a cluster.
        priority: Priority of the job.
        extra: Further job parameters, kept as they are.

    Returns:
        The queued job.
    """
    extra_params = {**(resources or Resources()).as_params(), **(extra or {})}
    params = {"run": run_name(label), "tiles": list(tiles), "config": to_stored(config), **extra_params}
    return queue.submit("train", params, config.name or label, priority)


def run_of(job: Job) -> Run | None:
    """Run of a training job, which may not exist yet; None for other jobs."""
    name = Path(str(job.params.get("run", ""))).name
    is_plain = name not in ("", ".", "..")  # the folder may be deleted later, so never the parent
    return Run(settings().runs / name) if job.task == "train" and is_plain else None


def submit_more_epochs(run: Run, epochs: int, queue: Queue, resources: Resources | None = None) -> Job:
    """Queue a training that continues a run for more epochs, as a run of its own.

    Tiles and configuration are those of the run, without its patience and its time budget.

    Args:
        run: The run to continue.
        epochs: Number of further epochs.
        queue: The job queue.
        resources: GPUs and machines of a cluster.

    Returns:
        The queued job.

    Raises:
        NoSuchRun: There is no such run.
        DamagedRun: The run has no complete epoch.
    """
    record = run.record
    if not can_continue(run):
        raise DamagedRun(name=run.path, detail="it was stopped before its first epoch was complete")
    name = (record.config.name or run.name).removesuffix(_CONTINUED) + _CONTINUED
    config = replace(record.config, name=name, epochs=run.epochs_done + epochs, patience=0, minutes=0.0)
    return submit_training(queue, record.tiles, config, name, resources, extra={"from": run.name})


def can_continue(run: Run) -> bool:
    """Tell whether a run has weights to continue from."""
    try:
        return run.exists and run.epochs_done > 0 and bool(run.record.tiles)
    except DamagedRun:
        return False


def delete_job(job: Job, queue: Queue, with_run: bool = False) -> None:
    """Delete a job that is not running, its log and, if asked, its run with all its predictions.

    Args:
        job: The job.
        queue: The job queue.
        with_run: Whether the run is deleted.

    Raises:
        JobRunning: The job is running.
        NoSuchJob: There is no such job.
        RunInUse: Another job needs the run.
    """
    run = run_of(job) if with_run else None
    if run is not None:
        _refuse_in_use(run, job, queue)
    queue.delete(job.id)
    JobFolder.of(job.id).remove()
    if run is not None:
        for folder in (settings().predictions / run.name, run.path):
            shutil.rmtree(folder, ignore_errors=True)


def _refuse_in_use(run: Run, job: Job, queue: Queue) -> None:
    for waiting in queue.jobs(limit=10_000):
        needs = run.name in (waiting.params.get("run"), waiting.params.get("from"))
        if waiting.id != job.id and needs and not waiting.state.is_over:
            raise RunInUse(run=run.name, job=waiting.id, title=waiting.title)


def train_task(
    params: Mapping[str, Any], report: Report, finish: StopRequested = never, strategy: Any = None, chief: bool = True
) -> None:
    """Train a run, or resume it where an earlier attempt was interrupted.

    Args:
        params: {"run": name of its folder, "tiles": [ids], "config": {…}, "from": name of the run it continues}.
        report: Called with the progress.
        finish: Tells whether the training is to end early.
        strategy: A tf.distribute.Strategy on several machines.
        chief: Whether this process writes the run.

    Raises:
        NoSuchTile: A tile is not in the catalog.
    """
    folder = settings().runs / Path(str(params["run"])).name
    config = TrainingConfig.of(params.get("config", {}))
    parent = Run(settings().runs / Path(str(params["from"])).name) if params.get("from") else None
    catalog = read_catalog()
    tiles = [catalog.tile(tile) for tile in params["tiles"]]
    train(tiles, config, folder, report, finish, True, parent, strategy, chief)
