"""A process that writes checkpoints as fast as it can: `python -m tests.core.runs.checkpoints_writer FOLDER EPOCH`."""

import sys
from itertools import count
from pathlib import Path

import numpy as np

from core.runs.checkpoints import Checkpoint, TrainerState


def checkpoint(epoch: int, size: int = 1000) -> Checkpoint:
    """Weights that tell their epoch."""
    weights = [np.full(size, epoch, np.float32) for _ in range(3)]
    return Checkpoint(TrainerState(epoch), weights, [np.zeros(2 * size, np.float32)])


if __name__ == "__main__":
    for number in count(int(sys.argv[2]) + 1):
        checkpoint(number, 100_000).save(Path(sys.argv[1]))
        print(number, flush=True)
