"""Lines of equal probability as polygons: marching squares, without the holes that are noise."""

import numpy as np
import shapely
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

from core.types import Geometries, Probability


def contours(
    probability: Probability, threshold: float, corner: tuple[int, int], least_hole: float = 0.0
) -> Geometries:
    """Polygons around what is above a threshold, in pixels; `corner` is the column and row of the first one.

    A rim of zeros closes those that reach the edge. Holes smaller than `least_hole` square pixels are filled: a network
    that is still to learn draws sponges of such holes, which GEOS takes up to 23 s a tile to simplify.
    """
    rows, columns = probability.shape
    lines = contour_generator(
        x=corner[0] - 0.5 + np.arange(columns + 2), y=corner[1] - 0.5 + np.arange(rows + 2), z=np.pad(probability, 1),
        fill_type=FillType.ChunkCombinedOffsetOffset,
    )  # fmt: skip
    points, rings, outers = (chunks[0] for chunks in lines.filled(_between(probability, threshold), np.inf))
    if points is None or rings is None or outers is None:
        return np.empty(0, object)
    parts = _without_holes(np.asarray(points), rings.astype(np.int64), outers.astype(np.int64), least_hole)
    made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, parts[0], parts[1:])
    return np.asarray(made, dtype=object)


def _between(probability: Probability, threshold: float) -> float:
    """The threshold; where pixels have that very value, a hair more: lines through a pixel leave rings of one point."""
    if not (probability == threshold).any():
        return threshold
    return (threshold + float(np.nextafter(np.float32(threshold), np.float32(np.inf)))) / 2


def _without_holes(
    points: NDArray[np.float64], rings: NDArray[np.int64], outers: NDArray[np.int64], least: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The same points, first points of rings, and first rings of polygons, but for rings inside that are too small."""
    kept = _areas(points, rings) >= least
    kept[outers[:-1]] = True
    if kept.all():
        return points, rings, outers
    lengths = np.diff(rings)
    return points[np.repeat(kept, lengths)], _starts(lengths[kept]), _starts(kept)[outers]


def _areas(points: NDArray[np.float64], rings: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) of each ring, in square pixels (Gauss's formula)."""
    x, y = points.T
    cross = np.zeros(len(points))
    cross[:-1] = x[:-1] * y[1:] - x[1:] * y[:-1]
    cross[rings[1:] - 1] = 0  # from the end of a ring to the start of the next
    return np.asarray(np.abs(np.add.reduceat(cross, rings[:-1])) / 2)


def _starts(lengths: NDArray) -> NDArray[np.int64]:
    """(n + 1,) where each of so many things begins, and the end of the last."""
    return np.concatenate([[0], np.cumsum(lengths)])
