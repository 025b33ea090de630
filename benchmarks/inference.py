"""The default network over large scenes, file to polygons: ours, the bare network, and the thesis's way.

    nice python -m benchmarks.inference

The scene is the sample city laid side by side, the network the one that comes with Groundplan. The limit is the bare
network on one window that lies in memory, by the same engine. The thesis cuts crops of 128 that overlap by half and
calls `predict` for each, with its own network; a 64th of them is timed and multiplied. Every side has a process of its
own, whose peak memory is told.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.catalog.scan import scan
from core.catalog.tile import Tile
from core.geo import raster
from core.geo.grid import Grid
from core.geo.vector_writers import Origin, write_footprints
from core.inference.engine import engine_of
from core.inference.predict import How, predict, shaped
from core.runs.run import Run
from core.runtime.keras_backend import start_keras
from core.synthetic_city import make_sample_city
from core.training.starter_model import FOLDER
from models.registry import NETWORKS, build

SIZES = (4096, 10_000)
ENGINES = ("keras", "openvino", "openvino-bf16")
CROP, STEP, SAMPLE = 128, 64, 64
_HEAD = (
    "engine", "scene", "file to polygons", "network and file", "polygons", "Mpx/s", "bare network, Mpx/s",
    "of the limit", "thesis's way", "times", "peak memory",
)  # fmt: skip


def make_scene(folder: Path, size: int, tile: Tile) -> Path:
    """(3, size, size) uint16: a tile of the city, mirrored from copy to copy."""
    described = raster.describe(tile.image).grid
    pixels = raster.read(tile.image, (1, 2, 3)).pixels
    rows = np.concatenate([pixels, pixels[:, ::-1]], axis=1)
    block = np.concatenate([rows, rows[:, :, ::-1]], axis=2)
    times = -(-size // block.shape[1])
    whole = np.tile(block, (1, times, times))[:, :size, :size]
    grid = replace(described, width=size, height=size)
    return raster.write(folder / f"{size}.tif", raster.Raster(np.ascontiguousarray(whole), grid))


def grid_of(run: Run, image: Path) -> Grid:
    return raster.describe(image).grid.at_gsd(run.record.gsd_m)


def ours(run: Run, image: Path, engine: str) -> dict[str, float]:
    """File to polygons in a file; the network's building and compiling is told apart."""
    began = time.perf_counter()
    engine_of(run, engine)
    ready = time.perf_counter()
    out = image.with_suffix(".probability.tif")
    made = predict(run, (image, None), out, how=How(engine))
    network = time.perf_counter()
    found = shaped(out, run)
    write_footprints(found, image.with_suffix(".gpkg"), made.grid, Origin("scene"))
    done = time.perf_counter()
    megapixels = made.grid.width * made.grid.height / 1e6
    return {
        "seconds": done - ready, "predict": network - ready, "polygons": done - network, "start": ready - began,
        "megapixels": megapixels, "found": len(found),
    }  # fmt: skip


def bare(run: Run, _image: Path, engine: str) -> dict[str, float]:
    """Megapixels a second of the network on one window in memory, the third and later times it sees it."""
    network = NETWORKS[run.config.network]
    side = network.core + 2 * (network.halo + network.blend)
    window = np.random.default_rng(0).random((side, side, run.record.bands), np.float32)
    compute = engine_of(run, engine)
    for _ in range(2):
        compute(window)
    began = time.perf_counter()
    for _ in range(4):
        compute(window)
    return {"rate": 4 * side**2 / 1e6 / (time.perf_counter() - began)}


def thesis(run: Run, image: Path, _engine: str) -> dict[str, float]:
    """Seconds for the whole scene: every SAMPLE-th crop, each by its own `predict`, by the thesis's network."""
    start_keras(0)
    model = build("fcn", run.record.bands)
    pixels = np.moveaxis(raster.read(image, (1, 2, 3)).pixels, 0, -1).astype(np.float32)
    starts = range(0, len(pixels) - CROP + 1, STEP)
    crops = [(row, column) for row in starts for column in starts]
    model.predict(pixels[None, :CROP, :CROP], verbose=0)
    began = time.perf_counter()
    for row, column in crops[::SAMPLE]:
        model.predict(pixels[None, row : row + CROP, column : column + CROP], verbose=0)
    return {"seconds": (time.perf_counter() - began) * len(crops) / len(crops[::SAMPLE])}


def in_child(what: str, image: Path, engine: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.inference", "--child", what, str(image), engine]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, float] = json.loads(said.splitlines()[-1])
    return figures


def child(what: str, image: Path, engine: str) -> None:
    figures = {"ours": ours, "bare": bare, "thesis": thesis}[what](Run(FOLDER), image, engine)
    print(json.dumps({**figures, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tile = scan(make_sample_city(folder / "city", tiles=(1, 2))).tiles[0]
        scenes = [make_scene(folder, size, tile) for size in SIZES]
        peer = in_child("thesis", scenes[0], "keras")["seconds"]
        print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}")
        for engine in ENGINES:
            limit = in_child("bare", scenes[0], engine)["rate"]
            for size, scene in zip(SIZES, scenes, strict=True):
                print(row(engine, size, in_child("ours", scene, engine), limit, peer), flush=True)


def row(engine: str, size: int, mine: dict[str, float], limit: float, peer: float) -> str:
    rate, theirs = mine["megapixels"] / mine["seconds"], peer * (size / SIZES[0]) ** 2
    cells = (
        engine, f"{size}²", f"{mine['seconds']:.1f} s", f"{mine['predict']:.1f} s", f"{mine['polygons']:.1f} s",
        f"{rate:.1f}", f"{limit:.1f}", f"{rate / limit:.0%}", f"{theirs:.0f} s", f"{theirs / mine['seconds']:.0f}",
        f"{mine['peak_gb']:.2f} GB",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        what, image, engine = given.child
        child(what, Path(image), engine)
    else:
        main()
