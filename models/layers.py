"""Layers and blocks of networks: padding, normalization, batch normalization, residual blocks, decoding of heads."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from models.heads import layers as told


@keras.saving.register_keras_serializable("groundplan")
class BatchNormalization(layers.BatchNormalization):  # type: ignore[misc]
    """Of the last axis of (batch, rows, columns, channels): what it does and keeps is what Keras's does and keeps.

    The name is Keras's, too, since files of weights know layers by it.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """See the class."""
        at_once = keras.backend.backend() == "tensorflow" and self.compute_dtype == "float32"
        if not (at_once and training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        output, mean, variance = _fused(inputs, self.gamma, self.beta, self.epsilon)
        for kept, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign(kept * self.momentum + now * (1 - self.momentum))
        return output


def _fused(inputs: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Output, mean, variance (of n - 1, where Keras's is of n)."""
    import tensorflow as tf

    tensors = {"x": inputs, "scale": ops.convert_to_tensor(scale), "offset": ops.convert_to_tensor(offset)}
    found = tf.raw_ops.FusedBatchNormV3(mean=[], variance=[], epsilon=epsilon, is_training=True, **tensors)
    return found.y, found.batch_mean, found.batch_variance


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


@keras.saving.register_keras_serializable("groundplan")
class Filled(layers.Layer):  # type: ignore[misc]
    """(batch, rows, columns, bands) mirrored at the right and the bottom up to multiples of the stride."""

    def __init__(self, stride: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._stride = stride

    def call(self, picture: Any) -> Any:
        """See the class; as it is, where it fits already."""
        missing = [-side % self._stride for side in picture.shape[1:3] if side is not None]
        if len(missing) == 2:
            down, across = missing
            return _mirrored(_mirrored(picture, 1, down), 2, across)
        shape = ops.shape(picture)
        for axis in (1, 2):
            picture = _mirrored(picture, axis, -shape[axis] % self._stride)
        return picture

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """See the class."""
        sides = (None if side is None else side + -side % self._stride for side in shape[1:3])
        return shape[0], *sides, shape[3]


def _mirrored(picture: Any, axis: int, by: Any) -> Any:
    """`by` more rows or columns at the end: those before the last, backwards, again and again in a narrow picture."""
    side = ops.shape(picture)[axis]
    places = ops.arange(side + by, dtype="int32")
    turn = places % ops.maximum(2 * side - 2, 1)
    return ops.take(picture, ops.minimum(turn, 2 * side - 2 - turn), axis=axis)


@keras.saving.register_keras_serializable("groundplan")
class Trimmed(layers.Layer):  # type: ignore[misc]
    """The first of two tensors without what it is larger than the second at the right and the bottom."""

    def call(self, pair: Any) -> Any:
        """See the class."""
        output, picture = pair
        shape = ops.shape(picture)
        return output[:, : shape[1], : shape[2]]

    def compute_output_shape(self, shapes: Any) -> tuple[int | None, ...]:
        """See the class."""
        output, picture = shapes
        return (*picture[:3], output[3])


def doubled(x: keras.KerasTensor, outputs: int, suffix: str = "") -> keras.KerasTensor:
    """(rows, columns, n) to (2 rows, 2 columns, outputs), without an activation, in float32."""
    x = layers.Conv2D(4 * outputs, 3, padding="same", name=f"heads{suffix}")(x)
    return DepthToSpace(dtype="float32", name=f"output{suffix}")(x)


def block(x: keras.KerasTensor) -> keras.KerasTensor:
    """Two convolutions and the way around them."""
    filters = x.shape[-1]
    y = convolution(x, filters, 3)
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = BatchNormalization()(y)
    return layers.ReLU()(layers.Add()([x, y]))


def convolution(x: keras.KerasTensor, filters: int, kernel: int, strides: int = 1) -> keras.KerasTensor:
    """Convolution, normalisation, ReLU."""
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    x = BatchNormalization()(x)
    return layers.ReLU()(x)


@keras.saving.register_keras_serializable("groundplan")
class DepthToSpace(layers.Layer):  # type: ignore[misc]
    """(batch, rows, columns, 4 n) to (batch, 2 rows, 2 columns, n)."""

    def call(self, x: Any) -> Any:
        """See the class."""
        _, rows, columns, filters = ops.shape(x)
        x = ops.reshape(x, (-1, rows, columns, 2, 2, filters // 4))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 2 * rows, 2 * columns, filters // 4))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """See the class."""
        rows, columns = (None if side is None else 2 * side for side in shape[1:3])
        return shape[0], rows, columns, (shape[3] or 0) // 4


@keras.saving.register_keras_serializable("groundplan")
class Told(layers.Layer):  # type: ignore[misc]
    """The output of heads as probability and, where one of them tells it, distance in metres."""

    def __init__(self, heads: Any, **settings: Any) -> None:
        super().__init__(**settings)
        self._heads = tuple(heads)

    def call(self, output: Any) -> Any:
        """(…, channels) to (…, 1 or 2)."""
        return told(self._heads, output)
