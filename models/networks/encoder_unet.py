"""U-Net on ImageNet-pretrained encoders: EfficientNet-Lite0 and models of keras.applications.

The skip connection at each resolution is the last layer of that size. EfficientNetV2 and MobileNetV3 average over the
whole window (squeeze and excitation), so predictions of windows differ slightly from those of the whole image.
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
from models.layers import CropToInput, PadToStride, conv_bn_relu, residual_block, upsample_heads
from models.networks.unet import valid_windows
from models.registry import NETWORKS, Initialization, Option

#: Side of an image whose halves identify the resolution of each layer, whatever padding it adds [px].
_SIDE = 256
#: Socket timeout of the download of ImageNet weights [s].
_TIMEOUT_S = 10.0
_APPLICATIONS: Mapping[str, Callable[..., keras.Model]] = {
    "efficientnetv2b0": partial(applications.EfficientNetV2B0, include_preprocessing=False),
    "mobilenetv3": partial(applications.MobileNetV3Large, include_preprocessing=False),
    "resnet50v2": applications.ResNet50V2,
}


@dataclass(frozen=True)
class Encoder:
    """Encoder of a U-Net: its network and pretrained weights."""

    #: From the number of bands to a model with random weights; its outputs begin at half the resolution.
    build: Callable[[int], keras.Model]
    #: ImageNet weights for three bands, in the order of the weights of such a model.
    load_weights: Callable[[keras.Model], Sequence[Any]]
    source: str  #: origin and license of the weights
    filters: tuple[int, ...] = (32, 64, 96, 128)  #: of the decoder, from half the resolution on


def build(bands: int, encoder: str, **_: Option) -> keras.Model:
    """Build the network with random weights, see models.registry.build and load_pretrained."""
    image = keras.Input((None, None, bands), name="image")
    output = _network(PadToStride(NETWORKS[f"unet-{encoder}"].stride)(image), bands, encoder)
    return keras.Model(image, CropToInput()([output, image]), name=f"unet_{encoder}")


def build_inference(bands: int, encoder: str, **_: Option) -> keras.Model:
    """Build the network for sliding-window inference, see models.registry.build_inference."""
    network = NETWORKS[f"unet-{encoder}"]
    image = keras.Input((None, None, bands), name="image")
    return valid_windows(image, _network(image, bands, encoder), network.heads, network.halo)


def load_pretrained(model: keras.Model, encoder: str, imagenet: bool = True) -> Initialization:
    """Load ImageNet weights into the encoder, if they are available.

    The first layer is widened to the number of bands: bands beyond the third get the mean of its red, green and blue
    kernels.

    Args:
        model: Network of `build`.
        encoder: Name of the encoder.
        imagenet: False keeps the random weights.
    """
    if not imagenet:
        return Initialization()
    model_encoder, spec = model.get_layer("encoder"), _encoder(encoder)
    with _socket_timeout(), ThreadPoolExecutor(1) as thread:  # keras raises a plain Exception if a download fails
        future = thread.submit(spec.load_weights, model_encoder)
        error = future.exception()
    if error is not None:
        reason = str(error).splitlines()[0].rstrip(".")[:120] if str(error) else type(error).__name__
        note = f"ImageNet weights are not available ({reason}). The encoder starts with random weights."
        return Initialization(note=note)
    for values, weight in zip(future.result(), model_encoder.weights, strict=True):
        weight.assign(values if values.shape == weight.shape else _widen_stem(values, weight.shape[2]))
    return Initialization(spec.source, "The encoder starts with ImageNet-pretrained weights.")


def _network(image: keras.KerasTensor, bands: int, encoder: str) -> keras.KerasTensor:
    spec = _encoder(encoder)
    features = spec.build(bands)(image)
    x = features[-1]
    for skip, filters in zip(reversed(features[:-1]), reversed(spec.filters), strict=True):
        x = layers.UpSampling2D(2)(conv_bn_relu(x, filters, 1))
        x = residual_block(layers.Add()([x, conv_bn_relu(skip, filters, 1)]))
    return upsample_heads(x, channels(NETWORKS[f"unet-{encoder}"].heads))


def _encoder(name: str) -> Encoder:
    if name == "efficientnetlite0":
        lite = efficientnet_lite
        return Encoder(lite.encoder, lite.imagenet_weights, lite.SOURCE, (32, 48, 64))
    source = "ImageNet (weights of keras.applications, Apache 2.0)"
    return Encoder(partial(_application_encoder, name), lambda _: _application(name, 3, "imagenet").weights, source)


def _application_encoder(name: str, bands: int) -> keras.Model:
    """Build a model of keras.applications with the last layers at 1/2, 1/4, … 1/32 of the resolution as outputs."""
    application, fixed_size = _application(name, bands, None), _application(name, bands, None, _SIDE)
    last_layer: dict[int | None, int] = {}
    for n, layer in enumerate(fixed_size.layers):
        if isinstance(layer.output, keras.KerasTensor):
            last_layer[layer.output.shape[1]] = n
    outputs = [application.layers[last_layer[_SIDE // 2**n]].output for n in range(1, 6)]
    return keras.Model(application.input, outputs, name="encoder")


def _application(name: str, bands: int, weights: str | None, side: int | None = None) -> keras.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it expects three bands and one size
        return _APPLICATIONS[name](include_top=False, weights=weights, input_shape=(side, side, bands))


def _widen_stem(kernel: Any, bands: int) -> Any:
    """Widen (rows, cols, 3, filters) to more bands, with the same response to a gray image."""
    mean = keras.ops.mean(kernel, axis=2, keepdims=True)
    extra = keras.ops.repeat(mean, max(bands - 3, 0), axis=2)
    return keras.ops.concatenate([kernel[:, :, : min(bands, 3)], extra], axis=2) * (3.0 / bands)


@contextmanager
def _socket_timeout() -> Iterator[None]:
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous)
