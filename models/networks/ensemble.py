"""Several networks as one: the mean of what they say.

Each sees the pixels scaled as in its own training. Networks that tell no distance have no word on it.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from models.layers import Told
from models.registry import NETWORKS, REACH_M, Option
from models.registry import build as build_network
from models.registry import build_for_windows as build_windowed

#: Probabilities are kept so far from 0 and 1 that their logit is a number.
_SURE = 1e-6


def build(bands: int, members: str = "unet+unet") -> keras.Model:
    """See models.registry.build; `members` as `named` writes them."""
    picture = keras.Input((None, None, bands), name="picture")
    words = []
    for n, (name, options) in enumerate(_parsed(members)):
        network = build_network(name, bands, **options)
        member = keras.Model(network.input, network.output, name=f"member_{n}")
        output = member(Rescaled(name=f"scaling_{n}")(picture))
        words.append(Told(NETWORKS[name].heads, name=f"words_{n}", dtype="float32")(output))
    mean = _Mean(name="mean", dtype="float32")(words)
    return keras.Model(picture, _Raw(name="output", dtype="float32")(mean), name="ensemble")


def build_for_windows(bands: int, members: str = "unet+unet") -> keras.Model:
    """See models.registry.build_for_windows."""
    picture = keras.Input((None, None, bands), name="picture")
    words = []
    for n, (name, options) in enumerate(_parsed(members)):
        network = build_windowed(name, bands, **options)
        member = keras.Model(network.input, network.output, name=f"member_{n}")
        scaled = Rescaled(name=f"scaling_{n}")(picture)
        words.append(member(layers.Cropping2D(NETWORKS["ensemble"].halo - NETWORKS[name].halo)(scaled)))
    return keras.Model(picture, _Mean(name="mean", dtype="float32")(words), name="ensemble_for_windows")


def named(members: list[tuple[str, dict[str, Option]]]) -> str:
    """The option `members` of networks with their options: "unet:width=16+fcn"."""
    return "+".join(
        ":".join([name, *(f"{key}={value}" for key, value in options.items())]) for name, options in members
    )


def put_member(model: keras.Model, n: int, member: keras.Model, scale: Any, offset: Any) -> None:
    """Makes a trained network the n-th of an ensemble; it sees pixels × scale + offset, one of each a band."""
    model.get_layer(f"member_{n}").set_weights(member.get_weights())
    model.get_layer(f"scaling_{n}").set_weights([np.asarray(scale, np.float32), np.asarray(offset, np.float32)])


def _parsed(members: str) -> list[tuple[str, dict[str, Option]]]:
    found = []
    for member in members.split("+"):
        name, *pairs = member.split(":")
        known = NETWORKS[name].options if name in NETWORKS else {}
        options = {key: _value(value, known.get(key, "")) for key, value in (pair.split("=", 1) for pair in pairs)}
        found.append((name, options))
    return found


def _value(text: str, like: Option) -> Option:
    if isinstance(like, bool):
        return text == "True"
    return type(like)(text)


class Rescaled(layers.Layer):  # type: ignore[misc]
    """pixels × scale + offset, one of each a band; they are not trained."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        """See the class."""
        bands = (shape[-1],)
        self.scale = self.add_weight(name="scale", shape=bands, initializer="ones", trainable=False)
        self.offset = self.add_weight(name="offset", shape=bands, initializer="zeros", trainable=False)

    def call(self, pixels: Any) -> Any:
        """See the class."""
        return pixels * ops.cast(self.scale, pixels.dtype) + ops.cast(self.offset, pixels.dtype)


class _Mean(layers.Layer):  # type: ignore[misc]
    """Of several (…, 1 or 2) as (…, 2): the distance is the mean of those who tell it, else 0."""

    def call(self, words: list[Any]) -> Any:
        """See the class."""
        probabilities = [word[..., 0] for word in words]
        distances = [word[..., 1] for word in words if word.shape[-1] == 2]
        none = ops.zeros_like(probabilities[0])
        return ops.stack([_mean(probabilities), _mean(distances) if distances else none], axis=-1)

    def compute_output_shape(self, shapes: Any) -> tuple[int | None, ...]:
        """See the class."""
        return (*shapes[0][:-1], 2)


class _Raw(layers.Layer):  # type: ignore[misc]
    """Probability and metres as the heads "mask" and "distance" have them, before their activation."""

    def call(self, words: Any) -> Any:
        """(…, 2) to (…, 2)."""
        sure = ops.clip(words[..., 0], _SURE, 1 - _SURE)
        near = ops.clip(words[..., 1] / REACH_M, _SURE - 1, 1 - _SURE)
        # The inverse of tanh, written out: LiteRT does not know it.
        return ops.stack([ops.log(sure / (1 - sure)), ops.log((1 + near) / (1 - near)) / 2], axis=-1)


def _mean(parts: list[Any]) -> Any:
    return sum(parts[1:], start=parts[0]) / len(parts)
