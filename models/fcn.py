"""The thesis network: a fully convolutional network that halves the picture three times and goes back in one step.

Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation (CVPR 2015), its FCN-8 stride.
"""

import keras
from keras import layers

#: Filters of the two 3×3 convolutions before each pooling.
STAGES = (32, 64, 128)


def build(bands: int, batch_norm: bool = False) -> keras.Model:
    """(batch, rows, columns, bands) float32 to (batch, rows, columns, 2) softmax; channel 1 is "building".

    Rows and columns are multiples of 8. With `batch_norm` every convolution is normalised before its activation and
    carries no bias, which the normalisation would cancel.
    """
    picture = keras.Input((None, None, bands), name="picture")
    x = picture
    for filters in STAGES:
        x = _convolution(x, filters, 3, batch_norm)
        x = _convolution(x, filters, 3, batch_norm)
        x = layers.MaxPooling2D(2)(x)
    x = _convolution(x, 1024, 5, batch_norm)
    x = _convolution(x, 128, 1, batch_norm)
    x = layers.Conv2DTranspose(2, 16, strides=8, padding="same", name="upsampled")(x)
    return keras.Model(picture, layers.Softmax(name="probability")(x), name="thesis_fcn")


def _convolution(x: keras.KerasTensor, filters: int, kernel: int, batch_norm: bool) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=not batch_norm)(x)
    if batch_norm:
        x = layers.BatchNormalization()(x)
    return layers.ReLU()(x)
