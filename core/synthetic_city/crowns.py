"""Tree crowns: height stamps of leaf clumps, merged into the surface by maximum height."""

from collections import defaultdict

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from core.synthetic_city.palette import SWATCH

_VARIANTS = 6


def plant(
    height: NDArray[np.float32], swatch: NDArray[np.uint8], tone: NDArray[np.float32],
    east: NDArray[np.float32], south: NDArray[np.float32],
    trees: NDArray[np.float64], transform: Affine, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Changes the surface's arrays in place; trees are rows of x, y, radius, height (metres) and material."""
    gsd = transform.a
    crown, kind = np.zeros_like(height), np.zeros_like(swatch)
    colour = np.ones_like(tone)
    stamps: dict[tuple[int, bool], list[NDArray[np.float32]]] = defaultdict(list)
    column, row = ((trees[:, :2] - [transform.c, transform.f]) / gsd).round().astype(int).T
    for c, r, (_, _, radius, top, material) in zip(column, row, trees, strict=True):
        size, is_palm = max(2, round(radius / gsd)), material == SWATCH["palm"]
        shapes = stamps[size, is_palm]
        if len(shapes) < _VARIANTS:
            shapes.append(_palm(size, rng) if is_palm else _crown(size, rng))
        stamp = shapes[rng.integers(len(shapes))]
        _press(crown, kind, colour, stamp * top, r, c, int(material), rng.uniform(0.7, 1.3))
    visible = crown > height
    slope_south, slope_east = (np.gradient(crown, gsd, axis=axis) for axis in (0, 1))
    height[visible], swatch[visible], tone[visible] = crown[visible], kind[visible], colour[visible]
    east[visible], south[visible] = np.clip(slope_east[visible], -0.8, 0.8), np.clip(slope_south[visible], -0.8, 0.8)


def _press(
    crown: NDArray, kind: NDArray, colour: NDArray, stamp: NDArray, row: int, column: int, material: int, tone: float
) -> None:
    """Raises the crowns around (row, column) to the stamp, cut at the rim."""
    half = len(stamp) // 2
    top, left = row - half, column - half
    rows = slice(max(top, 0), min(top + len(stamp), crown.shape[0]))
    columns = slice(max(left, 0), min(left + len(stamp), crown.shape[1]))
    piece = stamp[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    higher = piece > crown[rows, columns]
    crown[rows, columns][higher] = piece[higher]
    kind[rows, columns][higher] = material
    colour[rows, columns][higher] = tone


def _grid(size: int) -> tuple[NDArray, NDArray, int]:
    half = int(size * 1.25) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1] / size
    return x, y, 2 * half + 1


def _crown(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Heights 0 to 1: many balls of leaves around a dome of `size` pixels' radius."""
    x, y, side = _grid(size)
    number = int(np.clip(size * 2.2, 6, 34))
    angle, reach = rng.uniform(0, 2 * np.pi, number), 0.85 * np.sqrt(rng.uniform(0, 1, number))
    ball = rng.uniform(0.2, 0.42, number)
    middle = 0.5 + 0.34 * np.sqrt(1 - reach**2) + rng.normal(0, 0.05, number)
    bx, by = reach * np.cos(angle), reach * np.sin(angle)
    square = ball**2 - (x[..., None] - bx) ** 2 - (y[..., None] - by) ** 2
    tops = np.where(square > 0, middle + 0.7 * np.sqrt(np.maximum(square, 0)), 0)
    ragged = tops.max(axis=2) * (1 + rng.normal(0, 0.035, (side, side)))
    return ragged.astype(np.float32)


def _palm(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Heights 0 to 1: fronds like a star."""
    x, y, _ = _grid(size)
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    fronds = rng.integers(7, 10)
    lobe = 0.5 + 0.5 * np.cos(fronds * angle + rng.uniform(0, 6))
    inside = distance < 0.35 + 0.75 * lobe**1.5
    return np.where(inside, 1 - 0.3 * distance - 0.15 * (1 - lobe), 0).astype(np.float32)
