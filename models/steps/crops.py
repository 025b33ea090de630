"""Crops on the training device: D4 symmetries, scaling and rotation of windows of cached samples."""

from collections.abc import Sequence
from math import pi
from typing import Any

from keras import ops

from models.registry import TARGETS


def gather_crops(batch: Sequence[Any], samples: Sequence[Any], chip: int, heads: Sequence[str]) -> tuple[Any, Any, Any]:
    """Return pixels, target and weight of a batch.

    Args:
        batch: Pixels, target and weight, or windows of cached samples; then the photometric parameters. Validation
            crops come as arrays even if samples are cached.
        samples: Cached pixels, target and weight.
        chip: Side of a crop [px].
        heads: Names of the heads, in the order of the target.

    Returns:
        Pixels (n, chip, chip, bands), target (n, chip, chip, heads) and weight (n, chip, chip).
    """
    *arrays, _photometric = batch
    return crop_windows(samples, arrays[0], chip, heads) if len(arrays) == 1 else (arrays[0], arrays[1], arrays[2])


def crop_windows(samples: Sequence[Any], windows: Any, chip: int, heads: Sequence[str]) -> tuple[Any, Any, Any]:
    """Crop windows of cached samples, with D4 symmetry, scaling and rotation.

    The transformation is applied to pixel indices before a pixel is read, as in core.datasets.chips.

    Args:
        samples: Pixels (samples, rows, cols, bands), target (samples, rows, cols, heads), weight (samples, rows, cols).
        windows: See CropWindows, (n, 6) int32.
        chip: Side of a crop [px].
        heads: Names of the heads, in the order of the target.

    Returns:
        Pixels (n, chip, chip, bands), target (n, chip, chip, heads) and weight (n, chip, chip).
    """
    _, height, width, _ = ops.shape(samples[0])
    sample, row, column, symmetry, side, degrees = (windows[:, n, None, None] for n in range(6))
    offsets = ops.arange(chip, dtype="int32")
    dy, dx = ops.reshape(offsets, (1, -1, 1)), ops.reshape(offsets, (1, 1, -1))
    swap = symmetry // 4 % 2 == 1
    dy, dx = ops.where(swap, dx, dy), ops.where(swap, dy, dx)
    dy = ops.where(symmetry % 2 == 1, chip - 1 - dy, dy)
    dx = ops.where(symmetry // 2 % 2 == 1, chip - 1 - dx, dx)
    dy, dx = _sample_nearest(dy, dx, side, degrees, chip)
    index = (sample * height + row + dy) * width + column + dx
    flattened = [
        ops.reshape(values, (-1, values.shape[-1])) for values in (samples[0], samples[1], samples[2][..., None])
    ]
    pixels, target, weight = (ops.take(values, index, axis=0) for values in flattened)
    return pixels, _rescale_distance(target, chip / ops.cast(side, "float32"), heads), weight[..., 0]


def _sample_nearest(dy: Any, dx: Any, side: Any, degrees: Any, chip: int) -> tuple[Any, Any]:
    """Return row and column of the nearest pixel in a scaled or rotated window, see core.datasets.chips."""
    scaled = [(2 * offset + 1) * side // (2 * chip) for offset in (dy, dx)]
    length = ops.cast(side, "float32")
    y, x = (((ops.cast(offset, "float32") + 0.5) / chip - 0.5) * length for offset in (dy, dx))
    angle = ops.cast(degrees, "float32") * (pi / 180)
    cos, sin = ops.cos(angle), ops.sin(angle)
    rotated = length / 2 + y * cos - x * sin, length / 2 + y * sin + x * cos
    row, column = (
        ops.where(degrees == 0, plain, ops.cast(ops.floor(turned), "int32"))
        for plain, turned in zip(scaled, rotated, strict=True)
    )
    return row, column


def _rescale_distance(target: Any, scale: Any, heads: Sequence[str]) -> Any:
    """Scale encoded distances (n, 1, 1) with the magnification of a crop, see core.datasets.chips."""
    channels = []
    for n, head in enumerate(heads):
        channel = ops.cast(target[..., n], "float32")
        if TARGETS[head] == "distance":
            channel = ops.where(
                scale == 1.0, channel, ops.clip(ops.round((channel - 128.0) * scale) + 128.0, 1.0, 255.0)
            )
        channels.append(channel)
    return ops.stack(channels, axis=-1)
