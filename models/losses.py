"""Loss functions of the heads: cross-entropy, binary cross-entropy with logits, Huber, and distance bins."""

from typing import Any

import keras
from keras import ops

from models.registry import DISTANCE_RANGE_M

#: Number of bins of the head "bins", between -DISTANCE_RANGE_M and DISTANCE_RANGE_M.
BINS = 32


def segmentation_loss(truth: Any, output: Any) -> Any:
    """Cross-entropy per pixel of class probabilities (…, 2); `truth` holds class indices."""
    return keras.losses.sparse_categorical_crossentropy(ops.cast(truth, "int32"), output)


def bce_with_logits(truth: Any, output: Any) -> Any:
    """Binary cross-entropy per pixel of a logit, in the form that does not overflow."""
    logit = output[..., 0]
    return ops.relu(logit) - logit * truth + ops.log1p(ops.exp(-ops.abs(logit)))


def distance_loss(truth: Any, output: Any) -> Any:
    """Huber loss of the distance as a fraction of its range, linear from a tenth on: boundaries matter most."""
    error = ops.abs(ops.tanh(output[..., 0]) - decode_distance(truth) / DISTANCE_RANGE_M)
    return ops.where(error < 0.1, 5 * error * error, error - 0.05)


def distance_bins_loss(truth: Any, output: Any) -> Any:
    """Cross-entropy over bins of the signed distance (Yuan 2016, arXiv 1602.06564)."""
    bin_index = ops.clip(ops.floor((decode_distance(truth) / DISTANCE_RANGE_M + 1) * (BINS / 2)), 0, BINS - 1)
    return keras.losses.sparse_categorical_crossentropy(ops.cast(bin_index, "int32"), output, from_logits=True)


def decode_distance(truth: Any) -> Any:
    """Decode a uint8 distance (0 to 255, 128 on a boundary) to meters; inverse of core.labels.targets."""
    return (ops.cast(truth, "float32") - 128.0) * (DISTANCE_RANGE_M / 127.0)
