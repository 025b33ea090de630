"""Training and evaluation steps for TensorFlow and JAX: loss, gradients, update of weights, pixel metrics.

A batch is passed as arrays, or as crop windows of samples that are cached on the device, where they are cropped and
augmented.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from keras import ops
from numpy.typing import NDArray

from models.heads import building_probability, building_truth, losses

#: Pixels (n, rows, cols, bands), target (n, rows, cols, heads), weight (n, rows, cols).
Batch: TypeAlias = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]
#: (n, 6) int32: index of the sample, first row, first column, D4 symmetry (0 to 7), side of the window in pixels of
#: the sample, and rotation in degrees.
CropWindows: TypeAlias = NDArray[np.int32]
#: (6,), or (6 + heads,) with several heads: sums of the weighted losses and of the weights; true negative, false
#: positive, false negative and true positive pixels; and the weighted losses of each head.
MetricSums: TypeAlias = NDArray[np.float64]


class Steps(Protocol):
    """Steps of a training. All raise MemoryError if the device has no memory for the batch."""

    ranks: int  #: replicas (devices of all machines) that a batch is distributed to
    local_replicas: slice  #: replicas of this process; each takes an equal share of the batch

    def cache(self, samples: Batch, chip: int) -> bool:
        """Cache samples on the device, so that batches may be passed as crop windows.

        Args:
            samples: Pixels, target and weight of all samples, (samples, rows, cols, …).
            chip: Side of a crop [px].

        Returns:
            Whether the samples were cached.
        """

    def train(
        self, batch: Batch | CropWindows, rate: float, photometric: NDArray[np.float32] | None = None
    ) -> MetricSums:
        """Update the weights with one batch.

        Args:
            batch: Pixels, target and weight, or windows of cached samples.
            rate: Learning rate.
            photometric: Parameters of models.augmentation.apply_photometric, (n, 3 * bands + 4) float32.

        Returns:
            Sums for metrics_from_sums.
        """

    def evaluate(self, batch: Batch | CropWindows) -> MetricSums:
        """Compute the same sums without updating the weights.

        Args:
            batch: Pixels, target and weight, or windows of cached samples.

        Returns:
            Sums for metrics_from_sums.
        """

    def predict(self, pixels: NDArray[np.float32]) -> Any:
        """Run the network.

        Args:
            pixels: Normalized images, (n, rows, cols, bands) float32.

        Returns:
            Output of the heads, (n, rows, cols, channels).
        """


def metric_sums(heads: Sequence[str], target: Any, output: Any, weight: Any) -> Any:
    """Sum losses and confusion matrix over the pixels of a batch.

    Args:
        heads: Names of the heads of the network.
        target: Ground truth, (n, rows, cols, heads) uint8.
        output: Output of the network, (n, rows, cols, channels).
        weight: Weight of each pixel, (n, rows, cols); 0 excludes a pixel.

    Returns:
        See MetricSums.
    """
    weight, output = ops.cast(weight, "float32"), ops.cast(output, "float32")
    head_losses = [ops.sum(loss * weight) for loss in losses(heads, target, output)]
    truth = building_truth(heads, target)
    predicted = ops.cast(building_probability(heads, output) > 0.5, "float32")
    cells = [(1 - truth) * (1 - predicted), (1 - truth) * predicted, truth * (1 - predicted), truth * predicted]
    confusion = [ops.sum(cell * weight) for cell in cells]
    return ops.stack([sum(head_losses), ops.sum(weight), *confusion, *(head_losses if len(heads) > 1 else [])])


def metrics_from_sums(total: MetricSums, heads: Sequence[str]) -> dict[str, float]:
    """Compute loss, accuracy, precision, recall and IoU of "building"; with several heads, also the loss of each.

    Args:
        total: Sums over all batches.
        heads: Names of the heads of the network.

    Returns:
        Metrics by name; NaN where the denominator is 0.
    """
    loss, weight, tn, fp, fn, tp, *head_losses = (float(value) for value in total)
    ratios = {
        "loss": (loss, weight),
        "accuracy": (tn + tp, tn + fp + fn + tp),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "iou": (tp, tp + fp + fn),
    }
    if len(heads) > 1:
        ratios |= {f"loss_{name}": (value, weight) for name, value in zip(heads, head_losses, strict=True)}
    return {
        name: numerator / denominator if denominator else float("nan")
        for name, (numerator, denominator) in ratios.items()
    }
