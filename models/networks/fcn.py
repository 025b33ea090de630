"""Thesis FCN: a fully convolutional network with three poolings and one transposed convolution.

Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation (CVPR 2015), with the stride of FCN-8.
"""

import keras
from keras import layers

from models.layers import BatchNormalization, CropToInput, PadToStride

#: Filters of the two 3×3 convolutions before each pooling.
STAGES = (32, 64, 128)


def build(bands: int, batch_norm: bool = False) -> keras.Model:
    """Build (batch, rows, cols, bands) float32 to (batch, rows, cols, 2) softmax; channel 1 is "building".

    With `batch_norm`, every convolution is followed by batch normalization and has no bias, which it would cancel.
    """
    return _network(bands, batch_norm, "same")


def build_inference(bands: int, batch_norm: bool = False) -> keras.Model:
    """Build the network without padding, with the same weights: 38 pixels of each side are cropped from its output.

    (batch, rows + 76, cols + 76, bands) to (batch, rows, cols, 1), the probability of "building"; rows and columns are
    multiples of 8. The result equals that of the padded network, and no discarded pixel is computed.
    """
    return _network(bands, batch_norm, "valid")


def _network(bands: int, batch_norm: bool, padding: str) -> keras.Model:
    image = keras.Input((None, None, bands), name="image")
    x = image if padding == "valid" else PadToStride(8)(image)
    for filters in STAGES:
        x = _convolution(x, filters, 3, batch_norm, padding)
        x = _convolution(x, filters, 3, batch_norm, padding)
        x = layers.MaxPooling2D(2)(x)
    x = _convolution(x, 1024, 5, batch_norm, padding)
    x = _convolution(x, 128, 1, batch_norm, padding)
    if padding == "valid":
        return keras.Model(image, _InnerProbability(2, 16, strides=8, name="upsampled")(x), name="thesis_fcn_inner")
    x = layers.Conv2DTranspose(2, 16, strides=8, padding="same", name="upsampled")(x)
    x = layers.Softmax(name="probability", dtype="float32")(x)
    return keras.Model(image, CropToInput()([x, image]), name="thesis_fcn")


def _convolution(x: keras.KerasTensor, filters: int, kernel: int, batch_norm: bool, padding: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, padding=padding, use_bias=not batch_norm)(x)
    if batch_norm:
        x = BatchNormalization()(x)
    return layers.ReLU()(x)


class _InnerProbability(layers.Conv2DTranspose):  # type: ignore[misc]
    """Transposed convolution and softmax without the margin, for the class "building" only.

    Softmax over two classes is the sigmoid of their difference, which is the difference of their kernels: half the
    work. Each block of stride × stride output pixels depends on 2 × 2 input cells, so one small convolution computes
    all blocks as channels. (batch, n, m, channels) to (batch, (n - 2) stride, (m - 2) stride, 1).
    """

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        ops, stride, (_, rows, columns, _) = keras.ops, self.strides[0], keras.ops.shape(inputs)
        taps = ops.reshape(self.kernel[:, :, 1] - self.kernel[:, :, 0], (2, stride, 2, stride, -1))
        blocks = ops.reshape(ops.transpose(ops.flip(ops.flip(taps, 0), 2), (0, 2, 4, 1, 3)), (2, 2, taps.shape[-1], -1))
        x = ops.reshape(ops.conv(inputs, blocks, padding="valid"), (-1, rows - 1, columns - 1, stride, stride))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4)), (-1, (rows - 1) * stride, (columns - 1) * stride, 1))
        half = stride // 2
        return ops.sigmoid(x[:, half:-half, half:-half] + (self.bias[1] - self.bias[0]))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the upsampled input without the margin."""
        sides = (None if side is None else (side - 2) * self.strides[0] for side in input_shape[1:3])
        return input_shape[0], *sides, 1
