"""Export tasks: exports as jobs, whose files stay in their own folder until they are downloaded."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from core.atomic_files import atomic_write
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.compat import from_stored
from core.errors import InvalidSetting
from core.exports.footprints import write_area
from core.jobs.queue import HIGH, Job, Queue, State
from core.postprocessing.config import VectorizeConfig
from core.progress import Report, StopRequested, never
from core.runs.run import Run
from core.settings import settings

#: Larger than the number of jobs in any queue.
_ALL_JOBS = 1_000_000


def submit_export(kind: str, params: Mapping[str, Any], title: str, queue: Queue) -> Job:
    """Queue an export, and delete the results of exports whose jobs were deleted, stopped or failed.

    Args:
        kind: A key of the exports.
        params: As `export_task` takes them, without the folder.
        title: Title of the job.
        queue: The job queue.

    Returns:
        The queued job.
    """
    folders = list(settings().exports.glob("*"))  # listed before the jobs, so folders of later jobs are not deleted
    jobs = queue.jobs(limit=_ALL_JOBS, task="export")
    in_use = {str(job.params["folder"]) for job in jobs if job.state is State.DONE or not job.state.is_over}
    for path in folders:
        if path.name not in in_use:
            shutil.rmtree(path, ignore_errors=True)
    folder = uuid4().hex
    return queue.submit("export", {"what": kind, "folder": folder, **params}, title, HIGH)  # the user waits


def result_path(job: Job) -> Path:
    """Path of the file of a finished export."""
    return settings().exports / Path(str(job.params["folder"])).name / Path(str(job.params["file"])).name


def export_task(params: Mapping[str, Any], report: Report, _finish: StopRequested = never) -> None:
    """Export files of a run or of tiles; a failed export leaves nothing behind.

    Args:
        params: {"what": kind, "run", "tiles": [ids], "file": name, "folder": name}, and by kind "kind", "chip",
            "layers", "shaping".
        report: Called with the progress.
        _finish: Not used.

    Raises:
        InvalidSetting: The kind is unknown.
        NoSuchTile: A tile is not in the catalog.
    """
    kind = str(params["what"])
    if kind not in _EXPORTS:
        raise InvalidSetting(setting="the export", value=kind, detail=f"must be one of {', '.join(_EXPORTS)}")
    tiles = [read_catalog().tile(str(name)) for name in params.get("tiles", [])]
    run = Run(settings().runs / Path(str(params.get("run", ""))).name)
    out = settings().exports / Path(str(params["folder"])).name / Path(str(params["file"])).name
    shutil.rmtree(out.parent, ignore_errors=True)  # leftovers of a killed attempt
    _EXPORTS[kind](run, tiles, out, params, report)


def _export_report(run: Run, tiles: list[Tile], out: Path, params: Mapping[str, Any], report: Report) -> None:
    from core.exports.report import write_report

    write_report(run, tiles, out, _vectorize_config(params), report)


def _vectorize_config(params: Mapping[str, Any]) -> VectorizeConfig | None:
    return VectorizeConfig(**from_stored(VectorizeConfig, params["shaping"])) if "shaping" in params else None


def _export_model(run: Run, _tiles: list[Tile], out: Path, _params: Mapping[str, Any], report: Report) -> None:
    from core.exports.model import export_network

    with _zipped(out) as folder:
        export_network(run, folder, read_catalog().named(run.record.tiles), report)


def _export_dataset(_run: Run, tiles: list[Tile], out: Path, params: Mapping[str, Any], report: Report) -> None:
    from core.exports.datasets.samples import export_samples
    from core.exports.datasets.writer import write_set

    samples = export_samples(tiles, int(params.get("chip", 0)), int(params.get("seed", 0)), report)
    with _zipped(out) as folder:
        write_set(samples, str(params["kind"]), folder)


def _export_rasters(run: Run, tiles: list[Tile], out: Path, params: Mapping[str, Any], report: Report) -> None:
    from core.exports.rasters import write_rasters

    with _zipped(out) as folder:
        write_rasters(run, tiles, folder, [str(name) for name in params["layers"]], report)


def _export_footprints(run: Run, tiles: list[Tile], out: Path, params: Mapping[str, Any], report: Report) -> None:
    write_area(run, tiles, out, str(params.get("kind", "raw")), report, _vectorize_config(params))


@contextmanager
def _zipped(out: Path) -> Iterator[Path]:
    """Yield a folder to fill, and pack it as a ZIP file at `out`; the folder is always removed."""
    folder = out.with_suffix("")
    try:
        yield folder
        with atomic_write(out) as temporary:
            archive = shutil.make_archive(str(temporary.with_suffix("")), "zip", folder.parent, folder.name)
            Path(archive).replace(temporary)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_EXPORTS: Mapping[str, Callable[[Run, list[Tile], Path, Mapping[str, Any], Report], None]] = {
    "report": _export_report, "network": _export_model, "set": _export_dataset, "rasters": _export_rasters,
    "footprints": _export_footprints,
}  # fmt: skip
