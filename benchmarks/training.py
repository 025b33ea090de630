"""Training epoch benchmark: crops per second of Groundplan, the limit and the thesis's loop, thesis network.

    nice python -m benchmarks.training [--crops N]

The limit is the same step fed with batches from one array in memory. The thesis's loop saved each crop as a .npy file
and loaded it for every step of `fit`. Groundplan is a training epoch with progress and live metrics, from tiles in
memory and from memory-mapped tiles; also with the checkpoint at its end, which the others do not write. Validation is
left out. All train on the same crops in batches of the same size, alternating by epoch in one process, so that other
load affects them alike; a warm-up epoch is not counted. "Input alone" is the input pipeline without a network: the
fastest device that it can feed.
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
from core.datasets.config import DatasetConfig
from core.datasets.dataset import Dataset
from core.datasets.normalization import Normalization
from core.datasets.samples import Sample
from core.geo.grid import Grid
from core.progress import never, silent
from core.runs.checkpoints import TrainerState
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.runtime.keras_backend import start_keras
from core.training.crop_sampler import CropSampler
from core.training.learner import Learner
from core.training.trainer import Trainer

SCENES, BATCH, EPOCHS, CHECK = 8, 8, 3, 8


def synthetic_dataset(crops: int) -> Dataset:
    """Generate tiles of 512×512 of noise with bright squares, of which `crops` of the thesis's crops train."""
    config, random = DatasetConfig(), np.random.default_rng(0)
    samples = [scene(n, config.size, random) for n in range(SCENES)]
    chips = Chips.of(samples, config)
    order = random.permutation(len(chips))
    train, validation = order[:crops], order[crops : crops + CHECK]
    return Dataset(chips.only(train), chips.only(validation), chips, Normalization((0,) * 4, (1,) * 4), 4)


def mapped(data: Dataset, folder: Path) -> Dataset:
    """Return the dataset with its tiles in memory-mapped files."""
    samples = tuple(sample.on_disk(folder / "scenes" / f"{n}.npy") for n, sample in enumerate(data.train.samples))
    train, validation = (replace(chips, samples=samples) for chips in (data.train, data.validation))
    return replace(data, train=train, validation=validation)


def scene(n: int, size: int, random: np.random.Generator) -> Sample:
    grid = Grid(size, size, Affine(0.5, 0, 500_000 + 300 * n, 0, -0.5, 4_000_000), pyproj.CRS.from_epsg(32611))
    target = np.kron(random.integers(0, 2, (size // 32, size // 32)), np.ones((32, 32))).astype(np.uint8)
    pixels = (random.random((size, size, 4)) * 0.5 + target[..., None]).astype(np.float32)
    no_shapes = np.empty(0, object)
    return Sample(f"scene {n}", pixels, target[..., None], np.ones((size, size), bool), grid, (1.0,) * 4, no_shapes)


Epoch: TypeAlias = Callable[[int], object]


def make_trainer(data: Dataset, folder: Path) -> Trainer:
    config = TrainingConfig(batch=BATCH, epochs=EPOCHS + 1, augment=True)
    run = Run.create(folder, Record(config, (), (), data.normalization, 4, (0.5, 0.5), 0, "", {}))
    return Trainer(run, config, data, Learner.build(config, 4), TrainerState(), (), silent, never)


def groundplan(data: Dataset, folder: Path, is_mapped: bool = False, saves: bool = False) -> Epoch:
    """Return Groundplan's training epoch."""
    trainer = make_trainer(mapped(data, folder) if is_mapped else data, folder / f"run {is_mapped} {saves}")

    def epoch(n: int) -> None:
        trainer.state = TrainerState(epoch=n)
        trainer._train_epoch()
        if saves:
            trainer.state = TrainerState(epoch=n + 1)
            trainer._save_checkpoint()

    return epoch


def input_alone(data: Dataset, folder: Path) -> Epoch:
    """Return an epoch of the input pipeline alone."""
    trainer = make_trainer(data, folder / "input")

    def epoch(n: int) -> None:
        for _ in trainer._batches(trainer.data.train, trainer.sampler.epoch(n)):
            pass

    return epoch


def limit(data: Dataset, _folder: Path) -> Epoch:
    """Return an epoch of the bare step on consecutive slices of one array in memory."""
    config = TrainingConfig(batch=BATCH)
    learner = Learner.build(config, 4)
    crops = CropSampler(config, data.train).epoch(0)
    pixels, target, weight = data.train.crop_windows(crops.windows)

    def epoch(_n: int) -> None:
        for start in range(0, len(crops), BATCH):
            rows = slice(start, start + BATCH)
            learner.steps.train((pixels[rows], target[rows], weight[rows]), config.learning_rate)

    return epoch


def thesis(data: Dataset, folder: Path) -> Epoch:
    """Return an epoch of Keras's `fit` on one .npy file per crop, loaded in `__getitem__`."""
    import keras

    from models.registry import build

    pixels, target, _ = data.train.crop_windows(data.train.windows(np.arange(len(data.train))))
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
    "Groundplan": groundplan,
    "Groundplan, memory-mapped tiles": partial(groundplan, is_mapped=True),
    "Groundplan, with the epoch's checkpoint (45 MB)": partial(groundplan, saves=True),
    "baseline: thesis's .npy per crop": thesis,
    "input alone": input_alone,
}


def seconds(epoch: Epoch, n: int) -> float:
    start = time.perf_counter()
    epoch(n)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=384)
    crops = parser.parse_args().crops
    start_keras(0)
    with tempfile.TemporaryDirectory() as folder:
        data = synthetic_dataset(crops)
        epochs = [make(data, Path(folder)) for make in SIDES.values()]
        seconds_by_epoch = np.array([[seconds(epoch, n) for epoch in epochs] for n in range(EPOCHS + 1)])[1:]
    ratios = np.median(seconds_by_epoch[:, :1] / seconds_by_epoch, axis=0)
    print(f"{crops} crops of 128×128×4 an epoch, batches of {BATCH}, thesis network, {EPOCHS} epochs of each in turn")
    print("\n| work | crops/s | of the limit |\n|---|---|---|")
    for name, crops_s, ratio in zip(SIDES, crops / np.median(seconds_by_epoch, axis=0), ratios, strict=True):
        print(f"| {name} | {crops_s:,.1f} | {ratio:.1%} |")


if __name__ == "__main__":
    main()
