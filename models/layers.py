"""Layers and blocks of networks: padding, normalization, residual blocks, upsampling, decoding of heads."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from models.heads import decode


@keras.saving.register_keras_serializable("groundplan")
class BatchNormalization(layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalization over the last axis, with TensorFlow's fused kernel in float32 training.

    Results and weights are those of Keras's layer. So is the class name, because weight files identify layers by it.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize (batch, rows, cols, channels).

        Args:
            inputs: (batch, rows, cols, channels).
            training: Whether to use and update the statistics of the batch.
            mask: See Keras's layer.

        Returns:
            The normalized tensor, same shape.
        """
        use_fused = keras.backend.backend() == "tensorflow" and self.compute_dtype == "float32"
        if not (use_fused and training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        output, mean, variance = _fused_batch_norm(inputs, self.gamma, self.beta, self.epsilon)
        for moving, current in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + current * (1 - self.momentum))
        return output


def _fused_batch_norm(inputs: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Return output, mean and variance of the batch (over n - 1, where Keras's is over n)."""
    import tensorflow as tf

    tensors = {"x": inputs, "scale": ops.convert_to_tensor(scale), "offset": ops.convert_to_tensor(offset)}
    result = tf.raw_ops.FusedBatchNormV3(mean=[], variance=[], epsilon=epsilon, is_training=True, **tensors)
    return result.y, result.batch_mean, result.batch_variance


@keras.saving.register_keras_serializable("groundplan")
class PercentileNormalization(layers.Layer):  # type: ignore[misc]
    """Normalize bands so that `low` becomes 0 and `high` 1, clipped to -1 and 2; NaN becomes 0."""

    def __init__(self, low: Sequence[float], high: Sequence[float], **settings: Any) -> None:
        super().__init__(**settings)
        self._low = np.array(low, np.float32)
        span = np.array(high, np.float32) - self._low
        self._span = np.where(span > 0, span, np.float32(1))

    def call(self, pixels: Any) -> Any:
        """Normalize (…, bands)."""
        # NaN is replaced first: engines disagree on comparisons with NaN.
        filled = ops.where(ops.isnan(pixels), self._low, pixels)
        return ops.clip((filled - self._low) / self._span, -1.0, 2.0)


@keras.saving.register_keras_serializable("groundplan")
class PadToStride(layers.Layer):  # type: ignore[misc]
    """Pad (batch, rows, cols, bands) by mirroring at the right and the bottom to multiples of the stride."""

    def __init__(self, stride: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._stride = stride

    def call(self, image: Any) -> Any:
        """Pad an image; one that fits is returned as it is."""
        padding = [-side % self._stride for side in image.shape[1:3] if side is not None]
        if len(padding) == 2:
            rows, columns = padding
            return _pad_mirrored(_pad_mirrored(image, 1, rows), 2, columns)
        shape = ops.shape(image)
        for axis in (1, 2):
            image = _pad_mirrored(image, axis, -shape[axis] % self._stride)
        return image

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Round rows and columns up to multiples of the stride."""
        sides = (None if side is None else side + -side % self._stride for side in shape[1:3])
        return shape[0], *sides, shape[3]


def _pad_mirrored(image: Any, axis: int, extra: Any) -> Any:
    """Append `extra` rows or columns, mirrored without the last one.

    Images narrower than `extra` are mirrored repeatedly.
    """
    side = ops.shape(image)[axis]
    indices = ops.arange(side + extra, dtype="int32")
    phase = indices % ops.maximum(2 * side - 2, 1)
    return ops.take(image, ops.minimum(phase, 2 * side - 2 - phase), axis=axis)


@keras.saving.register_keras_serializable("groundplan")
class CropToInput(layers.Layer):  # type: ignore[misc]
    """Crop the first of two tensors to the rows and columns of the second."""

    def call(self, pair: Any) -> Any:
        """Crop the output of a padded image to the image."""
        output, image = pair
        shape = ops.shape(image)
        return output[:, : shape[1], : shape[2]]

    def compute_output_shape(self, shapes: Any) -> tuple[int | None, ...]:
        """Return the shape of the image with the channels of the output."""
        output, image = shapes
        return (*image[:3], output[3])


def upsample_heads(x: keras.KerasTensor, outputs: int, suffix: str = "") -> keras.KerasTensor:
    """Double the resolution by sub-pixel convolution (Shi et al. 2016), without an activation.

    Args:
        x: (rows, cols, n).
        outputs: Number of output channels.
        suffix: Appended to the names of the layers, for further copies of a network.

    Returns:
        (2 * rows, 2 * cols, outputs) float32.
    """
    x = layers.Conv2D(4 * outputs, 3, padding="same", name=f"heads{suffix}")(x)
    return DepthToSpace(dtype="float32", name=f"output{suffix}")(x)


def residual_block(x: keras.KerasTensor) -> keras.KerasTensor:
    """Residual block (He et al. 2016): two 3×3 convolutions with a shortcut."""
    filters = x.shape[-1]
    y = conv_bn_relu(x, filters, 3)
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = BatchNormalization()(y)
    return layers.ReLU()(layers.Add()([x, y]))


def conv_bn_relu(x: keras.KerasTensor, filters: int, kernel: int, strides: int = 1) -> keras.KerasTensor:
    """Convolution, batch normalization and ReLU.

    Args:
        x: (rows, cols, channels).
        filters: Number of output channels.
        kernel: Side of the kernel [px].
        strides: Stride of the convolution [px].

    Returns:
        (rows / strides, cols / strides, filters).
    """
    x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
    x = BatchNormalization()(x)
    return layers.ReLU()(x)


@keras.saving.register_keras_serializable("groundplan")
class DepthToSpace(layers.Layer):  # type: ignore[misc]
    """Rearrange (batch, rows, cols, 4 n) to (batch, 2 rows, 2 cols, n), the sub-pixel shuffle."""

    def call(self, x: Any) -> Any:
        """Rearrange channels into rows and columns."""
        _, rows, columns, filters = ops.shape(x)
        x = ops.reshape(x, (-1, rows, columns, 2, 2, filters // 4))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 2 * rows, 2 * columns, filters // 4))

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Double rows and columns, quarter the channels."""
        rows, columns = (None if side is None else 2 * side for side in shape[1:3])
        return shape[0], rows, columns, (shape[3] or 0) // 4


@keras.saving.register_keras_serializable("groundplan")
class DecodeHeads(layers.Layer):  # type: ignore[misc]
    """Decode the output of heads to probability and, where a head predicts it, signed distance [m]."""

    def __init__(self, heads: Any, **settings: Any) -> None:
        super().__init__(**settings)
        self._heads = tuple(heads)

    def call(self, output: Any) -> Any:
        """Decode (…, channels) to (…, 1 or 2)."""
        return decode(self._heads, output)
