"""One step of training, on whatever Keras computes with: loss, gradients, new weights, and the tally of the pixels.

A batch goes in as arrays, or as places in scenes that lie on the device already (`hold`), where it is cut and turned.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from keras import ops
from numpy.typing import NDArray

from models import heads as of_heads

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
        """One step at this learning rate, the pixels changed as `looks` say (models/augmentation.py)."""

    def check(self, batch: Batch | Places) -> Sums:
        """The same figures without learning."""

    def answer(self, pixels: NDArray[np.float32]) -> Any:
        """(n, rows, columns, channels): what the network says of (n, rows, columns, bands)."""


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
