"""Jobs that train, as pages and the command line ask for them: a new run, more epochs of one, and its end."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core.catalog.store import read_catalog
from core.errors import DamagedRun, RunInUse
from core.jobs.folder import JobFolder
from core.jobs.job import Resources
from core.jobs.queue import NORMAL, Job, Queue
from core.progress import Finish, Report, never
from core.runs.config import TrainingConfig
from core.runs.run import Run, run_name
from core.settings import settings
from core.training.train import train

_CONTINUED = " (continued)"


def ends_together(minutes: float, resources: Resources) -> bool:
    """Whether all machines of a training of so many minutes know when to end: several by epochs (0 minutes) only."""
    return resources.nodes == 1 or not minutes


def submit_training(
    queue: Queue, tiles: Sequence[str], config: TrainingConfig, words: str,
    resources: Resources | None = None, priority: int = NORMAL, also: Mapping[str, Any] | None = None,
) -> Job:  # fmt: skip
    """A job that trains on tiles, by id; `words` become part of the run's folder, the configuration's name its title.

    `also` goes into the job's params as it is.
    """
    asked = {**(resources or Resources()).as_params(), **(also or {})}
    params = {"run": run_name(words), "tiles": list(tiles), "config": asdict(config), **asked}
    return queue.submit("train", params, config.name or words, priority)


def run_of(job: Job) -> Run | None:
    """The run that a job makes, None where it makes none; it need not have begun."""
    name = _folder_name(job)
    return Run(settings().runs / name) if job.task == "train" and name else None


def submit_more_epochs(run: Run, epochs: int, queue: Queue, resources: Resources | None = None) -> Job:
    """A job that goes on from a run for so many epochs, as a run of its own; raises NoSuchRun, DamagedRun.

    It has the run's tiles and configuration, so that its losses carry on where the run's end; but all of these epochs
    are trained, however patient the run was and however many minutes it had.
    """
    record = run.record
    if not can_continue(run):
        raise DamagedRun(name=run.path, detail="it was stopped before its first epoch was whole")
    name = (record.config.name or run.name).removesuffix(_CONTINUED) + _CONTINUED
    config = replace(record.config, name=name, epochs=run.epochs_done + epochs, patience=0, minutes=0.0)
    return submit_training(queue, record.tiles, config, name, resources, also={"from": run.name})


def can_continue(run: Run) -> bool:
    """Whether there is something to go on from."""
    try:
        return run.exists and run.epochs_done > 0 and bool(run.record.tiles)
    except DamagedRun:
        return False


def delete_job(job: Job, queue: Queue, with_run: bool = False) -> None:
    """Removes a job that is not running, its log and, if asked, its run with everything predicted by it.

    Raises JobIsRunning, NoSuchJob, RunInUse.
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
    for other in queue.jobs(limit=10_000):
        needs = run.name in (other.params.get("run"), other.params.get("from"))
        if other.id != job.id and needs and not other.state.is_over:
            raise RunInUse(run=run.name, job=other.id, title=other.title)


def _folder_name(job: Job) -> str:
    """Of its run; empty where it names none, or one that is no plain name: what it leads to may be deleted."""
    name = Path(str(job.params.get("run", ""))).name
    return "" if name in ("", ".", "..") else name


def train_task(
    params: Mapping[str, Any], report: Report, finish: Finish = never, strategy: Any = None, chief: bool = True
) -> None:
    """The job: {"run": name of its folder, "tiles": [ids], "config": {…}, "from": name of the run it continues}.

    Goes on where an earlier attempt was interrupted. Raises what `train` raises, NoSuchTile.
    """
    folder = settings().runs / Path(str(params["run"])).name
    config = TrainingConfig.of(params.get("config", {}))
    parent = Run(settings().runs / Path(str(params["from"])).name) if params.get("from") else None
    catalog = read_catalog()
    tiles = [catalog.tile(tile) for tile in params["tiles"]]
    train(tiles, config, folder, report, finish, True, parent, strategy, chief)
