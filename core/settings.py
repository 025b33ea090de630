"""Limits and paths, read once from the environment and typed."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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
        raise InvalidVariable(variable=f"GROUNDPLAN_{name}", value=value)
    return int(value)


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
    )
