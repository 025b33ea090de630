"""Sliding-window benchmark: the thesis network on a large image, by windows, by the thesis's crops, and bare.

    nice python -m benchmarks.prediction [--full]

The thesis cuts crops of 128 pixels that overlap by half and calls `predict` for each. Its way and the bare network are
timed on a sixteenth of the work and multiplied, unless `--full` is given. Each measurement runs in its own process.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyproj
from affine import Affine

from core.datasets.normalization import Normalization
from core.geo import raster
from core.geo.grid import Grid
from core.inference.engine import load_network
from core.inference.predict import InferenceOptions, predict
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.runtime.keras_backend import start_keras
from models.registry import build

SIZE, HALF_SIZE = 4096, 2048
CROP, STEP, SAMPLE = 128, 64, 16
#: Pixels of a crop unaffected by its border: the receptive field has a radius of 40 pixels.
INNER = slice(40, CROP - 40)


def make_scene(folder: Path, size: int) -> Path:
    """Write noise in blocks of 16 pixels as 3band.tif, and 8band.tif at a quarter of its resolution."""
    random = np.random.default_rng(0)
    grid = Grid(size, size, Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), pyproj.CRS.from_epsg(32611))
    blocks = random.integers(1, 255, (3, size // 16, size // 16), np.uint8).repeat(16, 1).repeat(16, 2)
    image = raster.write(folder / f"{size}-3band.tif", raster.Raster(blocks, grid))
    eight = random.integers(1, 4000, (8, size // 4, size // 4)).astype(np.uint16)
    raster.write(eight_bands_of(image), raster.Raster(eight, grid.resized(size // 4, size // 4)))
    return image


def eight_bands_of(image: Path) -> Path:
    return image.with_name(image.name.replace("3band", "8band"))


def make_run(folder: Path) -> Run:
    """Create a run of the thesis network with random weights, scaled up so that its output varies by pixel."""
    start_keras(0)
    scaling = Normalization((0.0,) * 4, (255.0, 255.0, 255.0, 4000.0))
    gsd = Grid(SIZE, SIZE, Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), pyproj.CRS.from_epsg(32611)).pixel_m
    run = Run.create(folder, Record(TrainingConfig(), (), (), scaling, 4, gsd, 0, "", {}))
    model = build("fcn", 4)
    model.set_weights([weight * 1.5 for weight in model.get_weights()])
    run.save_weights(model, 1)
    return run


@dataclass
class Clock:
    """Wall time and CPU time [s]; CPU time is comparable on a busy machine."""

    wall: float = 0.0
    processor: float = 0.0

    def __enter__(self) -> Self:
        self.wall, self.processor = -time.perf_counter(), -time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter()
        self.processor += time.process_time()

    def times(self, factor: float) -> dict[str, float]:
        return {"seconds": self.wall * factor, "processor": self.processor * factor}


def groundplan(run: Run, image: Path) -> dict[str, float]:
    """Time files to probability file, including building and compiling the network, without importing Keras."""
    start_keras()
    with Clock() as clock:
        predict(
            run,
            (image, eight_bands_of(image)),
            image.with_suffix(".probability.tif"),
            options=InferenceOptions("keras"),
        )
    return clock.times(1)


def scene_pixels(run: Run, image: Path) -> np.ndarray:
    """Read the normalized pixels of an image, (rows, cols, 4) float32."""
    rgb = raster.read(image).pixels
    band_8 = raster.read(eight_bands_of(image), (8,), rgb.shape[1:]).pixels
    stacked = np.concatenate([rgb.astype(np.float32), band_8.astype(np.float32)])
    return run.record.normalization.apply(np.moveaxis(stacked, 0, -1))


def thesis(run: Run, image: Path, sample: int) -> dict[str, float]:
    """Time every `sample`-th crop of an image in memory; also return the largest differences of probability."""
    model, pixels = load_network(run), scene_pixels(run, image)
    starts = range(0, len(pixels) - CROP + 1, STEP)
    crops = [(row, column) for row in starts for column in starts][::sample]
    with raster.open_raster(image.with_suffix(".probability.tif")) as file:
        windows = file.read(1)
    model.predict(pixels[None, :CROP, :CROP], verbose=0)
    probabilities = []
    with Clock() as clock:
        for row, column in crops:
            crop = pixels[None, row : row + CROP, column : column + CROP]
            probabilities.append(model.predict(crop, verbose=0)[0, ..., 1])
    differences = [
        np.abs(probability - windows[row : row + CROP, column : column + CROP])
        for probability, (row, column) in zip(probabilities, crops, strict=True)
    ]
    inner = max(float(difference[INNER, INNER].max()) for difference in differences)
    whole = max(float(difference.max()) for difference in differences)
    return clock.times(len(starts) ** 2 / len(crops)) | {"inner": inner, "whole": whole, "crops": len(crops)}


def bare(run: Run, image: Path, sample: int) -> dict[str, float]:
    """Time the network alone on windows of 1024 pixels in memory, after one warm-up call."""
    model, pixels = load_network(run), scene_pixels(run, image)
    windows = [pixels[None, r : r + 1024, c : c + 1024] for r in range(0, SIZE, 1024) for c in range(0, SIZE, 1024)]
    model.predict_on_batch(windows[0])
    sampled = windows[::sample]
    with Clock() as clock:
        for window in sampled:
            model.predict_on_batch(window)
    return clock.times(len(windows) / len(sampled))


def in_child(case: str, run: Run, image: Path, sample: int) -> dict[str, float]:
    """Run a measurement in its own process; also return the peak memory."""
    command = [sys.executable, "-m", "benchmarks.prediction", "--child", case, str(run.path), str(image), str(sample)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return figures


def child(case: str, run: Run, image: Path, sample: int) -> None:
    if case == "groundplan":
        figures = groundplan(run, image)
    else:
        figures = thesis(run, image, sample) if case == "thesis" else bare(run, image, sample)
    print(json.dumps({**figures, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}))


def main(sample: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = make_run(folder / "run")
        small, large = make_scene(folder, HALF_SIZE), make_scene(folder, SIZE)
        half, whole = in_child("groundplan", run, small, sample), in_child("groundplan", run, large, sample)
        peer, limit = in_child("thesis", run, large, sample), in_child("bare", run, large, sample)
    note = "" if sample == 1 else f" (1/{sample} timed, multiplied)"
    print(f"| work | Groundplan | baseline{note} | limit{note} | baseline / Groundplan | Groundplan / limit |")
    print("|---|---|---|---|---|---|")
    for figure, work in (("seconds", f"{SIZE}×{SIZE}×4, file to file"), ("processor", "CPU time of it")):
        own, baseline, bound = whole[figure], peer[figure], limit[figure]
        ratios = f"{baseline / own:.1f} | {own / bound:.2f}"
        print(f"| {work} | {own:.1f} s | {baseline:.1f} s | {bound:.1f} s | {ratios} |")
    print(f"| peak memory | {whole['peak_gb']:.2f} GB | {peer['peak_gb']:.2f} GB | {limit['peak_gb']:.2f} GB | | |")
    print(f"| {HALF_SIZE}×{HALF_SIZE}×4 | {half['seconds']:.1f} s, {half['peak_gb']:.2f} GB | | | | |")
    print(
        f"\nProbabilities differ from the thesis's by at most {peer['inner']:.1e} more than 40 pixels from the "
        f"edge of a crop and by up to {peer['whole']:.2f} nearer to it ({peer['crops']:.0f} crops compared)."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="time all of the peer's and the limit's work")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, run_path, image_path, sampled = arguments.child
        child(what, Run(Path(run_path)), Path(image_path), int(sampled))
    else:
        main(1 if arguments.full else SAMPLE)
