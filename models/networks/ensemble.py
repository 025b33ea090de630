"""Ensemble of several networks: the mean of their probabilities and distances.

Each member sees the pixels with the normalization of its own training. Members that predict no distance are left out
of the mean distance.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from models.layers import DecodeHeads
from models.registry import DISTANCE_RANGE_M, NETWORKS, Option
from models.registry import build as build_network
from models.registry import build_inference as build_network_inference

#: Probabilities are clipped by this much from 0 and 1, so that their logits are finite.
_EPSILON = 1e-6


def build(bands: int, members: str = "unet+unet") -> keras.Model:
    """Build the ensemble, see models.registry.build; `members` is written by format_members."""
    image = keras.Input((None, None, bands), name="image")
    predictions = []
    for n, (name, options) in enumerate(_parse_members(members)):
        network = build_network(name, bands, **options)
        member = keras.Model(network.input, network.output, name=f"member_{n}")
        output = member(Rescaled(name=f"scaling_{n}")(image))
        predictions.append(DecodeHeads(NETWORKS[name].heads, name=f"decoded_{n}", dtype="float32")(output))
    mean = _Mean(name="mean", dtype="float32")(predictions)
    return keras.Model(image, _EncodeHeads(name="output", dtype="float32")(mean), name="ensemble")


def build_inference(bands: int, members: str = "unet+unet") -> keras.Model:
    """Build the ensemble for sliding-window inference, see models.registry.build_inference."""
    image = keras.Input((None, None, bands), name="image")
    predictions = []
    for n, (name, options) in enumerate(_parse_members(members)):
        network = build_network_inference(name, bands, **options)
        member = keras.Model(network.input, network.output, name=f"member_{n}")
        scaled = Rescaled(name=f"scaling_{n}")(image)
        predictions.append(member(layers.Cropping2D(NETWORKS["ensemble"].halo - NETWORKS[name].halo)(scaled)))
    return keras.Model(image, _Mean(name="mean", dtype="float32")(predictions), name="ensemble_for_windows")


def format_members(members: list[tuple[str, dict[str, Option]]]) -> str:
    """Format networks with their options as the option `members`: "unet:width=16+fcn"."""
    return "+".join(
        ":".join([name, *(f"{key}={value}" for key, value in options.items())]) for name, options in members
    )


def save_member(model: keras.Model, n: int, member: keras.Model, scale: Any, offset: Any) -> None:
    """Copy the weights of a trained network into an ensemble.

    Args:
        model: The ensemble.
        n: Index of the member.
        member: The trained network.
        scale: Factor per band, (bands,): the member sees pixels × scale + offset.
        offset: Offset per band, (bands,).
    """
    model.get_layer(f"member_{n}").set_weights(member.get_weights())
    model.get_layer(f"scaling_{n}").set_weights([np.asarray(scale, np.float32), np.asarray(offset, np.float32)])


def _parse_members(members: str) -> list[tuple[str, dict[str, Option]]]:
    """Parse the option `members` to networks with their options; inverse of format_members."""
    parsed = []
    for member in members.split("+"):
        name, *pairs = member.split(":")
        defaults = NETWORKS[name].options if name in NETWORKS else {}
        options = dict[str, Option]()
        for key, value in (pair.split("=", 1) for pair in pairs):
            default = defaults.get(key, "")
            options[key] = value == "True" if isinstance(default, bool) else type(default)(value)
        parsed.append((name, options))
    return parsed


class Rescaled(layers.Layer):  # type: ignore[misc]
    """Normalize to pixels × scale + offset, with constant weights (bands,)."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Add the weights: scale 1 and offset 0."""
        bands = (shape[-1],)
        self.scale = self.add_weight(name="scale", shape=bands, initializer="ones", trainable=False)
        self.offset = self.add_weight(name="offset", shape=bands, initializer="zeros", trainable=False)

    def call(self, pixels: Any) -> Any:
        """Rescale (…, bands)."""
        return pixels * ops.cast(self.scale, pixels.dtype) + ops.cast(self.offset, pixels.dtype)


class _Mean(layers.Layer):  # type: ignore[misc]
    """Average predictions (…, 1 or 2) to (…, 2); the distance is the mean of those who predict it, else 0."""

    def call(self, predictions: list[Any]) -> Any:
        """Average the predictions."""
        probabilities = [prediction[..., 0] for prediction in predictions]
        distances = [prediction[..., 1] for prediction in predictions if prediction.shape[-1] == 2]
        zeros = ops.zeros_like(probabilities[0])
        return ops.stack([_mean(probabilities), _mean(distances) if distances else zeros], axis=-1)

    def compute_output_shape(self, shapes: Any) -> tuple[int | None, ...]:
        """Return the shape of a prediction with two layers."""
        return (*shapes[0][:-1], 2)


class _EncodeHeads(layers.Layer):  # type: ignore[misc]
    """Encode probability and distance [m] as the outputs of the heads "mask" and "distance"; inverse of DecodeHeads."""

    def call(self, prediction: Any) -> Any:
        """Encode (…, 2) to (…, 2)."""
        probability = ops.clip(prediction[..., 0], _EPSILON, 1 - _EPSILON)
        distance = ops.clip(prediction[..., 1] / DISTANCE_RANGE_M, _EPSILON - 1, 1 - _EPSILON)
        # The inverse of tanh, written out: LiteRT has no arctanh.
        return ops.stack(
            [ops.log(probability / (1 - probability)), ops.log((1 + distance) / (1 - distance)) / 2], axis=-1
        )


def _mean(values: list[Any]) -> Any:
    return sum(values[1:], start=values[0]) / len(values)
