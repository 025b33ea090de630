"""U-Net, the default network: a small residual U-Net that works at half the resolution of the image.

Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), with the residual blocks of He et al. (CVPR 2016). The first
convolution halves the image, and the last one doubles it again by sub-pixel convolution (Shi et al., CVPR 2016): most
of the time of a U-Net goes into its full-size layers, and a building is many pixels wide.
"""

from typing import Any

import keras
from keras import layers

from models.heads import channels
from models.layers import CropToInput, DecodeHeads, PadToStride, conv_bn_relu, residual_block, upsample_heads
from models.registry import NETWORKS

#: Filters at a half, a quarter, an eighth and a sixteenth of the resolution, as multiples of the width.
GROWTH = (1, 2, 4, 6)
STRIDE = 2 ** len(GROWTH)
#: Spatial dropout of each stage: a network that trains on few tiles overfits soon.
DROPOUT_RATES = (0.0, 0.0, 0.05, 0.1)


def build(bands: int, width: int = 16, copies: int = 1) -> keras.Model:
    """Build the network, see models.registry.build.

    Several copies train side by side on the same crops, each from its own random weights, and are averaged
    (Lakshminarayanan, Pritzel, Blundell: deep ensembles, NeurIPS 2017).

    Args:
        bands: Number of bands of the images.
        width: Number of filters at half the resolution.
        copies: Number of copies.
    """
    image = keras.Input((None, None, bands), name="image")
    output = _outputs(PadToStride(STRIDE)(image), width, copies)
    return keras.Model(image, CropToInput()([output, image]), name="unet")


def build_inference(bands: int, width: int = 16, copies: int = 1) -> keras.Model:
    """Build the network for sliding-window inference, see models.registry.build_inference.

    Args:
        bands: Number of bands of the images.
        width: Number of filters at half the resolution.
        copies: Number of copies.
    """
    network = NETWORKS["unet"]
    image = keras.Input((None, None, bands), name="image")
    return valid_windows(image, _outputs(image, width, copies), network.heads, network.halo)


def _outputs(image: keras.KerasTensor, width: int, copies: int) -> keras.KerasTensor:
    """Return the heads of all copies, concatenated."""
    heads = channels(NETWORKS["unet"].heads)
    outputs = [upsample_heads(backbone(image, width), heads, f"_{n}" if n else "") for n in range(copies)]
    return layers.Concatenate(dtype="float32")(outputs) if copies > 1 else outputs[0]


def valid_windows(image: keras.KerasTensor, output: keras.KerasTensor, heads: Any, halo: int) -> keras.Model:
    """Make the model of an output that is decoded and cropped by the halo.

    Args:
        image: Input of the network, (rows, cols, bands).
        output: Its output, (rows, cols, channels).
        heads: Names of the heads.
        halo: Pixels cropped from each side.
    """
    inner = layers.Cropping2D(halo)(output)
    return keras.Model(image, DecodeHeads(heads, dtype="float32")(inner), name="for_windows")


def backbone(image: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Map (rows, cols, bands) to (rows / 2, cols / 2, width); rows and columns are multiples of STRIDE."""
    x = conv_bn_relu(image, width, 4, strides=2)
    skips = []
    for n, growth in enumerate(GROWTH):
        if n:
            skips.append(x)
            x = conv_bn_relu(x, width * growth, 2, strides=2)
        x = layers.SpatialDropout2D(DROPOUT_RATES[n])(residual_block(x))
    return decoder(x, skips)


def decoder(x: keras.KerasTensor, skips: list[keras.KerasTensor]) -> keras.KerasTensor:
    """Decode the deepest features `x` with skip connections, the largest first in `skips`."""
    for skip in reversed(skips):
        x = layers.UpSampling2D(2)(conv_bn_relu(x, skip.shape[-1], 1))
        x = residual_block(layers.Add()([x, skip]))
    return x
