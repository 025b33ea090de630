"""Crops cut on the training device."""

from collections.abc import Sequence
from math import pi
from typing import Any

from keras import ops

from models.registry import TARGETS


def crops(given: Sequence[Any], held: Sequence[Any], chip: int, heads: Sequence[str]) -> tuple[Any, Any, Any]:
    """Pixels, target and weight of what a step is given with its looks: a Batch, or Places in the scenes `held`.

    Validation crops come whole, also where scenes are held.
    """
    *batch, _looks = given
    return cut(held, batch[0], chip, heads) if len(batch) == 1 else (batch[0], batch[1], batch[2])


def cut(scenes: Sequence[Any], places: Any, chip: int, heads: Sequence[str]) -> tuple[Any, Any, Any]:
    """The windows of `places` out of pixels (s, rows, columns, bands), target (…, heads) and weight (…), turned.

    Turning and enlarging are done to the numbers of the pixels before a pixel is touched, as core.datasets.chips does.
    """
    _, height, width, _ = ops.shape(scenes[0])
    scene, row, column, turn, side, degrees = (places[:, n, None, None] for n in range(6))
    here = ops.arange(chip, dtype="int32")
    down, across = ops.reshape(here, (1, -1, 1)), ops.reshape(here, (1, 1, -1))
    swap = turn // 4 % 2 == 1
    down, across = ops.where(swap, across, down), ops.where(swap, down, across)
    down = ops.where(turn % 2 == 1, chip - 1 - down, down)
    across = ops.where(turn // 2 % 2 == 1, chip - 1 - across, across)
    down, across = _nearest(down, across, side, degrees, chip)
    index = (scene * height + row + down) * width + column + across
    flat = [ops.reshape(values, (-1, values.shape[-1])) for values in (scenes[0], scenes[1], scenes[2][..., None])]
    pixels, target, weight = (ops.take(values, index, axis=0) for values in flat)
    return pixels, _longer(target, chip / ops.cast(side, "float32"), heads), weight[..., 0]


def _nearest(down: Any, across: Any, side: Any, degrees: Any, chip: int) -> tuple[Any, Any]:
    """Which pixels of a window of another side, or a rotated one, are shown: see core.datasets.chips."""
    plain = [(2 * place + 1) * side // (2 * chip) for place in (down, across)]
    long = ops.cast(side, "float32")
    y, x = (((ops.cast(place, "float32") + 0.5) / chip - 0.5) * long for place in (down, across))
    angle = ops.cast(degrees, "float32") * (pi / 180)
    cos, sin = ops.cos(angle), ops.sin(angle)
    rotated = long / 2 + y * cos - x * sin, long / 2 + y * sin + x * cos
    row, column = (
        ops.where(degrees == 0, still, ops.cast(ops.floor(turned), "int32"))
        for still, turned in zip(plain, rotated, strict=True)
    )
    return row, column


def _longer(target: Any, times: Any, heads: Sequence[str]) -> Any:
    """Distances grow with the ground (n, 1, 1): see core.datasets.chips."""
    layers = []
    for n, head in enumerate(heads):
        layer = ops.cast(target[..., n], "float32")
        if TARGETS[head] == "distance":
            layer = ops.where(times == 1.0, layer, ops.clip(ops.round((layer - 128.0) * times) + 128.0, 1.0, 255.0))
        layers.append(layer)
    return ops.stack(layers, axis=-1)
