"""Settings: limits and paths, read once from environment variables and typed."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple, get_type_hints
from urllib.parse import urlsplit

from core.errors import InvalidVariable

_MEGABYTE = 1_000_000


class Variable(NamedTuple):
    """Documentation of a setting; docs/reference/settings.md is generated from it."""

    default: int | str  #: value where the variable is not set, or a description where it depends on the machine
    unit: str
    meaning: str


@dataclass(frozen=True)
class Settings:
    """Settings of a deployment. Each field is the environment variable GROUNDPLAN_<NAME>."""

    data: Annotated[
        Path, Variable("data", "folder", "Data folder: catalog, images, runs, predictions, exports and job queue.")
    ]
    max_raster_bytes: Annotated[
        int, Variable(2_000 * _MEGABYTE, "bytes", "Maximum decoded size of a raster that is read into memory at once.")
    ]
    max_declared_bytes: Annotated[
        int, Variable(8_000 * _MEGABYTE, "bytes", "Maximum decoded size that the header of a raster may declare.")
    ]
    max_upload_bytes: Annotated[
        int, Variable(500 * _MEGABYTE, "bytes", "Maximum size of a file uploaded in the browser.")
    ]
    max_vector_bytes: Annotated[int, Variable(200 * _MEGABYTE, "bytes", "Maximum size of a footprint file.")]
    max_vertices: Annotated[int, Variable(1_500_000, "vertices", "Maximum number of vertices in a footprint file.")]
    max_scene_bytes: Annotated[
        int, Variable("a third of the physical memory", "bytes", "Maximum decoded size of the tiles that a training "
                      "keeps in memory. Further tiles are memory-mapped files.")
    ]  # fmt: skip
    launcher: Annotated[
        str, Variable("local", "`local` or `ray`", "Where jobs run: on the worker's machine, or on a Ray cluster.")
    ]
    ray_slots: Annotated[
        int, Variable(16, "jobs", "Maximum number of jobs that the worker submits to the Ray cluster at once.")
    ]
    ray_project: Annotated[
        Path, Variable("that of the worker", "folder", "Folder of the project on the machines of the Ray cluster.")
    ]
    ray_python: Annotated[
        str, Variable("that of the worker", "path", "Python interpreter on the machines of the Ray cluster.")
    ]
    webhook: Annotated[
        str, Variable("", "http(s) address", "Address that receives a POST request when a job has ended.")
    ]

    @property
    def catalog(self) -> Path:
        """Return the GeoParquet file with one row per tile."""
        return self.data / "catalog.parquet"

    @property
    def runs(self) -> Path:
        """Return the folder with one folder per run."""
        return self.data / "runs"

    @property
    def predictions(self) -> Path:
        """Return the folder with one folder per run, and in it one per tile."""
        return self.data / "predictions"

    @property
    def exports(self) -> Path:
        """Return the folder with one folder per export of a page."""
        return self.data / "exports"

    @property
    def sample(self) -> Path:
        """Return the folder of the synthetic city."""
        return self.data / "sample-city"

    @property
    def spacenet(self) -> Path:
        """Return the folder of downloads from SpaceNet's bucket, under their keys."""
        return self.data / "spacenet"

    @property
    def uploads(self) -> Path:
        """Return the folder with one folder per uploaded tile."""
        return self.data / "uploads"

    @property
    def inbox(self) -> Path:
        """Return the folder for files that are too large to upload in a browser."""
        return self.data / "inbox"

    @property
    def queue(self) -> Path:
        """Return the SQLite file of the job queue."""
        return self.data / "jobs.sqlite"


_VARIABLES: Mapping[str, Variable] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}


def _number(name: str, default: int | None = None) -> int:
    """Read an integer; without a default that of the field."""
    value = os.environ.get(f"GROUNDPLAN_{name}", str(_VARIABLES[name.lower()].default if default is None else default))
    if not value.isdecimal():
        raise InvalidVariable(variable=f"GROUNDPLAN_{name}", value=value, wanted="a whole number")
    return int(value)


def _choice(name: str, *choices: str) -> str:
    """Read one of several values, the first by default."""
    value = os.environ.get(f"GROUNDPLAN_{name}", choices[0])
    if value not in choices:
        raise InvalidVariable(variable=f"GROUNDPLAN_{name}", value=value, wanted=" or ".join(choices))
    return value


def _address(name: str) -> str:
    """Read an http(s) URL, "" by default."""
    value = os.environ.get(f"GROUNDPLAN_{name}", "")
    try:
        url = urlsplit(value)
        is_valid = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_valid = False
    if value and not is_valid:
        raise InvalidVariable(variable=f"GROUNDPLAN_{name}", value=value, wanted="an address like https://host/path")
    return value


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises InvalidVariable."""
    physical_memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Settings(
        data=Path(os.environ.get("GROUNDPLAN_DATA", str(_VARIABLES["data"].default))).expanduser().resolve(),
        max_raster_bytes=_number("MAX_RASTER_BYTES"),
        max_declared_bytes=_number("MAX_DECLARED_BYTES"),
        max_upload_bytes=_number("MAX_UPLOAD_BYTES"),
        max_vector_bytes=_number("MAX_VECTOR_BYTES"),
        max_vertices=_number("MAX_VERTICES"),
        max_scene_bytes=_number("MAX_SCENE_BYTES", physical_memory // 3),
        launcher=_choice("LAUNCHER", str(_VARIABLES["launcher"].default), "ray"),
        ray_slots=_number("RAY_SLOTS"),
        ray_project=Path(os.environ.get("GROUNDPLAN_RAY_PROJECT") or Path(__file__).parents[1]),
        ray_python=os.environ.get("GROUNDPLAN_RAY_PYTHON") or sys.executable,
        webhook=_address("WEBHOOK"),
    )


def settings_table() -> list[tuple[str, str, str, str]]:
    """Return variable, default, unit and meaning of every setting, for the reference page."""
    rows = []
    for name, variable in _VARIABLES.items():
        default = f"{variable.default:,}" if isinstance(variable.default, int) else variable.default or "not set"
        rows.append((f"GROUNDPLAN_{name.upper()}", default, variable.unit, variable.meaning))
    return rows
