"""Training targets: mask, boundary and encoded distance layers of labels."""

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.labels.labels import Labels
from core.types import Distance, Mask
from models.registry import DISTANCE_RANGE_M


def rasterize_target(labels: Labels, name: str, border_px: float) -> NDArray[np.uint8]:
    """Rasterize one layer of the training target, see models.registry.TARGETS.

    Args:
        labels: Labels of the tile.
        name: Value of TARGETS.
        border_px: Width of the border of "inner" [px].

    Returns:
        (rows, cols) uint8.
    """
    if name == "inner":
        return building_target(labels, border_px)
    if name == "mask":
        return np.minimum(labels.mask, 1)
    if name == "edge":
        return np.minimum(labels.boundary_mask | labels.contact_mask, 1)
    return encode_distance(labels.instance_distance)


def encode_distance(distance: Distance) -> NDArray[np.uint8]:
    """Encode a distance as uint8 in steps of 5 cm.

    Args:
        distance: Signed distance [m], (rows, cols).

    Returns:
        1 to 255, 128 on the boundary, clipped at ±DISTANCE_RANGE_M, (rows, cols) uint8.
    """
    levels = np.clip(distance / DISTANCE_RANGE_M, -1, 1) * np.float32(127) + np.float32(128)
    return np.round(levels).astype(np.uint8)


def building_target(labels: Labels, border_px: float) -> Mask:
    """Rasterize the building mask without a border along its boundaries.

    Footprints are merely clipped at the edge of the tile, so there is no border.

    Args:
        labels: Labels of the tile.
        border_px: Width of the border [px].

    Returns:
        (rows, cols) uint8: 1 inside, else 0.
    """
    target = np.minimum(labels.mask, 1)
    inside = shapely.box(1, 1, labels.grid.width - 1, labels.grid.height - 1)
    boundaries = shapely.intersection(shapely.boundary(labels.pixels), inside)
    border = shapely.buffer(boundaries, border_px, quad_segs=16)
    border = border[~shapely.is_empty(border)]
    if len(border):
        rasterize(border, out=target, default_value=0)
    return target
