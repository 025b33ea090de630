"""Hostile files are opened in a process of their own: what kills or hangs it is seen, and its memory is measured.

`python -m tests.security.child open FILE DOOR...` or `python -m tests.security.child mutated FOLDER FIRST LAST`.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import morecantile
import numpy as np
import shapely

from core.catalog.tile import Tile
from core.errors import GroundplanError
from core.geo import raster as rasters
from core.geo import xyz_tiles
from core.geo.raster import Raster
from core.geo.vector import read_footprints
from core.rendering import images
from tests.conftest import ROOT
from tests.core.tile_factory import HOUSES, grid_at, write_labels
from tests.security.mutations import mutated


@dataclass(frozen=True)
class Opened:
    """What came of a file at one door."""

    error: str  #: class name, empty where it was let in
    words: str
    seconds: float
    more_mb: float  #: peak of the memory above what the process held before


def thumbnail(path: Path) -> object:
    """As the map asks for one."""
    tile = replace(Tile.listed("hostile", "AOI_0_Made", shapely.box(0, 0, 1, 1)), products={"3band": path})
    return images.thumbnail(tile)


def square(path: Path) -> object:
    """A square of the map where the made-up tile lies."""
    middle = grid_at().footprint.centroid
    place = morecantile.tms.get("WebMercatorQuad").tile(middle.x, middle.y, 18)
    return xyz_tiles.read_xyz_tile(path, (place.z, place.x, place.y), (1,))


DOORS: dict[str, Callable[[Path], object]] = {
    "describe": rasters.read_info,
    "read": rasters.read,
    "small": lambda path: rasters.read(path, (1,), (16, 16)),
    "thumbnail": thumbnail,
    "square": square,
    "footprints": read_footprints,
}
RASTER_DOORS = ("describe", "read", "small", "thumbnail", "square")


def opened(path: Path, *doors: str, patience_s: float = 60) -> list[Opened]:
    """Opens one file at some doors, in a process of its own; a crash is a CalledProcessError, a hang TimeoutExpired."""
    return [Opened(**facts) for facts in json.loads(run("open", str(path), *doors, patience_s=patience_s))]


def run(*arguments: str, patience_s: float) -> str:
    """What a process of its own prints last; GDAL's own words go to nowhere."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.child", *arguments],
        cwd=ROOT, timeout=patience_s, check=True, capture_output=True,
    )  # fmt: skip
    return done.stdout.decode().splitlines()[-1]


def _memory_mb(name: str) -> float:
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) / 1e3


def _open(door: str, path: Path) -> Opened:
    _warm_up(door)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = _memory_mb("VmRSS"), time.perf_counter()
    error = words = ""
    try:
        DOORS[door](path)
    except GroundplanError as told:
        error, words = type(told).__name__, str(told)
    return Opened(error, words, time.perf_counter() - start, _memory_mb("VmHWM") - before)


def _warm_up(door: str) -> None:
    """What is imported and kept at the first file is no file's fault."""
    with tempfile.TemporaryDirectory() as folder:
        raster = Raster(np.ones((1, 64, 64), np.uint8), grid_at())
        good = (
            write_labels(Path(folder) / "good.geojson", grid_at(), HOUSES)
            if door == "footprints"
            else rasters.write(Path(folder) / "good.tif", raster)
        )
        DOORS[door](good)


def _mutated(folder: Path, first: int, last: int) -> dict[str, int]:
    """Each file at each door of rasters; what is neither let in nor one of our errors ends the process."""
    told: dict[str, int] = {}
    for number in range(first, last):
        path = folder / f"{number}.tif"
        path.write_bytes(mutated(folder, number))
        for door in RASTER_DOORS:
            print(number, door, flush=True)  # the last line names the file that killed us
            outcome = "let in"
            try:
                DOORS[door](path)
            except GroundplanError as error:
                outcome = type(error).__name__
            told[outcome] = told.get(outcome, 0) + 1
        path.unlink()
    return told


def main() -> None:
    """No more address space than 8 GB: a bomb that gets through must not take the machine with it."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    if sys.argv[1] == "open":
        print(json.dumps([asdict(_open(door, Path(sys.argv[2]))) for door in sys.argv[3:]]))
    else:
        print(json.dumps(_mutated(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))


if __name__ == "__main__":
    main()
