"""A few steps with the backend of KERAS_BACKEND, their figures as JSON: a process has one backend only.

`python -m tests.models.steps.two_processes arrays|held|two devices|half`
"""

import json
import sys

import keras
import numpy as np

from core.training.trainer import split_among_replicas
from models.registry import NETWORKS, build
from models.steps.factory import make_steps, optimizer_for


def scenes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two noisy scenes of 32×32, bright where the building is; a corner without picture."""
    random = np.random.default_rng(0)
    target = np.zeros((2, 32, 32, 1), np.uint8)
    target[:, 4:20, 8:24] = 1
    weight = np.ones((2, 32, 32), np.float32)
    weight[:, :3] = 0
    pixels = (random.random((2, 32, 32, 3)) * 0.3 + target).astype(np.float32)
    return pixels, target, weight


def windows(places: np.ndarray, chip: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The windows of the places, not turned."""
    parts = [[scene[n, r : r + chip, c : c + chip] for n, r, c, *_ in places] for scene in scenes()]
    return tuple(np.stack(part) for part in parts)


CORNERS = [(0, 0, 0), (1, 8, 8), (0, 16, 16), (1, 0, 16), (0, 3, 5)]
PLACES = np.array([(*corner, 0, 16, 0) for corner in CORNERS], np.int32)


def losses(how: str) -> list[list[float]]:
    """The sums of five steps, of a check, and of a check on whole crops, as validation ground comes always."""
    keras.utils.set_random_seed(1)
    strategy = None
    if how == "two devices":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    precision = "float16" if how == "half" else "float32"
    keras.config.set_dtype_policy({"float16": "mixed_float16"}.get(precision, precision))
    if strategy:
        with strategy.scope():
            model, optimizer = build("fcn", 3), optimizer_for(precision)
    else:
        model, optimizer = build("fcn", 3), optimizer_for(precision)
    model.set_weights([np.random.default_rng(n).normal(0, 0.05, w.shape) for n, w in enumerate(model.get_weights())])
    steps_ = make_steps(model, optimizer, NETWORKS["fcn"].heads, strategy, xla=how == "xla")
    held = how == "held" and steps_.cache(scenes(), 16)
    numbers, counts = split_among_replicas(np.arange(len(PLACES)), steps_.ranks)
    mine = PLACES[numbers[steps_.local_replicas].ravel()]
    pixels, target, weight = windows(mine, 16)
    whole = pixels, target, weight * counts[steps_.local_replicas].reshape(-1, 1, 1)
    batch = mine if held else whole
    learnt = [steps_.train(batch, 1e-4) for _ in range(5)]
    return [[float(v) for v in sums] for sums in (*learnt, steps_.evaluate(batch), steps_.evaluate(whole))]


if __name__ == "__main__":
    print(json.dumps(losses(sys.argv[1])))
