"""Crops a second in a training epoch: ours, the limit and the thesis's loop, with the thesis network.

    nice python -m benchmarks.training [--crops N]

The limit is the same step fed from one array in memory, batch after batch. The thesis's loop saved each crop as a .npy
file and loaded it for every step of `fit`. All three learn from the same crops in batches of the same size, epoch about
epoch in one process, so that what else the machine does hits them alike; an epoch to warm up is not counted.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyproj
from affine import Affine

from core.backend import start_keras
from core.checkpoints import Standing
from core.chips import Chips, Recipe, Scaling, Scene
from core.dataset import Dataset
from core.fitting import Fit, order_of
from core.grids import Grid
from core.learner import Learner
from core.progress import never, silent
from core.runs import Record, Run, TrainingConfig

SCENES, BATCH, EPOCHS, CHECK = 4, 8, 5, 8


def made_up(crops: int) -> Dataset:
    """Scenes of 512×512 with the thesis's crops, noise with bright squares; the first `crops` of them train."""
    recipe, random = Recipe(), np.random.default_rng(0)
    scenes = [scene(n, recipe.size, random) for n in range(SCENES)]
    chips = Chips.of(scenes, recipe)
    return Dataset(
        chips.only(np.arange(crops)), chips.only(np.arange(crops, crops + CHECK)), Scaling((0,) * 4, (1,) * 4), 4
    )


def scene(n: int, size: int, random: np.random.Generator) -> Scene:
    grid = Grid(size, size, Affine(0.5, 0, 500_000 + 300 * n, 0, -0.5, 4_000_000), pyproj.CRS.from_epsg(32611))
    target = np.kron(random.integers(0, 2, (size // 32, size // 32)), np.ones((32, 32))).astype(np.uint8)
    pixels = (random.random((size, size, 4)) * 0.5 + target[..., None]).astype(np.float32)
    return Scene(f"scene {n}", pixels, target, np.ones((size, size), bool), grid, (1.0,) * 4)


Epoch: TypeAlias = Callable[[int], object]


def ours(data: Dataset, folder: Path) -> Epoch:
    """The product's own loop over an epoch, with its progress, live figures and checkpoints in time."""
    config = TrainingConfig(batch=BATCH, epochs=EPOCHS + 1)
    run = Run.create(folder / "run", Record(config, (), (), data.scaling, 4, (0.5, 0.5), 0, "", {}))
    fit = Fit(run, config, data, Learner.build(config, 4), Standing(), (), silent, never)

    def epoch(n: int) -> None:
        fit.standing = Standing(epoch=n)
        fit._learn()

    return epoch


def limit(data: Dataset, _folder: Path) -> Epoch:
    """The bare step on slices of one array that lies in memory, in order."""
    config = TrainingConfig(batch=BATCH)
    learner = Learner.build(config, 4)
    numbers, turns = order_of(config, 0, len(data.train))
    pixels, target, weight = data.train.cut(data.train.places(numbers, turns))

    def epoch(_n: int) -> None:
        for first in range(0, len(numbers), BATCH):
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


SIDES = {"limit": limit, "ours": ours, "thesis": thesis}


def seconds(epoch: Epoch, n: int) -> float:
    began = time.perf_counter()
    epoch(n)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=48)
    crops = parser.parse_args().crops
    start_keras(0)
    with tempfile.TemporaryDirectory() as folder:
        data = made_up(crops)
        epochs = {name: make(data, Path(folder)) for name, make in SIDES.items()}
        took = np.array([[seconds(epoch, n) for epoch in epochs.values()] for n in range(EPOCHS + 1)])[1:]
    ratios = np.median(took[:, :1] / took, axis=0)
    print(f"{crops} crops of 128×128×4 an epoch, batches of {BATCH}, thesis network, {EPOCHS} epochs of each in turn")
    print(f"{'':10}{'crops/s':>10}{'of the limit':>15}")
    for name, pace, ratio in zip(epochs, crops / np.median(took, axis=0), ratios, strict=True):
        print(f"{name:10}{pace:10.2f}{ratio:15.1%}")


if __name__ == "__main__":
    main()
