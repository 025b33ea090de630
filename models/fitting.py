"""One step of training, on whatever Keras computes with: loss, gradients, new weights, and the tally of the pixels.

A batch goes in as arrays, or as places in scenes that lie on the device already (`hold`), where it is cut and turned.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

#: Pixels (n, rows, columns, bands), target (n, rows, columns) 0 or 1, weight (n, rows, columns).
Batch: TypeAlias = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]
#: (n, 4) int32: number of the scene, first row, first column, and which of the eight symmetries of the square.
Places: TypeAlias = NDArray[np.int32]
#: (6,): sums of the weighted losses and of the weights; pixels truly not building, falsely building, falsely not,
#: truly building.
Sums: TypeAlias = NDArray[np.float64]


class Steps(Protocol):
    """What a training does again and again. Raises MemoryError where the device has no room for the batch."""

    ranks: int  #: over how many devices, of all machines, a batch is spread
    own: slice  #: which of the equal parts of a batch are this process's

    def hold(self, scenes: Batch, chip: int) -> bool:
        """Puts (scenes, rows, columns, …) on the device, so that batches may come as Places; whether that was done."""

    def train(self, batch: Batch | Places, rate: float) -> Sums:
        """One step at this learning rate."""

    def check(self, batch: Batch | Places) -> Sums:
        """The same figures without learning."""


def steps(model: keras.Model, optimizer: keras.Optimizer, strategy: Any = None, xla: bool = False) -> Steps:
    """The steps for Keras's backend; `strategy` is a tf.distribute.Strategy in whose scope both were made."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from models.tensorflow_steps import TensorflowSteps

        return TensorflowSteps(model, optimizer, strategy, xla)
    if backend == "jax":
        from models.jax_steps import JaxSteps

        return JaxSteps(model, optimizer)
    raise ValueError(f"Groundplan trains on tensorflow or jax, not on {backend}.")


def optimizer_for(precision: str) -> keras.Optimizer:
    """Adam; under half precision with a scale that keeps small gradients from vanishing. Its rate is set each step."""
    adam = keras.optimizers.Adam()
    return keras.optimizers.LossScaleOptimizer(adam) if precision == "float16" else adam


def sums(target: Any, guess: Any, weight: Any) -> Any:
    """See Sums; target (n, rows, columns), guess (n, rows, columns, 2) softmax, weight (n, rows, columns). Float32."""
    weight, guess = ops.cast(weight, "float32"), ops.cast(guess, "float32")
    losses = keras.losses.sparse_categorical_crossentropy(target, guess)
    truth, found = ops.cast(target, "float32"), ops.cast(guess[..., 1] > guess[..., 0], "float32")
    cells = [(1 - truth) * (1 - found), (1 - truth) * found, truth * (1 - found), truth * found]
    return ops.stack([ops.sum(losses * weight), ops.sum(weight), *(ops.sum(cell * weight) for cell in cells)])


def figures(total: Sums) -> dict[str, float]:
    """Loss, accuracy, precision, recall and IoU of "building"; what was divided by nothing is not a number."""
    loss, weight, tn, fp, fn, tp = (float(value) for value in total)
    parts = {
        "loss": (loss, weight),
        "accuracy": (tn + tp, tn + fp + fn + tp),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "iou": (tp, tp + fp + fn),
    }
    return {name: a / b if b else float("nan") for name, (a, b) in parts.items()}


def cut(scenes: Sequence[Any], places: Any, chip: int) -> tuple[Any, Any, Any]:
    """The windows of `places` out of pixels (s, rows, columns, bands), target and weight (s, rows, columns), turned.

    Turning is done to the numbers of the pixels before a pixel is touched: the same as `models.batches.turned`.
    """
    _, height, width, bands = ops.shape(scenes[0])
    scene, row, column, turn = (places[:, n, None, None] for n in range(4))
    here = ops.arange(chip, dtype="int32")
    down, across = ops.reshape(here, (1, -1, 1)), ops.reshape(here, (1, 1, -1))
    swap = turn // 4 % 2 == 1
    down, across = ops.where(swap, across, down), ops.where(swap, down, across)
    down = ops.where(turn % 2 == 1, chip - 1 - down, down)
    across = ops.where(turn // 2 % 2 == 1, chip - 1 - across, across)
    index = (scene * height + row + down) * width + column + across
    flat = [ops.reshape(scenes[0], (-1, bands)), *(ops.reshape(scene, (-1,)) for scene in scenes[1:])]
    pixels, target, weight = (ops.take(values, index, axis=0) for values in flat)
    return pixels, target, weight
