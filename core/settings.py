"""Limits and paths, read once from the environment and typed."""

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import InvalidVariable

_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Settings:
    """What a deployment may change. Each field is the environment variable GROUNDPLAN_<NAME>."""

    data: Path  #: folder of the catalogue, the sample city, runs, predictions and the queue
    max_raster_bytes: int  #: decoded size of one raster read into memory at once
    max_declared_bytes: int  #: decoded size a raster's header may declare
    max_upload_bytes: int  #: size of one file given to a page
    max_vector_bytes: int  #: size of one footprint file
    max_vertices: int  #: vertices in one footprint file
    max_scene_bytes: int  #: decoded tiles that a training keeps in memory; more lie in memory-mapped files
    launcher: str  #: where jobs run: "local" (this machine) or "ray"
    ray_slots: int  #: jobs that a worker hands to Ray at once
    ray_project: Path  #: this project's folder on the machines of the cluster
    ray_python: str  #: the Python there
    webhook: str  #: http(s) address that is told when a job is over; "" for none

    @property
    def catalog(self) -> Path:
        """The GeoParquet file with one row a tile."""
        return self.data / "catalog.parquet"

    @property
    def runs(self) -> Path:
        """One folder a training run."""
        return self.data / "runs"

    @property
    def predictions(self) -> Path:
        """One folder a run, and in it one a tile."""
        return self.data / "predictions"

    @property
    def exports(self) -> Path:
        """One folder an export that was asked for on a page."""
        return self.data / "exports"

    @property
    def sample(self) -> Path:
        """The generated city."""
        return self.data / "sample-city"

    @property
    def spacenet(self) -> Path:
        """What was downloaded from SpaceNet's bucket, under its keys."""
        return self.data / "spacenet"

    @property
    def uploads(self) -> Path:
        """One folder an uploaded tile."""
        return self.data / "uploads"

    @property
    def inbox(self) -> Path:
        """Where files too large for a browser are put by hand."""
        return self.data / "inbox"

    @property
    def queue(self) -> Path:
        """The SQLite file of the job queue."""
        return self.data / "jobs.sqlite"


def _number(name: str, default: int) -> int:
    value = os.environ.get(f"GROUNDPLAN_{name}", str(default))
    if not value.isdecimal():
        raise InvalidVariable(variable=f"GROUNDPLAN_{name}", value=value, wanted="a whole number")
    return int(value)


def _word(name: str, *known: str) -> str:
    """One of the known words; the first one where nothing is set."""
    value = os.environ.get(f"GROUNDPLAN_{name}", known[0])
    if value not in known:
        raise InvalidVariable(variable=f"GROUNDPLAN_{name}", value=value, wanted=" or ".join(known))
    return value


def _address(name: str) -> str:
    """An http(s) address, or "" where nothing is set."""
    value = os.environ.get(f"GROUNDPLAN_{name}", "")
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if value and not whole:
        raise InvalidVariable(variable=f"GROUNDPLAN_{name}", value=value, wanted="an address like https://host/path")
    return value


def _physical_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@cache
def settings() -> Settings:
    """The settings of this process; raises InvalidVariable."""
    return Settings(
        data=Path(os.environ.get("GROUNDPLAN_DATA", "data")).expanduser().resolve(),
        max_raster_bytes=_number("MAX_RASTER_BYTES", 2_000 * _MEGABYTE),
        max_declared_bytes=_number("MAX_DECLARED_BYTES", 8_000 * _MEGABYTE),
        max_upload_bytes=_number("MAX_UPLOAD_BYTES", 500 * _MEGABYTE),
        max_vector_bytes=_number("MAX_VECTOR_BYTES", 200 * _MEGABYTE),
        max_vertices=_number("MAX_VERTICES", 1_500_000),
        max_scene_bytes=_number("MAX_SCENE_BYTES", _physical_memory() // 3),
        launcher=_word("LAUNCHER", "local", "ray"),
        ray_slots=_number("RAY_SLOTS", 16),
        ray_project=Path(os.environ.get("GROUNDPLAN_RAY_PROJECT") or Path(__file__).parents[1]),
        ray_python=os.environ.get("GROUNDPLAN_RAY_PYTHON") or sys.executable,
        webhook=_address("WEBHOOK"),
    )
