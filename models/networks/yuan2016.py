"""Signed distance network of Yuan 2016: mask, boundaries and separation of buildings follow from the distance.

Yuan: Automatic Building Extraction in Aerial Scenes Using Convolutional Networks (2016, arXiv 1602.06564). The signed
distance to the nearest boundary is divided into bins, and the network classifies them. The logits of stages at several
resolutions are upsampled and added. It is narrower than the network of the paper, so that a CPU can train it.
"""

import keras
from keras import layers

from models.heads import channels
from models.layers import CropToInput, PadToStride
from models.networks.unet import valid_windows
from models.registry import NETWORKS

#: Filters of the stages at the full, a half, a quarter and an eighth of the resolution, as multiples of the width.
STAGES = (1, 2, 4, 4)


def build(bands: int, width: int = 24) -> keras.Model:
    """Build the network, see models.registry.build; `width` is the number of filters at full resolution."""
    image = keras.Input((None, None, bands), name="image")
    output = _network(PadToStride(NETWORKS["distance"].stride)(image), width)
    return keras.Model(image, CropToInput()([output, image]), name="distance")


def build_inference(bands: int, width: int = 24) -> keras.Model:
    """Build the network for sliding-window inference, see models.registry.build_inference."""
    network = NETWORKS["distance"]
    image = keras.Input((None, None, bands), name="image")
    return valid_windows(image, _network(image, width), network.heads, network.halo)


def _network(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Fuse the logits of the stages: `logits += upsample(logits)` from the coarsest to the finest."""
    bins, stage_logits = channels(NETWORKS["distance"].heads), []
    for n, growth in enumerate(STAGES):
        if n:
            x = layers.MaxPooling2D(2)(x)
        for _ in range(2):
            x = layers.Conv2D(width * growth, 3, padding="same", activation="relu")(x)
        stage_logits.append(layers.Conv2D(bins, 1, use_bias=n == 0)(x))
    logits = stage_logits.pop()
    for finer in reversed(stage_logits):
        # Double the size by bilinear interpolation, built of operations that every inference engine supports.
        upsampled = layers.AveragePooling2D(3, strides=1, padding="same")(layers.UpSampling2D(2)(logits))
        logits = layers.Add()([upsampled, finer])
    return layers.Activation("linear", dtype="float32", name="output")(logits)
