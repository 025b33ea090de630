"""Contour polygons of a probability map: marching squares, small holes filled."""

import numpy as np
import shapely
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

from core.types import Geometries, Probability


def contours(
    probability: Probability, threshold: float, corner: tuple[int, int], min_hole_area: float = 0.0
) -> Geometries:
    """Trace polygons around pixels above a threshold, with sub-pixel vertices.

    A rim of zeros closes polygons that reach the edge. Untrained networks predict sponges of tiny holes, which GEOS
    takes up to 23 s a tile to simplify, so small holes are filled.

    Args:
        probability: (rows, cols) float32.
        threshold: Level of the contour.
        corner: Column and row of the first pixel.
        min_hole_area: Smaller holes are filled [square pixels].

    Returns:
        (n,) polygons in pixel coordinates.
    """
    rows, columns = probability.shape
    lines = contour_generator(
        x=corner[0] - 0.5 + np.arange(columns + 2), y=corner[1] - 0.5 + np.arange(rows + 2), z=np.pad(probability, 1),
        fill_type=FillType.ChunkCombinedOffsetOffset,
    )  # fmt: skip
    if (probability == threshold).any():  # lines through pixel centers leave rings of one point
        threshold = (threshold + float(np.nextafter(np.float32(threshold), np.float32(np.inf)))) / 2
    points, rings, outers = (chunks[0] for chunks in lines.filled(threshold, np.inf))
    if points is None or rings is None or outers is None:
        return np.empty(0, object)
    arrays = _fill_small_holes(np.asarray(points), rings.astype(np.int64), outers.astype(np.int64), min_hole_area)
    polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, arrays[0], arrays[1:])
    return np.asarray(polygons, dtype=object)


def _fill_small_holes(
    points: NDArray[np.float64], rings: NDArray[np.int64], outers: NDArray[np.int64], min_area: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Remove inner rings smaller than `min_area` from points, ring offsets and polygon offsets."""
    is_large = _ring_areas(points, rings) >= min_area
    is_large[outers[:-1]] = True
    if is_large.all():
        return points, rings, outers
    lengths = np.diff(rings)
    return points[np.repeat(is_large, lengths)], _offsets(lengths[is_large]), _offsets(is_large)[outers]


def _ring_areas(points: NDArray[np.float64], rings: NDArray[np.int64]) -> NDArray[np.float64]:
    """Area of each ring by the shoelace formula, (n,) [square pixels]."""
    x, y = points.T
    cross = np.zeros(len(points))
    cross[:-1] = x[:-1] * y[1:] - x[1:] * y[:-1]
    cross[rings[1:] - 1] = 0  # from the end of a ring to the start of the next
    return np.asarray(np.abs(np.add.reduceat(cross, rings[:-1])) / 2)


def _offsets(lengths: NDArray) -> NDArray[np.int64]:
    """Start of each group and the end of the last, (n + 1,)."""
    return np.concatenate([[0], np.cumsum(lengths)])
