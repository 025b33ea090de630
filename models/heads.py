"""Heads of a network: their channels, losses and decoding to probability and signed distance.

The output of a network holds its heads side by side, each with one or more channels, in the order of the registry. A
network of several copies repeats them, and the copies are averaged. Heads output logits, except "classes", the softmax
of the thesis.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from models.losses import BINS, bce_with_logits, distance_bins_loss, distance_loss, segmentation_loss
from models.registry import DISTANCE_RANGE_M, TARGETS


@dataclass(frozen=True)
class Head:
    """One output of a network, with its loss and decoders.

    The functions map tensors (…, channels) float32 to (…) float32.
    """

    channels: int
    weight: float  #: of its loss in the sum over the heads
    loss: Callable[[Any, Any], Any]  #: per pixel, of ground truth (…) and output (…, channels)
    probability: Callable[[Any], Any] | None = None  #: of "building", if this head predicts it
    distance: Callable[[Any], Any] | None = None  #: signed, to the nearest boundary [m], positive inside


def _bins_probability(output: Any) -> Any:
    """Return the probability that the distance is positive."""
    return ops.sum(ops.softmax(output)[..., BINS // 2 :], axis=-1)


def _bins_distance(output: Any) -> Any:
    """Return the expected distance [m]."""
    centers = (ops.arange(BINS, dtype="float32") + 0.5) * (2 * DISTANCE_RANGE_M / BINS) - DISTANCE_RANGE_M
    return ops.sum(ops.softmax(output) * centers, axis=-1)


HEADS: Mapping[str, Head] = {
    "classes": Head(2, 1.0, segmentation_loss, lambda output: output[..., 1]),
    "mask": Head(1, 1.0, bce_with_logits, lambda output: ops.sigmoid(output[..., 0])),
    "edge": Head(1, 0.5, bce_with_logits),
    "distance": Head(1, 2.0, distance_loss, None, lambda output: ops.tanh(output[..., 0]) * DISTANCE_RANGE_M),
    "bins": Head(BINS, 1.0, distance_bins_loss, _bins_probability, _bins_distance),
}


def channels(heads: Sequence[str]) -> int:
    """Count the channels of the output of a network with these heads."""
    return sum(HEADS[name].channels for name in heads)


def split_heads(heads: Sequence[str], output: Any) -> dict[str, Any]:
    """Split the output of a network into the outputs of its heads, by name."""
    first, outputs = 0, {}
    for name in heads:
        outputs[name] = output[..., first : first + HEADS[name].channels]
        first += HEADS[name].channels
    return outputs


def _copies(heads: Sequence[str], output: Any) -> list[dict[str, Any]]:
    """Split the output by copy of the network, each into its heads."""
    width = channels(heads)
    return [split_heads(heads, output[..., first : first + width]) for first in range(0, output.shape[-1], width)]


def losses(heads: Sequence[str], target: Any, output: Any) -> list[Any]:
    """Compute the weighted loss of each head at each pixel.

    The losses of several copies are averaged, so each copy is trained independently.

    Args:
        heads: Names of the heads, in the order of the output.
        target: Ground truth of each head, (…, heads) uint8.
        output: Output of the network, (…, channels) float32.

    Returns:
        One tensor (…) float32 per head.
    """
    copies = _copies(heads, output)
    return [
        HEADS[name].weight
        * _mean([HEADS[name].loss(ops.cast(target[..., n], "float32"), outputs[name]) for outputs in copies])
        for n, name in enumerate(heads)
    ]


def building_truth(heads: Sequence[str], target: Any) -> Any:
    """Return (…) float32: 1.0 where the ground truth of the first head is "building", else 0.0."""
    truth = ops.cast(target[..., 0], "float32")
    return ops.cast(truth > (128.0 if TARGETS[heads[0]] == "distance" else 0.5), "float32")


def building_probability(heads: Sequence[str], output: Any) -> Any:
    """Return the probability of "building" (…) float32: the mean of the copies, of the first head that predicts it."""
    decoders = [HEADS[name].probability for name in heads]
    return _mean([_outputs_with(outputs, decoders)[0] for outputs in _copies(heads, ops.cast(output, "float32"))])


def decode(heads: Sequence[str], output: Any) -> Any:
    """Decode to (…, 1 or 2): probability of "building" and, where a head predicts it, signed distance [m]."""
    decoders = [HEADS[name].distance for name in heads]
    distances = [_outputs_with(outputs, decoders) for outputs in _copies(heads, ops.cast(output, "float32"))]
    return ops.stack([building_probability(heads, output), *map(_mean, zip(*distances, strict=True))], axis=-1)


def _outputs_with(outputs: Mapping[str, Any], decoders: Sequence[Callable[[Any], Any] | None]) -> list[Any]:
    """Apply the decoders to the outputs of the heads, leaving out heads without a decoder."""
    return [decoder(output) for decoder, output in zip(decoders, outputs.values(), strict=True) if decoder]


def _mean(values: Sequence[Any]) -> Any:
    return sum(values[1:], start=values[0]) / len(values) if len(values) > 1 else values[0]
