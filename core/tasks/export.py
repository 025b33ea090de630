"""Exports that take a while, as jobs: their files lie in a folder of their own until somebody fetches them."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from core.atomic_files import replacing
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.errors import InvalidSetting
from core.exports.footprints import write_area
from core.jobs.queue import HIGH, Job, Queue, State
from core.postprocessing.config import Shaping
from core.progress import Finish, Report, never
from core.runs.run import Run
from core.settings import settings

#: More jobs than a queue has.
_ALL = 1_000_000


def submit_export(what: str, params: Mapping[str, Any], title: str, queue: Queue) -> Job:
    """A job that exports; `params` as `export_task` takes them, without the folder.

    What other exports left whose job was deleted, stopped or has failed goes away.
    """
    there = list(settings().exports.glob("*"))  # before the jobs: none of these is about to be asked for
    jobs = queue.jobs(limit=_ALL, task="export")
    kept = {str(job.params["folder"]) for job in jobs if job.state is State.DONE or not job.state.is_over}
    for path in there:
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
    folder = uuid4().hex
    return queue.submit("export", {"what": what, "folder": folder, **params}, title, HIGH)  # somebody waits for it


def file_of(job: Job) -> Path:
    """The file a finished export has made."""
    return settings().exports / Path(str(job.params["folder"])).name / Path(str(job.params["file"])).name


def export_task(params: Mapping[str, Any], report: Report, _finish: Finish = never) -> None:
    """The job: {"what", "run", "tiles": [ids], "file": name, "folder": name}, and what that export needs: "kind",
    "chip", "layers", "shaping".

    A failed one leaves nothing behind. Raises InvalidSetting, NoSuchTile, and what the export raises.
    """
    what = str(params["what"])
    if what not in _EXPORTS:
        raise InvalidSetting(setting="the export", value=what, detail=f"it is one of {', '.join(_EXPORTS)}")
    tiles = [read_catalog().tile(str(name)) for name in params.get("tiles", [])]
    run = Run(settings().runs / Path(str(params.get("run", ""))).name)
    out = settings().exports / Path(str(params["folder"])).name / Path(str(params["file"])).name
    shutil.rmtree(out.parent, ignore_errors=True)  # what an attempt that was killed has left
    _EXPORTS[what](run, tiles, out, params, report)


def _report(run: Run, tiles: list[Tile], out: Path, params: Mapping[str, Any], report: Report) -> None:
    from core.exports.report import write_report

    write_report(run, tiles, out, _shaping(params), report)


def _shaping(params: Mapping[str, Any]) -> Shaping | None:
    return Shaping(**params["shaping"]) if "shaping" in params else None


def _network(run: Run, _tiles: list[Tile], out: Path, _params: Mapping[str, Any], report: Report) -> None:
    from core.exports.model import export_network

    with _zipped(out) as folder:
        export_network(run, folder, read_catalog().named(run.record.tiles), report)


def _set(_run: Run, tiles: list[Tile], out: Path, params: Mapping[str, Any], report: Report) -> None:
    from core.exports.datasets.samples import examples
    from core.exports.datasets.writer import write_set

    found = examples(tiles, int(params.get("chip", 0)), int(params.get("seed", 0)), report)
    with _zipped(out) as folder:
        write_set(found, str(params["kind"]), folder)


def _rasters(run: Run, tiles: list[Tile], out: Path, params: Mapping[str, Any], report: Report) -> None:
    from core.exports.rasters import write_rasters

    with _zipped(out) as folder:
        write_rasters(run, tiles, folder, [str(name) for name in params["layers"]], report)


def _footprints(run: Run, tiles: list[Tile], out: Path, params: Mapping[str, Any], report: Report) -> None:
    write_area(run, tiles, out, str(params.get("kind", "raw")), report, _shaping(params))


@contextmanager
def _zipped(out: Path) -> Iterator[Path]:
    """A folder to be made, which becomes this one file; the folder itself goes away, also where that fails."""
    folder = out.with_suffix("")
    try:
        yield folder
        with replacing(out) as part:
            made = shutil.make_archive(str(part.with_suffix("")), "zip", folder.parent, folder.name)
            Path(made).replace(part)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_EXPORTS: Mapping[str, Callable[[Run, list[Tile], Path, Mapping[str, Any], Report], None]] = {
    "report": _report, "network": _network, "set": _set, "rasters": _rasters, "footprints": _footprints,
}  # fmt: skip
