"""Crops a second that each network learns from, normalised in one step of TensorFlow's and in Keras's many.

    nice python -m benchmarks.steps

Batches of 8 crops of 128 × 128 × 3 from one array in memory, all that a step does: forward, losses, backward, AdamW
with averaged weights. Both ways of a network take turns, ten steps each, so that what else the machine does hits them
alike; the median of the rounds is told, and how fast the network looks at squares of 1024.
"""

import time
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import keras
import numpy as np

from core.backend import start_keras
from models.fitting import Batch, optimizer_for, steps
from models.normalisation import BatchNormalization
from models.registry import NETWORKS, build, build_for_windows

ROUNDS, STEPS, BATCH, CROP, SQUARE = 7, 10, 8, 128, 1024


def batch(name: str) -> Batch:
    random = np.random.default_rng(0)
    pixels = random.random((BATCH, CROP, CROP, 3), np.float32)
    target = random.integers(0, 2, (BATCH, CROP, CROP, len(NETWORKS[name].heads)), np.uint8)
    return pixels, target, np.ones(pixels.shape[:3], np.float32)


def learning(name: str) -> Callable[[], object]:
    """A step that has been traced."""
    stepping = steps(build(name, 3), optimizer_for("float32", 0.05, 0.99), NETWORKS[name].heads)
    step = partial(stepping.train, batch(name), 1e-3)
    step()
    return step


def crops_per_second(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    return STEPS * BATCH / (time.perf_counter() - began)


def looking(name: str) -> float:
    """Mpx/s of the network on a square in memory, the halo counted as time and not as pixels."""
    network = NETWORKS[name]
    model = build_for_windows(name, 3)
    side = SQUARE // network.stride * network.stride
    window = np.random.default_rng(0).random((1, side + 2 * network.halo, side + 2 * network.halo, 3), np.float32)
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        model.predict_on_batch(window)
        seconds.append(time.perf_counter() - began)
    return side * side / float(np.median(seconds[1:])) / 1e6


def main() -> None:
    start_keras()
    print("| network | parameters | in one step | in many | ratio | Mpx/s of a square |", "|" + "---|" * 6, sep="\n")
    for name in ("unet", "unet-efficientnetlite0", "distance", "fcn"):
        ours = learning(name)
        with patch.object(BatchNormalization, "call", keras.layers.BatchNormalization.call):
            theirs = learning(name)
        rounds = np.array([[crops_per_second(step) for step in (ours, theirs)] for _ in range(ROUNDS)])
        fast, slow = np.median(rounds, axis=0)
        cells = [name, f"{build(name, 3).count_params():,}", f"{fast:.0f} crops/s", f"{slow:.0f} crops/s"]
        print(f"| {' | '.join([*cells, f'{fast / slow:.2f} ×', f'{looking(name):.1f}'])} |", flush=True)


if __name__ == "__main__":
    main()
