"""The U-Net's heads on encoders that may begin with what they learned from ImageNet.

EfficientNet-Lite0 has a file of its own; the others are those of `keras.applications`. What an encoder sees at each
resolution is the last layer of that size. EfficientNetV2 and MobileNet look at the mean of the whole window (squeeze
and excitation), so that their windows agree with the whole scene only nearly.
"""

import socket
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
from keras import layers

from models import efficientnet_lite as lite
from models.fitted_size import Filled, Trimmed
from models.heads import channels
from models.registry import NETWORKS, Beginning, Option
from models.unet import block, convolution, doubled, for_windows

#: Filters on the way back up, at a half, a quarter, an eighth and a sixteenth of the resolution.
FILTERS = (32, 64, 96, 128)
LITE = "efficientnetlite0"
LITE_FILTERS = (32, 48, 64)
_SOURCE = "ImageNet (weights of keras.applications, Apache 2.0)"
#: A side that tells by its parts which layer works at which resolution, whatever rim a layer adds.
_SIDE = 256
#: Seconds without a byte after which ImageNet's weights cannot be had.
_PATIENCE_S = 10.0


def build(bands: int, encoder: str, **_: Option) -> keras.Model:
    """See models.registry.build; fresh weights are random, see `pretrain`."""
    picture = keras.Input((None, None, bands), name="picture")
    output = _network(Filled(NETWORKS[f"unet-{encoder}"].stride)(picture), bands, encoder)
    return keras.Model(picture, Trimmed()([output, picture]), name=f"unet_{encoder}")


def build_for_windows(bands: int, encoder: str, **_: Option) -> keras.Model:
    """See models.registry.build_for_windows."""
    network = NETWORKS[f"unet-{encoder}"]
    picture = keras.Input((None, None, bands), name="picture")
    return for_windows(picture, _network(picture, bands, encoder), network.heads, network.halo)


def pretrain(model: keras.Model, encoder: str, imagenet: bool = True) -> Beginning:
    """Gives the encoder what it learned from ImageNet, where that can be had.

    The first layer is widened to the bands: the mean of what it knows of red, green and blue, for each of them alike
    beyond the third.
    """
    if not imagenet:
        return Beginning()
    own = model.get_layer("encoder")
    with _impatient(), ThreadPoolExecutor(1) as thread:  # keras raises a plain Exception where a download fails
        coming = thread.submit(lite.imagenet, own) if encoder == LITE else thread.submit(_downloaded, encoder)
        error = coming.exception()
    if error is not None:
        said = f"ImageNet's weights cannot be had here ({_reason(error)}): the encoder begins with random ones."
        return Beginning(said=said)
    for there, here in zip(coming.result(), own.weights, strict=True):
        here.assign(there if there.shape == here.shape else _widened(there, here.shape[2]))
    return Beginning(lite.SOURCE if encoder == LITE else _SOURCE, "The encoder begins with ImageNet's weights.")


def _downloaded(encoder: str) -> list[Any]:
    return list(_encoder(3, encoder, "imagenet").weights)


def _network(picture: keras.KerasTensor, bands: int, encoder: str) -> keras.KerasTensor:
    seen = (lite.encoder(bands) if encoder == LITE else _stages(bands, encoder))(picture)
    x = seen[-1]
    widths = LITE_FILTERS if encoder == LITE else FILTERS
    for skip, filters in zip(reversed(seen[:-1]), reversed(widths), strict=True):
        x = layers.UpSampling2D(2)(convolution(x, filters, 1))
        x = block(layers.Add()([x, convolution(skip, filters, 1)]))
    return doubled(x, channels(NETWORKS[f"unet-{encoder}"].heads))


def _stages(bands: int, encoder: str) -> keras.Model:
    """The encoder with its last layers at a half, a quarter, … a 32nd of the resolution as outputs."""
    whole, sized = _encoder(bands, encoder, None), _encoder(bands, encoder, None, _SIDE)
    last: dict[int | None, int] = {}
    for n, layer in enumerate(sized.layers):
        if isinstance(layer.output, keras.KerasTensor):
            last[layer.output.shape[1]] = n
    outputs = [whole.layers[last[_SIDE // 2**n]].output for n in range(1, 6)]
    return keras.Model(whole.input, outputs, name="encoder")


def _encoder(bands: int, encoder: str, weights: str | None, side: int | None = None) -> keras.Model:
    applications = keras.applications
    makers: dict[str, Any] = {
        "efficientnetv2b0": partial(applications.EfficientNetV2B0, include_preprocessing=False),
        "mobilenetv3": partial(applications.MobileNetV3Large, include_preprocessing=False),
        "resnet50v2": applications.ResNet50V2,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it expects three bands and one size
        model: keras.Model = makers[encoder](include_top=False, weights=weights, input_shape=(side, side, bands))
    return model


def _widened(kernel: Any, bands: int) -> Any:
    """(rows, columns, 3, filters) to as many bands, with the same answer to a grey picture."""
    mean = keras.ops.mean(kernel, axis=2, keepdims=True)
    more = keras.ops.repeat(mean, max(bands - 3, 0), axis=2)
    return keras.ops.concatenate([kernel[:, :, : min(bands, 3)], more], axis=2) * (3.0 / bands)


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0].rstrip(".")[:120] if str(error) else type(error).__name__


@contextmanager
def _impatient() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
