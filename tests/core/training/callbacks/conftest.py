from pathlib import Path

import numpy as np
import pytest

from core.datasets.config import DatasetConfig
from core.datasets.normalization import Normalization
from core.runs.config import TrainingConfig
from core.runs.prediction_film import PreviewBatch
from core.runs.run import Record, Run
from core.training.callbacks.base import Epoch

SIDE = 32


def make_run(folder: Path, epochs: int = 4) -> Run:
    config = TrainingConfig(
        epochs=epochs, options={"batch_norm": True}, dataset=DatasetConfig(size=64, chip=SIDE, step=16)
    )
    scaling = Normalization((0.0,) * 3, (1.0,) * 3)
    return Run.create(folder, Record(config, ("img1", "img2"), ("img3",), scaling, 3, (0.5, 0.5), 12, "CPU", {}))


@pytest.fixture
def run(tmp_path) -> Run:
    return make_run(tmp_path / "runs" / "first")


@pytest.fixture
def windows() -> PreviewBatch:
    """Two windows in red, green, blue and infrared: a house in the middle of the first, none in the second."""
    pixels = np.random.default_rng(0).random((2, SIDE, SIDE, 4), np.float32)
    target = np.zeros((2, SIDE, SIDE), np.uint8)
    target[0, 8:24, 8:24] = 1
    return PreviewBatch(pixels, target, np.ones((2, SIDE, SIDE), bool))


def epoch(number: int, probability: float = 0.5, **figures: float) -> Epoch:
    """Two windows with the same probability everywhere; its loss is 1 / number."""
    row = {"epoch": number, "seconds": 1.5, "loss": 1 / number, "val_loss": 2 / number, "iou": 0.5, "val_iou": 0.25}
    rates = {"learning_rate": 1e-3, "images_s": 80.0}
    return Epoch(number, {**row, **rates, **figures}, np.full((2, SIDE, SIDE), probability, np.float32))
