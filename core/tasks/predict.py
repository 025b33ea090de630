"""Prediction tasks: one tile, all tiles of an area, ensembles of runs.

The tiles of an area are divided into jobs, which run in sequence on one machine and in parallel on a cluster. Tiles
already predicted with the current weights of the run are skipped, so a repeated request repeats no work.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.errors import CatalogError, RasterError, TilesNotPredicted, TooFewBands, VectorError
from core.formatting import counted
from core.inference.ensemble import make_ensemble
from core.inference.predict import InferenceOptions, predict_tile, prediction_folder, stored_weights_hash, weights_hash
from core.jobs.job import Resources
from core.jobs.queue import HIGH, LOW, Job, Queue, State
from core.progress import Report, StopRequested, never
from core.runs.run import Run, run_name
from core.settings import settings

#: Tiles per job: many enough to amortize the process start, few enough to use a cluster.
TILES_A_JOB = 32
#: Default estimate for a tile of 650 × 650 pixels [s], measured on two cores (24 tiles in 25 s).
_TWO_CORES_S = 1.0
#: Number of latest jobs searched for those of an area.
_JOBS_SEARCHED = 2_000


@dataclass(frozen=True)
class AreaPrediction:
    """Prediction state of an area: tiles a run has predicted, and pending tiles."""

    run: Run
    tiles: tuple[Tile, ...]

    @cached_property
    def done(self) -> tuple[Tile, ...]:
        """Tiles predicted with the current weights of the run; raises NoSuchRun, DamagedRun."""
        weights = weights_hash(self.run)
        return tuple(
            tile for tile in self.tiles if stored_weights_hash(prediction_folder(self.run, tile.id)) == weights
        )

    @cached_property
    def pending(self) -> tuple[Tile, ...]:
        """Tiles not predicted yet that are downloaded and have the bands of the run."""
        finished = {tile.id for tile in self.done}
        return tuple(tile for tile in self.tiles if tile.id not in finished and has_needed_bands(self.run, tile))

    @property
    def incompatible(self) -> int:
        """Count the tiles the run cannot predict: not downloaded, or without its bands."""
        return len(self.tiles) - len(self.done) - len(self.pending)

    def seconds(self, queue: Queue) -> float:
        """Estimate the time for the pending tiles on one machine from the last such job [s]."""
        per_tile = (
            (job.finished - job.started).total_seconds() / len(job.params["tiles"])
            for job in queue.jobs(limit=20, task="predict_tiles")
            if job.state is State.DONE and job.started and job.finished and job.params["tiles"]
        )
        return len(self.pending) * (next(per_tile, None) or _TWO_CORES_S)


def has_needed_bands(run: Run, tile: Tile) -> bool:
    """Tell whether the image of a tile is downloaded and has the bands of the run."""
    return tile.is_readable and tile.bands >= 3 and (run.record.bands < 4 or tile.eight_bands is not None)


def area_jobs(run: Run, queue: Queue) -> list[Job]:
    """List the unfinished jobs that predict tiles of a run, oldest first."""
    jobs = queue.jobs(limit=_JOBS_SEARCHED, task="predict_tiles")
    return [job for job in reversed(jobs) if job.params["run"] == run.name and not job.state.is_over]


def submit_area(run: Run, tiles: Sequence[Tile], queue: Queue, gpus: int = 0) -> list[Job]:
    """Queue the prediction of tiles without one, TILES_A_JOB a job, at low priority.

    Args:
        run: The run.
        tiles: Tiles; predicted and queued ones are skipped.
        queue: The job queue.
        gpus: GPUs of the cluster per job.

    Returns:
        The queued jobs.

    Raises:
        NoSuchRun: There is no such run.
        DamagedRun: The run cannot be read.
    """
    params = {"run": run.name, **Resources(gpus).as_params()}
    queued = {tile for job in area_jobs(run, queue) for tile in job.params["tiles"]}
    pending = [tile for tile in AreaPrediction(run, tuple(tiles)).pending if tile.id not in queued]
    batches = [pending[n : n + TILES_A_JOB] for n in range(0, len(pending), TILES_A_JOB)]
    return [
        queue.submit("predict_tiles", {**params, "tiles": [tile.id for tile in batch]}, _title(batch, n, batches), LOW)
        for n, batch in enumerate(batches, 1)
    ]


def predict_tiles_task(params: Mapping[str, Any], report: Report, finish: StopRequested = never) -> None:
    """Predict several tiles; tiles predicted with the current weights are skipped.

    A failed tile does not stop the others. An early finish takes effect after the current tile.

    Args:
        params: {"run": name, "tiles": [ids]}.
        report: Called with the progress.
        finish: Tells whether the job is to end early.

    Raises:
        TilesNotPredicted: Some tiles could not be predicted.
    """
    run = Run(settings().runs / Path(str(params["run"])).name)
    names, problems = [str(name) for name in params["tiles"]], []
    weights, catalog = weights_hash(run), read_catalog()
    for n, name in enumerate(names):
        if finish():
            break
        tile_report = _tile_progress(report, n, len(names), name)
        folder = prediction_folder(run, name)
        if stored_weights_hash(folder) == weights:
            tile_report(1.0, "already predicted")
            continue
        try:
            predict_tile(run, catalog.tile(name), folder, tile_report)
        except (RasterError, VectorError, CatalogError, TooFewBands) as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            problems.append(str(problem))
    if problems:
        raise TilesNotPredicted(count=len(problems), tiles=len(names), problem=problems[0])


def _tile_progress(report: Report, n: int, count: int, name: str) -> Report:
    """Progress callback of the n-th tile, as a share of all tiles."""
    return lambda share, doing: report((n + share) / count, f"Tile {n + 1} of {count}, {name}: {doing}")


def _title(batch: Sequence[Tile], n: int, batches: Sequence[Sequence[Tile]]) -> str:
    areas = list(dict.fromkeys(tile.aoi for tile in batch))
    area = areas[0] if len(areas) == 1 else f"{len(areas)} areas"
    place = f", part {n} of {len(batches)}" if len(batches) > 1 else ""
    return f"Predict {counted(len(batch), 'tile')} of {area}{place}"


def submit_ensemble(runs: Sequence[Run], queue: Queue) -> Job:
    """Queue the creation of an ensemble of runs."""
    title = f"Ensemble of {len(runs)} runs"
    params = {"runs": [run.name for run in runs], "out": run_name(title)}
    return queue.submit("combine", params, title, HIGH)  # takes seconds, and the user waits


def ensemble_task(params: Mapping[str, Any], report: Report, _finish: StopRequested = never) -> None:
    """Create an ensemble of runs.

    Args:
        params: {"runs": [names], "out": name of the new run's folder}.
        report: Called with the progress.
        _finish: Not used.
    """
    report(0.1, "Building the ensemble")
    folder = settings().runs
    make_ensemble(
        [Run(folder / Path(str(name)).name) for name in params["runs"]], folder / Path(str(params["out"])).name
    )
    report(1.0, f"Ensemble of {len(params['runs'])} models")


def predict_task(params: Mapping[str, Any], report: Report, _finish: StopRequested = never) -> None:
    """Predict one tile.

    Args:
        params: {"run": name, "tile": id, "turned": whether with test-time augmentation}.
        report: Called with the progress.
        _finish: Not used.

    Raises:
        NoSuchTile: The tile is not in the catalog.
    """
    run = Run(settings().runs / Path(str(params["run"])).name)
    tile = read_catalog().tile(str(params["tile"]))
    predict_tile(run, tile, prediction_folder(run, tile.id), report, InferenceOptions(tta=bool(params.get("turned"))))
