"""Tasks that predict: a tile, all tiles of an area, an ensemble of runs.

The tiles of an area are cut into jobs, which run in turn on one machine and side by side on a cluster. Tiles predicted
with the run's present weights are kept, so an interrupted or repeated request costs nothing twice.
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
from core.inference.ensemble import combine
from core.inference.predict import How, made_with, predict_tile, prediction_folder, weights_hash
from core.jobs.job import Resources
from core.jobs.queue import HIGH, LOW, Job, Queue, State
from core.progress import Finish, Report, never
from core.runs.run import Run, run_name
from core.settings import settings

#: Tiles of one job: enough that the start of a process does not count, few enough that a cluster has something to do.
TILES_A_JOB = 32
#: Seconds for a tile of 650 × 650 pixels on two cores, where no job of this machine tells: 24 took 25.
_TWO_CORES_S = 1.0
#: So many of the latest jobs are searched for those of an area.
_SEARCHED = 2_000


@dataclass(frozen=True)
class AreaPrediction:
    """What is predicted of some tiles by a run, and what is not."""

    run: Run
    tiles: tuple[Tile, ...]

    @cached_property
    def done(self) -> tuple[Tile, ...]:
        """Tiles predicted with the run's present weights; raises NoSuchRun, DamagedRun."""
        weights = weights_hash(self.run)
        return tuple(tile for tile in self.tiles if made_with(prediction_folder(self.run, tile.id)) == weights)

    @cached_property
    def lacking(self) -> tuple[Tile, ...]:
        """Tiles still to be predicted that are on this machine and have the bands the run wants."""
        done = {tile.id for tile in self.done}
        return tuple(tile for tile in self.tiles if tile.id not in done and fits(self.run, tile))

    @property
    def unfit(self) -> int:
        """How many can never be predicted by this run: not on this machine, or without its bands."""
        return len(self.tiles) - len(self.done) - len(self.lacking)

    def seconds(self, queue: Queue) -> float:
        """How long the lacking ones take on one machine, going by the last such job."""
        return len(self.lacking) * (_seconds_a_tile(queue) or _TWO_CORES_S)


def fits(run: Run, tile: Tile) -> bool:
    """Whether the tile's image is here and has the bands that the run was trained on."""
    return tile.is_readable and tile.bands >= 3 and (run.record.bands < 4 or tile.eight_bands is not None)


def area_jobs(run: Run, queue: Queue) -> list[Job]:
    """The jobs that predict tiles of this run and are not over yet, oldest first."""
    jobs = queue.jobs(limit=_SEARCHED, task="predict_tiles")
    return [job for job in reversed(jobs) if job.params["run"] == run.name and not job.state.is_over]


def submit_area(run: Run, tiles: Sequence[Tile], queue: Queue, gpus: int = 0) -> list[Job]:
    """Jobs of TILES_A_JOB tiles for those that lack a prediction and that no job is about to predict.

    They go behind what people wait for. Each asks a cluster for `gpus`. Raises NoSuchRun, DamagedRun.
    """
    asked = {"run": run.name, **Resources(gpus).as_params()}
    coming = {tile for job in area_jobs(run, queue) for tile in job.params["tiles"]}
    wanted = [tile for tile in AreaPrediction(run, tuple(tiles)).lacking if tile.id not in coming]
    parts = [wanted[n : n + TILES_A_JOB] for n in range(0, len(wanted), TILES_A_JOB)]
    return [
        queue.submit("predict_tiles", {**asked, "tiles": [tile.id for tile in part]}, _title(part, n, parts), LOW)
        for n, part in enumerate(parts, 1)
    ]


def predict_tiles_task(params: Mapping[str, Any], report: Report, finish: Finish = never) -> None:
    """The job: {"run": name, "tiles": [ids]}; tiles predicted with the present weights are passed over.

    A tile that cannot be predicted does not hold up the others: raises TilesNotPredicted at the end. Asked to finish,
    it ends after the tile it is at.
    """
    run = Run(settings().runs / Path(str(params["run"])).name)
    names, problems = [str(name) for name in params["tiles"]], []
    weights, catalog = weights_hash(run), read_catalog()
    for n, name in enumerate(names):
        if finish():
            break
        part = _part(report, n, len(names), name)
        folder = prediction_folder(run, name)
        if made_with(folder) == weights:
            part(1.0, "is there already")
            continue
        try:
            predict_tile(run, catalog.tile(name), folder, part)
        except (RasterError, VectorError, CatalogError, TooFewBands) as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            problems.append(str(problem))
    if problems:
        raise TilesNotPredicted(count=len(problems), tiles=len(names), problem=problems[0])


def _part(report: Report, n: int, count: int, name: str) -> Report:
    """Tells how far the n-th tile is as a share of all."""
    return lambda share, doing: report((n + share) / count, f"tile {n + 1} of {count}, {name}: {doing}")


def _title(part: Sequence[Tile], n: int, parts: Sequence[Sequence[Tile]]) -> str:
    areas = list(dict.fromkeys(tile.aoi for tile in part))
    where = areas[0] if len(areas) == 1 else f"{len(areas)} areas"
    place = f", part {n} of {len(parts)}" if len(parts) > 1 else ""
    return f"Predict {len(part)} {'tile' if len(part) == 1 else 'tiles'} of {where}{place}"


def _seconds_a_tile(queue: Queue) -> float | None:
    for job in queue.jobs(limit=20, task="predict_tiles"):
        if job.state is State.DONE and job.started and job.finished and job.params["tiles"]:
            return (job.finished - job.started).total_seconds() / len(job.params["tiles"])
    return None


def submit_combination(runs: Sequence[Run], queue: Queue) -> Job:
    """A job that combines these runs into a new one."""
    words = f"Mean of {len(runs)} runs"
    params = {"runs": [run.name for run in runs], "out": run_name(words)}
    return queue.submit("combine", params, words, HIGH)  # it takes seconds, and somebody waits


def combine_task(params: Mapping[str, Any], report: Report, _finish: Finish = never) -> None:
    """The job: {"runs": [names], "out": name of the new run's folder}; raises what `combine` raises."""
    report(0.1, "putting the networks together")
    folder = settings().runs
    combine([Run(folder / Path(str(name)).name) for name in params["runs"]], folder / Path(str(params["out"])).name)
    report(1.0, f"{len(params['runs'])} networks")


def predict_task(params: Mapping[str, Any], report: Report, _finish: Finish = never) -> None:
    """The job: {"run": name, "tile": id, "turned": whether in eight turns}.

    Raises what `predict_tile` raises, NoSuchTile.
    """
    run = Run(settings().runs / Path(str(params["run"])).name)
    tile = read_catalog().tile(str(params["tile"]))
    predict_tile(run, tile, prediction_folder(run, tile.id), report, How(turned=bool(params.get("turned"))))
