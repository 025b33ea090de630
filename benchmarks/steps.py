"""Crops a second that each network learns from, normalised in one step of TensorFlow's and in Keras's many.

    nice python -m benchmarks.steps

Batches of 8 crops of 128 × 128 × 3 from one array in memory, all that a step does: forward, losses, backward, and what
each network is optimised with. Both ways of a network take turns, ten steps each, so that what else the machine does
hits them alike; the median of the rounds is told, and how fast the network looks at squares of 1024.
"""

import time
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from core.runtime.keras_backend import start_keras
from core.training.learner import Learner
from core.training.presets import recommended
from models.registry import NETWORKS, build_for_windows

ROUNDS, STEPS, BATCH, CROP, SQUARE = 7, 10, 8, 128, 1024


def batch(name: str) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    random = np.random.default_rng(0)
    pixels = random.random((BATCH, CROP, CROP, 3), np.float32)
    target = random.integers(0, 2, (BATCH, CROP, CROP, len(NETWORKS[name].heads)), np.uint8)
    return pixels, target, np.ones(pixels.shape[:3], np.float32)


def learning(name: str) -> Callable[[], object]:
    """A step that has been traced."""
    step = partial(Learner.build(recommended(name), 3).steps.train, batch(name), 1e-3)
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
    import keras

    from models.layers import BatchNormalization

    print("| network | in one step | in many | ratio | Mpx/s of a square |", "|" + "---|" * 5, sep="\n")
    for name in ("unet", "unet-efficientnetlite0", "distance", "fcn"):
        ours = learning(name)
        with patch.object(BatchNormalization, "call", keras.layers.BatchNormalization.call):
            theirs = learning(name)
        rounds = np.array([[crops_per_second(step) for step in (ours, theirs)] for _ in range(ROUNDS)])
        fast, slow = np.median(rounds, axis=0)
        cells = [name, f"{fast:.0f} crops/s", f"{slow:.0f} crops/s", f"{fast / slow:.2f} ×", f"{looking(name):.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
