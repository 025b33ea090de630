"""Losses of the heads."""

from typing import Any

import keras
from keras import ops

from models.registry import REACH_M

#: Intervals of the signed distance that the head "bins" tells apart, from -REACH_M to REACH_M.
BINS = 32


def _classes_loss(truth: Any, output: Any) -> Any:
    return keras.losses.sparse_categorical_crossentropy(ops.cast(truth, "int32"), output)


def _logit_loss(truth: Any, output: Any) -> Any:
    """Binary cross-entropy of a logit, in the form that never overflows."""
    logit = output[..., 0]
    return ops.relu(logit) - logit * truth + ops.log1p(ops.exp(-ops.abs(logit)))


def _distance_loss(truth: Any, output: Any) -> Any:
    """Huber loss of the distance as a share of the reach; walls matter, so a tenth of it is already linear."""
    off = ops.abs(ops.tanh(output[..., 0]) - decoded(truth) / REACH_M)
    return ops.where(off < 0.1, 5 * off * off, off - 0.05)


def _bins_loss(truth: Any, output: Any) -> Any:
    """Cross-entropy over intervals of the distance, as Yuan 2016 does it."""
    number = ops.clip(ops.floor((decoded(truth) / REACH_M + 1) * (BINS / 2)), 0, BINS - 1)
    return keras.losses.sparse_categorical_crossentropy(ops.cast(number, "int32"), output, from_logits=True)


def decoded(truth: Any) -> Any:
    """Metres of a distance that was written as 0 to 255; 128 is a wall."""
    return (ops.cast(truth, "float32") - 128.0) * (REACH_M / 127.0)
