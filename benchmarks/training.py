"""Crops a second in a training epoch: ours, the limit and the thesis's loop, with the thesis network.

    nice python -m benchmarks.training [--crops N]

The limit is the same step fed from one array in memory, batch after batch. The thesis's loop saved each crop as a .npy
file and loaded it for every step of `fit`. Ours is an epoch as the product trains it, with progress and live figures,
from tiles in memory and from tiles in memory-mapped files; and once more with the checkpoint at its end, which the
others do not have. The check on the validation ground is left out. All learn from the same crops in batches of the same
size, epoch about epoch in one process, so that what else the machine does hits them alike; an epoch to warm up is not
counted. "Input alone" is what our pipeline gives where no network takes its time: how fast a device may be before it
starves.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyproj
from affine import Affine

from core.datasets.chips import Chips
from core.datasets.config import Recipe
from core.datasets.dataset import Dataset
from core.datasets.normalization import Scaling
from core.datasets.samples import Scene
from core.geo.grid import Grid
from core.progress import never, silent
from core.runs.checkpoints import Standing
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.runtime.keras_backend import start_keras
from core.training.crop_sampler import Drawing
from core.training.learner import Learner
from core.training.trainer import Fit

SCENES, BATCH, EPOCHS, CHECK = 8, 8, 3, 8


def made_up(crops: int) -> Dataset:
    """Scenes of 512×512 with the thesis's crops, noise with bright squares; `crops` of all of them train."""
    recipe, random = Recipe(), np.random.default_rng(0)
    scenes = [scene(n, recipe.size, random) for n in range(SCENES)]
    chips = Chips.of(scenes, recipe)
    numbers = random.permutation(len(chips))
    train, check = numbers[:crops], numbers[crops : crops + CHECK]
    return Dataset(chips.only(train), chips.only(check), chips, Scaling((0,) * 4, (1,) * 4), 4)


def mapped(data: Dataset, folder: Path) -> Dataset:
    """The same, its tiles in memory-mapped files."""
    scenes = tuple(scene.on_disk(folder / "scenes" / f"{n}.npy") for n, scene in enumerate(data.train.scenes))
    train, check = (replace(chips, scenes=scenes) for chips in (data.train, data.validation))
    return replace(data, train=train, validation=check)


def scene(n: int, size: int, random: np.random.Generator) -> Scene:
    grid = Grid(size, size, Affine(0.5, 0, 500_000 + 300 * n, 0, -0.5, 4_000_000), pyproj.CRS.from_epsg(32611))
    target = np.kron(random.integers(0, 2, (size // 32, size // 32)), np.ones((32, 32))).astype(np.uint8)
    pixels = (random.random((size, size, 4)) * 0.5 + target[..., None]).astype(np.float32)
    nothing = np.empty(0, object)
    return Scene(f"scene {n}", pixels, target[..., None], np.ones((size, size), bool), grid, (1.0,) * 4, nothing)


Epoch: TypeAlias = Callable[[int], object]


def fit_of(data: Dataset, folder: Path) -> Fit:
    config = TrainingConfig(batch=BATCH, epochs=EPOCHS + 1, augment=True)
    run = Run.create(folder, Record(config, (), (), data.scaling, 4, (0.5, 0.5), 0, "", {}))
    return Fit(run, config, data, Learner.build(config, 4), Standing(), (), silent, never)


def ours(data: Dataset, folder: Path, is_mapped: bool = False, saves: bool = False) -> Epoch:
    """The product's own loop over an epoch."""
    fit = fit_of(mapped(data, folder) if is_mapped else data, folder / f"run {is_mapped} {saves}")

    def epoch(n: int) -> None:
        fit.standing = Standing(epoch=n)
        fit._learn()
        if saves:
            fit.standing = Standing(epoch=n + 1)
            fit._save()

    return epoch


def input_alone(data: Dataset, folder: Path) -> Epoch:
    """What ours is fed with, and nothing done with it."""
    fit = fit_of(data, folder / "input")

    def epoch(n: int) -> None:
        for _ in fit._batches(fit.data.train, fit.drawing.epoch(n)):
            pass

    return epoch


def limit(data: Dataset, _folder: Path) -> Epoch:
    """The bare step on slices of one array that lies in memory, in order."""
    config = TrainingConfig(batch=BATCH)
    learner = Learner.build(config, 4)
    drawn = Drawing(config, data.train).epoch(0)
    pixels, target, weight = data.train.cut(drawn.places)

    def epoch(_n: int) -> None:
        for first in range(0, len(drawn), BATCH):
            part = slice(first, first + BATCH)
            learner.steps.train((pixels[part], target[part], weight[part]), config.learning_rate)

    return epoch


def thesis(data: Dataset, folder: Path) -> Epoch:
    """A .npy file a crop, loaded in `__getitem__` of a Sequence, and Keras's `fit`."""
    import keras

    from models.registry import build

    pixels, target, _ = data.train.cut(data.train.places(np.arange(len(data.train))))
    for n in range(len(pixels)):
        np.save(folder / f"{n}-pixels.npy", pixels[n])
        np.save(folder / f"{n}-target.npy", target[n])

    class Files(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return -(-len(pixels) // BATCH)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            numbers = range(index * BATCH, min((index + 1) * BATCH, len(pixels)))
            x, y = ([np.load(folder / f"{n}-{kind}.npy") for n in numbers] for kind in ("pixels", "target"))
            return np.stack(x), np.stack(y)

    model = build("fcn", 4)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return lambda _n: model.fit(Files(), epochs=1, verbose=0)


SIDES: dict[str, Callable[[Dataset, Path], Epoch]] = {
    "limit: one array in memory": limit,
    "ours": ours,
    "ours, memory-mapped tiles": partial(ours, is_mapped=True),
    "ours, with the epoch's checkpoint (45 MB)": partial(ours, saves=True),
    "peer: thesis's .npy per crop": thesis,
    "input alone": input_alone,
}


def seconds(epoch: Epoch, n: int) -> float:
    began = time.perf_counter()
    epoch(n)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=384)
    crops = parser.parse_args().crops
    start_keras(0)
    with tempfile.TemporaryDirectory() as folder:
        data = made_up(crops)
        epochs = [make(data, Path(folder)) for make in SIDES.values()]
        took = np.array([[seconds(epoch, n) for epoch in epochs] for n in range(EPOCHS + 1)])[1:]
    ratios = np.median(took[:, :1] / took, axis=0)
    print(f"{crops} crops of 128×128×4 an epoch, batches of {BATCH}, thesis network, {EPOCHS} epochs of each in turn")
    print("\n| work | crops/s | of the limit |\n|---|---|---|")
    for name, pace, ratio in zip(SIDES, crops / np.median(took, axis=0), ratios, strict=True):
        print(f"| {name} | {pace:,.1f} | {ratio:.1%} |")


if __name__ == "__main__":
    main()
