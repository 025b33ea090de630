"""Yuan's network: no classes, but how far the nearest wall is, from which mask, walls and separation are read.

Yuan: Automatic Building Extraction in Aerial Scenes Using Convolutional Networks (2016, arXiv 1602.06564). The distance
is cut into intervals, and the network says how probable each is. What its stages see at several resolutions is brought
to one size and looked at together. It is narrower than the paper's, so that a processor can train it.
"""

import keras
from keras import layers

from models.heads import channels
from models.layers import Filled, Trimmed
from models.networks.unet import for_windows
from models.registry import NETWORKS

#: Filters of the stages at the full, a half, a quarter and an eighth of the resolution, as multiples of the width.
STAGES = (1, 2, 4, 4)


def build(bands: int, width: int = 24) -> keras.Model:
    """See models.registry.build; `width` is the number of filters at the full resolution."""
    picture = keras.Input((None, None, bands), name="picture")
    output = _network(Filled(NETWORKS["distance"].stride)(picture), width)
    return keras.Model(picture, Trimmed()([output, picture]), name="distance")


def build_for_windows(bands: int, width: int = 24) -> keras.Model:
    """See models.registry.build_for_windows."""
    network = NETWORKS["distance"]
    picture = keras.Input((None, None, bands), name="picture")
    return for_windows(picture, _network(picture, width), network.heads, network.halo)


def _network(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Each stage's word on the intervals, added up from the coarsest to the finest."""
    bins, words = channels(NETWORKS["distance"].heads), []
    for n, growth in enumerate(STAGES):
        if n:
            x = layers.MaxPooling2D(2)(x)
        for _ in range(2):
            x = layers.Conv2D(width * growth, 3, padding="same", activation="relu")(x)
        words.append(layers.Conv2D(bins, 1, use_bias=n == 0)(x))
    said = words.pop()
    for word in reversed(words):
        # Twice the size and smoothed: what bilinear interpolation gives, in operations that every engine has.
        larger = layers.AveragePooling2D(3, strides=1, padding="same")(layers.UpSampling2D(2)(said))
        said = layers.Add()([larger, word])
    return layers.Activation("linear", dtype="float32", name="output")(said)
