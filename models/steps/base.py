"""One step of training, on whatever Keras computes with: loss, gradients, new weights, and the tally of the pixels.

A batch goes in as arrays, or as places in scenes that lie on the device already (`hold`), where it is cut and turned.
"""

from collections.abc import Sequence
from math import pi
from typing import Any, Protocol, TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from models import heads as of_heads
from models.registry import TARGETS

#: Pixels (n, rows, columns, bands), target (n, rows, columns, heads), weight (n, rows, columns).
Batch: TypeAlias = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]
#: (n, 6) int32: number of the scene, first row, first column, one of the eight symmetries of the square, how many
#: pixels of the scene the side of a window has, and by how many degrees it is rotated.
Places: TypeAlias = NDArray[np.int32]
#: (6,) or, of several heads, (6 + heads,): sums of the weighted losses and of the weights; pixels truly not building,
#: falsely building, falsely not, truly building; and the weighted losses of each head.
Sums: TypeAlias = NDArray[np.float64]


class Steps(Protocol):
    """What a training does again and again. Raises MemoryError where the device has no room for the batch."""

    ranks: int  #: over how many devices, of all machines, a batch is spread
    own: slice  #: which of the equal parts of a batch are this process's

    def hold(self, scenes: Batch, chip: int) -> bool:
        """Puts (scenes, rows, columns, …) on the device, so that batches may come as Places; whether that was done."""

    def train(self, batch: Batch | Places, rate: float, looks: NDArray[np.float32] | None = None) -> Sums:
        """One step at this learning rate, the pixels changed as `looks` say (models/looks.py)."""

    def check(self, batch: Batch | Places) -> Sums:
        """The same figures without learning."""

    def answer(self, pixels: NDArray[np.float32]) -> Any:
        """(n, rows, columns, channels): what the network says of (n, rows, columns, bands)."""


def steps(
    model: keras.Model, optimizer: keras.Optimizer, heads: Sequence[str], strategy: Any = None, xla: bool = False
) -> Steps:
    """The steps for Keras's backend; `strategy` is a tf.distribute.Strategy in whose scope both were made."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from models.steps.tensorflow import TensorflowSteps

        return TensorflowSteps(model, optimizer, heads, strategy, xla)
    if backend == "jax":
        from models.steps.jax import JaxSteps

        return JaxSteps(model, optimizer, heads)
    raise ValueError(f"Groundplan trains on tensorflow or jax, not on {backend}.")


def optimizer_for(precision: str, weight_decay: float = 0.0, averaged: float = 0.0) -> keras.Optimizer:
    """Adam, with decay of the weights AdamW; with the weights' moving average over about 1 / (1 - averaged) steps.

    Under half precision with a scale that keeps small gradients from vanishing. Its rate is set each step.
    """
    average = {"use_ema": True, "ema_momentum": averaged, "ema_overwrite_frequency": None} if averaged else {}
    decaying = keras.optimizers.AdamW(weight_decay=weight_decay, **average) if weight_decay else None
    adam = decaying or keras.optimizers.Adam(**average)
    return keras.optimizers.LossScaleOptimizer(adam) if precision == "float16" else adam


def sums(heads: Sequence[str], target: Any, output: Any, weight: Any) -> Any:
    """See Sums; target (n, rows, columns, heads), output (n, rows, columns, channels), weight (n, rows, columns)."""
    weight, output = ops.cast(weight, "float32"), ops.cast(output, "float32")
    losses = [ops.sum(loss * weight) for loss in of_heads.losses(heads, target, output)]
    truth = of_heads.built(heads, target)
    found = ops.cast(of_heads.probability(heads, output) > 0.5, "float32")
    cells = [(1 - truth) * (1 - found), (1 - truth) * found, truth * (1 - found), truth * found]
    each = losses if len(heads) > 1 else []
    return ops.stack([sum(losses), ops.sum(weight), *(ops.sum(cell * weight) for cell in cells), *each])


def figures(total: Sums, heads: Sequence[str]) -> dict[str, float]:
    """Loss, accuracy, precision, recall and IoU of "building"; of several heads the loss of each beside their sum.

    What was divided by nothing is not a number.
    """
    loss, weight, tn, fp, fn, tp, *each = (float(value) for value in total)
    parts = {
        "loss": (loss, weight),
        "accuracy": (tn + tp, tn + fp + fn + tp),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "iou": (tp, tp + fp + fn),
    }
    if len(heads) > 1:
        parts |= {f"loss_{name}": (value, weight) for name, value in zip(heads, each, strict=True)}
    return {name: a / b if b else float("nan") for name, (a, b) in parts.items()}


def crops(given: Sequence[Any], held: Sequence[Any], chip: int, heads: Sequence[str]) -> tuple[Any, Any, Any]:
    """Pixels, target and weight of what a step is given with its looks: a Batch, or Places in the scenes `held`.

    Validation crops come whole, also where scenes are held.
    """
    *batch, _looks = given
    return cut(held, batch[0], chip, heads) if len(batch) == 1 else (batch[0], batch[1], batch[2])


def cut(scenes: Sequence[Any], places: Any, chip: int, heads: Sequence[str]) -> tuple[Any, Any, Any]:
    """The windows of `places` out of pixels (s, rows, columns, bands), target (…, heads) and weight (…), turned.

    Turning and enlarging are done to the numbers of the pixels before a pixel is touched, as core.datasets.chips does.
    """
    _, height, width, _ = ops.shape(scenes[0])
    scene, row, column, turn, side, degrees = (places[:, n, None, None] for n in range(6))
    here = ops.arange(chip, dtype="int32")
    down, across = ops.reshape(here, (1, -1, 1)), ops.reshape(here, (1, 1, -1))
    swap = turn // 4 % 2 == 1
    down, across = ops.where(swap, across, down), ops.where(swap, down, across)
    down = ops.where(turn % 2 == 1, chip - 1 - down, down)
    across = ops.where(turn // 2 % 2 == 1, chip - 1 - across, across)
    down, across = _nearest(down, across, side, degrees, chip)
    index = (scene * height + row + down) * width + column + across
    flat = [ops.reshape(values, (-1, values.shape[-1])) for values in (scenes[0], scenes[1], scenes[2][..., None])]
    pixels, target, weight = (ops.take(values, index, axis=0) for values in flat)
    return pixels, _longer(target, chip / ops.cast(side, "float32"), heads), weight[..., 0]


def _nearest(down: Any, across: Any, side: Any, degrees: Any, chip: int) -> tuple[Any, Any]:
    """Which pixels of a window of another side, or a rotated one, are shown: see core.datasets.chips."""
    plain = [(2 * place + 1) * side // (2 * chip) for place in (down, across)]
    long = ops.cast(side, "float32")
    y, x = (((ops.cast(place, "float32") + 0.5) / chip - 0.5) * long for place in (down, across))
    angle = ops.cast(degrees, "float32") * (pi / 180)
    cos, sin = ops.cos(angle), ops.sin(angle)
    rotated = long / 2 + y * cos - x * sin, long / 2 + y * sin + x * cos
    row, column = (
        ops.where(degrees == 0, still, ops.cast(ops.floor(turned), "int32"))
        for still, turned in zip(plain, rotated, strict=True)
    )
    return row, column


def _longer(target: Any, times: Any, heads: Sequence[str]) -> Any:
    """Distances grow with the ground (n, 1, 1): see core.datasets.chips."""
    layers = []
    for n, head in enumerate(heads):
        layer = ops.cast(target[..., n], "float32")
        if TARGETS[head] == "distance":
            layer = ops.where(times == 1.0, layer, ops.clip(ops.round((layer - 128.0) * times) + 128.0, 1.0, 255.0))
        layers.append(layer)
    return ops.stack(layers, axis=-1)
