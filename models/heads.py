"""What networks say of each pixel, what they are told about it, and what a mistake costs.

A network's output is its heads side by side, each of one or more channels, in the order of the registry, and that again
for every further copy of the network: what copies say is averaged. Heads are what they are before the last activation,
but for "classes", which is the thesis's softmax.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from models.losses import BINS, _bins_loss, _classes_loss, _distance_loss, _logit_loss
from models.registry import REACH_M, TARGETS


@dataclass(frozen=True)
class Head:
    """One thing a network says. Functions take and give tensors of (…, channels) or (…), float32."""

    channels: int
    weight: float  #: of its loss among those of other heads
    loss: Callable[[Any, Any], Any]  #: of truth (…) and output (…, channels), for each pixel
    probability: Callable[[Any], Any] | None = None  #: of "building", where this head tells
    distance: Callable[[Any], Any] | None = None  #: to the nearest wall in metres, positive inside, where it tells


def _bins_probability(output: Any) -> Any:
    """That the distance is positive."""
    return ops.sum(ops.softmax(output)[..., BINS // 2 :], axis=-1)


def _bins_distance(output: Any) -> Any:
    """The expected distance."""
    middles = (ops.arange(BINS, dtype="float32") + 0.5) * (2 * REACH_M / BINS) - REACH_M
    return ops.sum(ops.softmax(output) * middles, axis=-1)


HEADS: Mapping[str, Head] = {
    "classes": Head(2, 1.0, _classes_loss, lambda output: output[..., 1]),
    "mask": Head(1, 1.0, _logit_loss, lambda output: ops.sigmoid(output[..., 0])),
    "edge": Head(1, 0.5, _logit_loss),
    "distance": Head(1, 2.0, _distance_loss, None, lambda output: ops.tanh(output[..., 0]) * REACH_M),
    "bins": Head(BINS, 1.0, _bins_loss, _bins_probability, _bins_distance),
}


def channels(heads: Sequence[str]) -> int:
    """How many channels the output of a network with these heads has."""
    return sum(HEADS[name].channels for name in heads)


def parts(heads: Sequence[str], output: Any) -> dict[str, Any]:
    """The output of each head."""
    first, found = 0, {}
    for name in heads:
        found[name] = output[..., first : first + HEADS[name].channels]
        first += HEADS[name].channels
    return found


def _copies(heads: Sequence[str], output: Any) -> list[dict[str, Any]]:
    """The parts of every copy."""
    width = channels(heads)
    return [parts(heads, output[..., first : first + width]) for first in range(0, output.shape[-1], width)]


def losses(heads: Sequence[str], target: Any, output: Any) -> list[Any]:
    """The weighted loss of each head and pixel, of several copies their mean: each learns by itself.

    Target (…, heads) holds the truth of each, in their order.
    """
    copies = _copies(heads, output)
    return [
        HEADS[name].weight
        * _mean([HEADS[name].loss(ops.cast(target[..., n], "float32"), told[name]) for told in copies])
        for n, name in enumerate(heads)
    ]


def built(heads: Sequence[str], target: Any) -> Any:
    """(…) 1.0 where the first head's truth is "building", else 0.0."""
    truth = ops.cast(target[..., 0], "float32")
    return ops.cast(truth > (128.0 if TARGETS[heads[0]] == "distance" else 0.5), "float32")


def probability(heads: Sequence[str], output: Any) -> Any:
    """(…) of "building"."""
    tell = [HEADS[name].probability for name in heads]
    return _mean([_words(told, tell)[0] for told in _copies(heads, ops.cast(output, "float32"))])


def layers(heads: Sequence[str], output: Any) -> Any:
    """(…, 1 or 2): the probability of "building", and the distance in metres where a head tells it."""
    tell = [HEADS[name].distance for name in heads]
    each = [_words(told, tell) for told in _copies(heads, ops.cast(output, "float32"))]
    return ops.stack([probability(heads, output), *map(_mean, zip(*each, strict=True))], axis=-1)


def _words(told: Mapping[str, Any], tell: Sequence[Callable[[Any], Any] | None]) -> list[Any]:
    """What those heads say that have a word on it."""
    return [word(output) for word, output in zip(tell, told.values(), strict=True) if word]


def _mean(values: Sequence[Any]) -> Any:
    return sum(values[1:], start=values[0]) / len(values) if len(values) > 1 else values[0]
