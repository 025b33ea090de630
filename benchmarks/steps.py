"""Training step benchmark: crops per second of each network, with fused and with Keras batch normalization.

    nice python -m benchmarks.steps

Batches of 8 crops of 128 × 128 × 3 from one array in memory; a whole step: forward pass, losses, backward pass, and the
network's optimizer. Both variants of a network alternate, ten steps each, so that other load affects them alike; the
median of the rounds is printed, and the inference speed on windows of 1024 pixels.
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
from models.registry import NETWORKS, build_inference

ROUNDS, STEPS, BATCH, CROP, SQUARE = 7, 10, 8, 128, 1024


def batch(name: str) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    random = np.random.default_rng(0)
    pixels = random.random((BATCH, CROP, CROP, 3), np.float32)
    target = random.integers(0, 2, (BATCH, CROP, CROP, len(NETWORKS[name].heads)), np.uint8)
    return pixels, target, np.ones(pixels.shape[:3], np.float32)


def traced_step(name: str) -> Callable[[], object]:
    """Return a training step that has been traced."""
    step = partial(Learner.build(recommended(name), 3).steps.train, batch(name), 1e-3)
    step()
    return step


def crops_per_second(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return STEPS * BATCH / (time.perf_counter() - start)


def inference_speed(name: str) -> float:
    """Measure inference on a window in memory [Mpx/s]; the halo counts as time, not as pixels."""
    network = NETWORKS[name]
    model = build_inference(name, 3)
    side = SQUARE // network.stride * network.stride
    window = np.random.default_rng(0).random((1, side + 2 * network.halo, side + 2 * network.halo, 3), np.float32)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        model.predict_on_batch(window)
        seconds.append(time.perf_counter() - start)
    return side * side / float(np.median(seconds[1:])) / 1e6


def main() -> None:
    start_keras()
    import keras

    from models.layers import BatchNormalization

    print("| network | one operation | many operations | ratio | inference, Mpx/s |", "|" + "---|" * 5, sep="\n")
    for name in ("unet", "unet-efficientnetlite0", "distance", "fcn"):
        fused = traced_step(name)
        with patch.object(BatchNormalization, "call", keras.layers.BatchNormalization.call):
            baseline = traced_step(name)
        rounds = np.array([[crops_per_second(step) for step in (fused, baseline)] for _ in range(ROUNDS)])
        fast, slow = np.median(rounds, axis=0)
        cells = [
            name,
            f"{fast:.0f} crops/s",
            f"{slow:.0f} crops/s",
            f"{fast / slow:.2f} ×",
            f"{inference_speed(name):.1f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
