"""Pixels as files have them, made what a network can take: the first layer of a network that predicts."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable("groundplan")
class Scaled(layers.Layer):  # type: ignore[misc]
    """(…, bands) so that `low` becomes 0 and `high` 1 in each band, kept within -1 to 2; no number becomes 0."""

    def __init__(self, low: Sequence[float], high: Sequence[float], **settings: Any) -> None:
        super().__init__(**settings)
        self._low = np.array(low, np.float32)
        span = np.array(high, np.float32) - self._low
        self._span = np.where(span > 0, span, np.float32(1))

    def call(self, pixels: Any) -> Any:
        """See the class."""
        # Before anything else: what becomes of no number in a comparison, engines do not agree on.
        seen = ops.where(ops.isnan(pixels), self._low, pixels)
        return ops.clip((seen - self._low) / self._span, -1.0, 2.0)
