"""The U-Net's heads on encoders that may begin with what they learned from ImageNet.

EfficientNet-Lite0 has a file of its own; the others are those of `keras.applications`. What an encoder sees at each
resolution is the last layer of that size. EfficientNetV2 and MobileNet look at the mean of the whole window (squeeze
and excitation), so that their windows agree with the whole scene only nearly.
"""

import socket
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
from keras import applications, layers

from models.encoders import efficientnet_lite
from models.heads import channels
from models.layers import Filled, Trimmed, block, convolution, doubled
from models.networks.unet import for_windows
from models.registry import NETWORKS, Beginning, Option

#: A side that tells by its parts which layer works at which resolution, whatever rim a layer adds.
_SIDE = 256
#: Seconds without a byte after which ImageNet's weights cannot be had.
_PATIENCE_S = 10.0
_APPLICATIONS: Mapping[str, Callable[..., keras.Model]] = {
    "efficientnetv2b0": partial(applications.EfficientNetV2B0, include_preprocessing=False),
    "mobilenetv3": partial(applications.MobileNetV3Large, include_preprocessing=False),
    "resnet50v2": applications.ResNet50V2,
}


@dataclass(frozen=True)
class Encoder:
    """The way down of such a network."""

    make: Callable[[int], keras.Model]  #: for so many bands, with random weights: "encoder", its outputs from a half on
    imagenet: Callable[[keras.Model], Sequence[Any]]  #: the weights for three bands, in the order of such a model's
    source: str  #: whose weights they are, with their licence
    filters: tuple[int, ...] = (32, 64, 96, 128)  #: on the way back up, from half the resolution on


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
    own, kind = model.get_layer("encoder"), _encoder(encoder)
    with _impatient(), ThreadPoolExecutor(1) as thread:  # keras raises a plain Exception where a download fails
        coming = thread.submit(kind.imagenet, own)
        error = coming.exception()
    if error is not None:
        said = f"ImageNet's weights cannot be had here ({_reason(error)}): the encoder begins with random ones."
        return Beginning(said=said)
    for there, here in zip(coming.result(), own.weights, strict=True):
        here.assign(there if there.shape == here.shape else _widened(there, here.shape[2]))
    return Beginning(kind.source, "The encoder begins with ImageNet's weights.")


def _network(picture: keras.KerasTensor, bands: int, encoder: str) -> keras.KerasTensor:
    kind = _encoder(encoder)
    seen = kind.make(bands)(picture)
    x = seen[-1]
    for skip, filters in zip(reversed(seen[:-1]), reversed(kind.filters), strict=True):
        x = layers.UpSampling2D(2)(convolution(x, filters, 1))
        x = block(layers.Add()([x, convolution(skip, filters, 1)]))
    return doubled(x, channels(NETWORKS[f"unet-{encoder}"].heads))


def _encoder(name: str) -> Encoder:
    if name == "efficientnetlite0":
        lite = efficientnet_lite
        return Encoder(lite.encoder, lite.imagenet, lite.SOURCE, (32, 48, 64))
    source = "ImageNet (weights of keras.applications, Apache 2.0)"
    return Encoder(partial(_stages, name), partial(_downloaded, name), source)


def _stages(name: str, bands: int) -> keras.Model:
    """One of keras.applications, its last layers at a half, a quarter, … a 32nd of the resolution as outputs."""
    whole, sized = _application(name, bands, None), _application(name, bands, None, _SIDE)
    last: dict[int | None, int] = {}
    for n, layer in enumerate(sized.layers):
        if isinstance(layer.output, keras.KerasTensor):
            last[layer.output.shape[1]] = n
    outputs = [whole.layers[last[_SIDE // 2**n]].output for n in range(1, 6)]
    return keras.Model(whole.input, outputs, name="encoder")


def _downloaded(name: str, _: keras.Model) -> Sequence[Any]:
    return list(_application(name, 3, "imagenet").weights)


def _application(name: str, bands: int, weights: str | None, side: int | None = None) -> keras.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it expects three bands and one size
        return _APPLICATIONS[name](include_top=False, weights=weights, input_shape=(side, side, bands))


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
