"""Training targets: mask, boundary and encoded distance rasters."""

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.labels.labels import Labels
from core.types import Distance, Mask
from models.registry import REACH_M


def drawn_target(labels: Labels, name: str, border_px: float) -> NDArray[np.uint8]:
    """(rows, columns) uint8: one layer of the target, see models.registry.TARGETS."""
    if name == "inner":
        return building_target(labels, border_px)
    if name == "mask":
        return np.minimum(labels.mask, 1)
    if name == "edge":
        return np.minimum(labels.boundary | labels.contact, 1)
    return encoded(labels.own_distance)


def encoded(distance: Distance) -> NDArray[np.uint8]:
    """Metres as 1 to 255, 128 for a wall, in steps of 5 cm; beyond ±REACH_M the last."""
    levels = np.clip(distance / REACH_M, -1, 1) * np.float32(127) + np.float32(128)
    return np.round(levels).astype(np.uint8)


def building_target(labels: Labels, border_px: float) -> Mask:
    """(rows, columns) uint8: 1 where a pixel's centre is in a building and more than `border_px` from every wall.

    Along the tile's rim there is no border: footprints are merely cut there.
    """
    target = np.minimum(labels.mask, 1)
    inside = shapely.box(1, 1, labels.grid.width - 1, labels.grid.height - 1)
    walls = shapely.intersection(shapely.boundary(labels.pixels), inside)
    border = shapely.buffer(walls, border_px, quad_segs=16)
    border = border[~shapely.is_empty(border)]
    if len(border):
        rasterize(border, out=target, default_value=0)
    return target
