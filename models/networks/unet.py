"""The default network: a small residual U-Net that works at half the picture's resolution.

Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), with the residual blocks of He et al. (CVPR 2016). The picture is
halved by its first convolution and doubled again by its last (Shi et al.: sub-pixel convolution, CVPR 2016): most of a
U-Net's time goes into its full-size layers, and a house is many pixels wide.
"""

from typing import Any

import keras
from keras import layers

from models.heads import channels
from models.layers import Filled, Told, Trimmed, block, convolution, doubled
from models.registry import NETWORKS

#: Filters at a half, a quarter, an eighth and a sixteenth of the resolution, as multiples of the width.
GROWTH = (1, 2, 4, 6)
STRIDE = 2 ** len(GROWTH)
#: Share of the filters of each that a step of training goes without: few tiles are soon known by heart.
DROPPED = (0.0, 0.0, 0.05, 0.1)


def build(bands: int, width: int = 16, copies: int = 1) -> keras.Model:
    """See models.registry.build; `width` is the number of filters at half the resolution.

    Several copies learn side by side from the same crops, each from fresh weights of its own, and are asked for their
    mean (Lakshminarayanan, Pritzel, Blundell: deep ensembles, NeurIPS 2017).
    """
    picture = keras.Input((None, None, bands), name="picture")
    output = _outputs(Filled(STRIDE)(picture), width, copies)
    return keras.Model(picture, Trimmed()([output, picture]), name="unet")


def build_for_windows(bands: int, width: int = 16, copies: int = 1) -> keras.Model:
    """See models.registry.build_for_windows."""
    network = NETWORKS["unet"]
    picture = keras.Input((None, None, bands), name="picture")
    return for_windows(picture, _outputs(picture, width, copies), network.heads, network.halo)


def _outputs(picture: keras.KerasTensor, width: int, copies: int) -> keras.KerasTensor:
    """The heads of every copy, side by side."""
    heads = channels(NETWORKS["unet"].heads)
    each = [doubled(body(picture, width), heads, f"_{n}" if n else "") for n in range(copies)]
    return layers.Concatenate(dtype="float32")(each) if copies > 1 else each[0]


def for_windows(picture: keras.KerasTensor, output: keras.KerasTensor, heads: Any, halo: int) -> keras.Model:
    """A network whose output loses the halo and is told in words of people: probability and metres."""
    inner = layers.Cropping2D(halo)(output)
    return keras.Model(picture, Told(heads, dtype="float32")(inner), name="for_windows")


def body(picture: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """(rows, columns, bands) to (rows / 2, columns / 2, width); rows and columns are multiples of STRIDE."""
    x = convolution(picture, width, 4, strides=2)
    passed = []
    for n, growth in enumerate(GROWTH):
        if n:
            passed.append(x)
            x = convolution(x, width * growth, 2, strides=2)
        x = layers.SpatialDropout2D(DROPPED[n])(block(x))
    return joined(x, passed)


def joined(x: keras.KerasTensor, passed: list[keras.KerasTensor]) -> keras.KerasTensor:
    """The way back up: `passed` are what lies beside it, the largest first."""
    for skip in reversed(passed):
        x = layers.UpSampling2D(2)(convolution(x, skip.shape[-1], 1))
        x = block(layers.Add()([x, skip]))
    return x
