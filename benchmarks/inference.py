"""Inference benchmark: the default network on large images, file to polygons, against the bare network and the thesis.

    nice python -m benchmarks.inference

The image is a mosaic of the sample city, the network the built-in model. The limit is the bare network on one window in
memory, by the same engine. The thesis cuts crops of 128 pixels that overlap by half and calls `predict` for each, with
its own network; every 64th crop is timed and the time multiplied. Each measurement runs in its own process, whose
peak memory is printed.
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
from core.geo.vector_writers import Provenance, write_footprints
from core.inference.engine import load_engine
from core.inference.predict import InferenceOptions, predict, vectorize_as
from core.runs.run import Run
from core.runtime.keras_backend import start_keras
from core.synthetic_city import make_sample_city
from core.training.starter_model import FOLDER
from models.registry import NETWORKS, build

SIZES = (4096, 10_000)
ENGINES = ("keras", "openvino", "openvino-bf16")
CROP, STEP, SAMPLE = 128, 64, 64
_HEAD = (
    "engine", "scene", "file to polygons", "network and file", "polygons", "Mpx/s", "limit: bare network, Mpx/s",
    "of the limit", "baseline: thesis's crops", "baseline / Groundplan", "peak memory",
)  # fmt: skip


def make_scene(folder: Path, size: int, tile: Tile) -> Path:
    """Write a mosaic of a tile of the city, mirrored from copy to copy, (3, size, size) uint16."""
    tile_grid = raster.read_info(tile.image).grid
    pixels = raster.read(tile.image, (1, 2, 3)).pixels
    rows = np.concatenate([pixels, pixels[:, ::-1]], axis=1)
    block = np.concatenate([rows, rows[:, :, ::-1]], axis=2)
    copies = -(-size // block.shape[1])
    mosaic = np.tile(block, (1, copies, copies))[:, :size, :size]
    grid = replace(tile_grid, width=size, height=size)
    return raster.write(folder / f"{size}.tif", raster.Raster(np.ascontiguousarray(mosaic), grid))


def grid_of(run: Run, image: Path) -> Grid:
    return raster.read_info(image).grid.at_gsd(run.record.gsd_m)


def groundplan(run: Run, image: Path, engine: str) -> dict[str, float]:
    """Time file to polygon file; building and compiling the network is timed separately."""
    start = time.perf_counter()
    load_engine(run, engine)
    ready = time.perf_counter()
    out = image.with_suffix(".probability.tif")
    prediction = predict(run, (image, None), out, options=InferenceOptions(engine))
    network = time.perf_counter()
    polygons = vectorize_as(out, run)
    write_footprints(polygons, image.with_suffix(".gpkg"), prediction.grid, Provenance("scene"))
    end = time.perf_counter()
    megapixels = prediction.grid.width * prediction.grid.height / 1e6
    return {
        "seconds": end - ready, "predict": network - ready, "polygons": end - network, "start": ready - start,
        "megapixels": megapixels, "found": len(polygons),
    }  # fmt: skip


def bare(run: Run, _image: Path, engine: str) -> dict[str, float]:
    """Measure the network on one window in memory, after two warm-up calls [Mpx/s]."""
    network = NETWORKS[run.config.network]
    side = network.max_window + 2 * (network.halo + network.blend)
    window = np.random.default_rng(0).random((side, side, run.record.bands), np.float32)
    compute = load_engine(run, engine)
    for _ in range(2):
        compute(window)
    start = time.perf_counter()
    for _ in range(4):
        compute(window)
    return {"rate": 4 * side**2 / 1e6 / (time.perf_counter() - start)}


def thesis(run: Run, image: Path, _engine: str) -> dict[str, float]:
    """Time the thesis's way on the whole image [s], extrapolated from every SAMPLE-th crop."""
    start_keras(0)
    model = build("fcn", run.record.bands)
    pixels = np.moveaxis(raster.read(image, (1, 2, 3)).pixels, 0, -1).astype(np.float32)
    starts = range(0, len(pixels) - CROP + 1, STEP)
    crops = [(row, column) for row in starts for column in starts]
    model.predict(pixels[None, :CROP, :CROP], verbose=0)
    start = time.perf_counter()
    for row, column in crops[::SAMPLE]:
        model.predict(pixels[None, row : row + CROP, column : column + CROP], verbose=0)
    return {"seconds": (time.perf_counter() - start) * len(crops) / len(crops[::SAMPLE])}


def in_child(case: str, image: Path, engine: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.inference", "--child", case, str(image), engine]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return figures


def child(case: str, image: Path, engine: str) -> None:
    figures = {"groundplan": groundplan, "bare": bare, "thesis": thesis}[case](Run(FOLDER), image, engine)
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
                print(row(engine, size, in_child("groundplan", scene, engine), limit, peer), flush=True)


def row(engine: str, size: int, figures: dict[str, float], limit: float, peer: float) -> str:
    rate, peer_s = figures["megapixels"] / figures["seconds"], peer * (size / SIZES[0]) ** 2
    cells = (
        engine, f"{size}²", f"{figures['seconds']:.1f} s", f"{figures['predict']:.1f} s",
        f"{figures['polygons']:.1f} s", f"{rate:.1f}", f"{limit:.1f}", f"{rate / limit:.0%}",
        f"{peer_s:.0f} s", f"{peer_s / figures['seconds']:.0f}",
        f"{figures['peak_gb']:.2f} GB",
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
