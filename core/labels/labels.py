"""Training labels of a tile: footprints in pixels, building mask, signed distance, boundary and contact masks.

Footprints, mask and distance are the labels of the thesis; the distance is that of Yuan 2016 (arXiv 1602.06564), in
meters.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import atan2, degrees, hypot
from typing import Literal

import edt
import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from rasterio.enums import MergeAlg
from rasterio.features import rasterize

from core.geo.grid import LONLAT, Grid, reproject
from core.geo.vector import Footprints
from core.types import Distance, Geometries, Mask

#: Clip of the signed distance [m].
CLIP_M = 64.0
#: Width of the boundary mask [m].
BOUNDARY_M = 1.5
#: Maximum gap between two buildings in the contact mask [m].
CONTACT_M = 3.0
#: Limits of the size classes of buildings [m²].
SIZE_CLASSES_M2 = (25, 50, 100, 200, 400, 800)
INSIDE = 255
_WGS84 = pyproj.Geod(ellps="WGS84")
#: Outlines closer than this to the edge of the tile are clipped footprints, not boundaries [px].
_EDGE_PX = 0.5


@dataclass(frozen=True)
class Labels:
    """Footprints of one tile, in pixels (column, row) and in the CRS of its grid; rasters are computed on demand."""

    grid: Grid
    pixels: Geometries
    map_footprints: Geometries

    @classmethod
    def of(cls, grid: Grid, footprints: Footprints) -> "Labels":
        """Transform footprints to a grid; those without a CRS are pixels of it already.

        Footprints outside the domain of the grid's projection are left out.
        """
        shapes = footprints.geometries
        if footprints.crs is None:
            return cls(grid, shapes, grid.to_map(shapes))
        in_map_crs = reproject(shapes, footprints.crs, grid.crs)
        in_map_crs = in_map_crs[np.isfinite(shapely.bounds(in_map_crs)).all(axis=1)] if len(in_map_crs) else in_map_crs
        return cls(grid, grid.to_pixels(in_map_crs), in_map_crs)

    def at_most(self, max_side: int) -> "Labels":
        """Return the labels on a grid whose sides have at most `max_side` pixels."""
        scale = max_side / max(self.grid.shape)
        if scale >= 1:
            return self
        grid = self.grid.resized(*(max(1, round(side * scale)) for side in (self.grid.width, self.grid.height)))
        return Labels(grid, grid.to_pixels(self.map_footprints), self.map_footprints)

    def near(self, margin_m: float = 0.0) -> "Labels":
        """Select the buildings that intersect the image, extended by a margin [m]."""
        dx, dy = (margin_m / side for side in self.grid.pixel_m)
        area = shapely.box(-dx, -dy, self.grid.width + dx, self.grid.height + dy)
        selected = shapely.intersects(self.pixels, area)
        return Labels(self.grid, self.pixels[selected], self.map_footprints[selected])

    def with_offset(self, east_m: float, north_m: float) -> "Labels":
        """Shift the buildings east and north on the ground [m]."""
        if (east_m, north_m) == (0.0, 0.0) or not len(self):
            return self
        # At the center of the image: labels may lie far beside it, where a meter is another step.
        center = self.grid.outline.centroid
        [lonlat] = reproject(np.array([center]), self.grid.crs, LONLAT)
        lon, lat, _ = _WGS84.fwd(lonlat.x, lonlat.y, degrees(atan2(east_m, north_m)), hypot(east_m, north_m))
        [target] = reproject(np.array([shapely.Point(lon, lat)]), LONLAT, self.grid.crs)
        offset = np.array([target.x - center.x, target.y - center.y])
        shifted = shapely.transform(self.map_footprints, lambda xy: xy + offset)
        return Labels(self.grid, self.grid.to_pixels(shifted), shifted)

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def mask(self) -> Mask:
        """Rasterize the building mask.

        Returns:
            (rows, cols) uint8: 255 where the center of a pixel is in a building, else 0 (the convention of solaris).
        """
        return _rasterize(self.pixels, self.grid)

    @cached_property
    def distance(self) -> Distance:
        """Compute the signed distance to the nearest boundary.

        Distances between pixel centers are reduced by half a pixel, so that a boundary lies midway between two pixels.

        Returns:
            Distance [m], positive inside, clipped at ±64, (rows, cols) float32.
        """
        return signed_distance(self.mask, self.grid.pixel_m)

    @cached_property
    def instance_distance(self) -> Distance:
        """Compute the signed distance to a building's own boundary, even where buildings adjoin.

        Returns:
            Distance [m] like `distance`, (rows, cols) float32.
        """
        return signed_distance(self.instance_mask, self.grid.pixel_m)

    @cached_property
    def instance_mask(self) -> NDArray[np.uint32]:
        """Rasterize the instance mask.

        Returns:
            Number of the building at the center of a pixel, from 1; 0 outside, (rows, cols) uint32.
        """
        if len(self) == 0:
            return np.zeros(self.grid.shape, np.uint32)
        numbers = zip(self.pixels, range(1, len(self) + 1), strict=True)
        return np.asarray(rasterize(numbers, out_shape=self.grid.shape, dtype="uint32"))

    @cached_property
    def boundary_mask(self) -> Mask:
        """Rasterize the boundary mask: a line of 1.5 m along every boundary, even between adjoining buildings.

        The edge of the tile is left out: footprints are merely clipped there.

        Returns:
            (rows, cols) uint8: 255 on the line, else 0.
        """
        inside = shapely.box(_EDGE_PX, _EDGE_PX, self.grid.width - _EDGE_PX, self.grid.height - _EDGE_PX)
        boundaries = np.asarray(shapely.intersection(shapely.boundary(self.pixels), inside))
        boundaries = boundaries[~shapely.is_empty(boundaries)]
        return _rasterize(self._buffer_m(boundaries, BOUNDARY_M / 2, "mitre"), self.grid)

    @cached_property
    def contact_mask(self) -> Mask:
        """Rasterize the contact mask: narrow gaps between buildings and shared walls.

        Returns:
            (rows, cols) uint8: 255 within 1.5 m of at least two buildings, else 0.
        """
        count = _rasterize(self._buffer_m(self.pixels, CONTACT_M / 2, "round"), self.grid, value=1, merge=MergeAlg.add)
        return np.where(count >= 2, INSIDE, 0).astype(np.uint8)

    @cached_property
    def area_m2(self) -> np.ndarray:
        """Return the area of each building on the ground [m²], (n,) float64."""
        return Footprints.of(self.map_footprints, self.grid.crs).area_m2

    def area_counts(self) -> dict[str, int]:
        """Count the buildings by size class [m²], in order."""
        classes = np.searchsorted(SIZE_CLASSES_M2, self.area_m2, side="right")
        counts = np.bincount(classes, minlength=len(SIZE_CLASSES_M2) + 1)
        labels = [f"{low}–{high}" for low, high in pairwise(SIZE_CLASSES_M2)]
        return dict(zip([f"< {SIZE_CLASSES_M2[0]}", *labels, f"≥ {SIZE_CLASSES_M2[-1]}"], counts.tolist(), strict=True))

    @property
    def built_share(self) -> float:
        """Compute the share of pixels that are building."""
        return float(np.count_nonzero(self.mask)) / self.mask.size

    def outlines(self, image: str) -> Footprints:
        """Return the footprints in pixel coordinates, as in SpaceNet's PolygonWKT_Pix."""
        return Footprints.of(self.pixels, None, image=image, images=(image,))

    def _buffer_m(self, shapes: Geometries, radius_m: float, join_style: Literal["mitre", "round"]) -> Geometries:
        """Buffer pixel shapes by a radius [m], the same on the ground in both axes."""
        pixel_width, pixel_height = self.grid.pixel_m
        scaled = shapely.transform(shapes, lambda xy: xy * (pixel_width, pixel_height))
        buffered = shapely.buffer(scaled, radius_m, join_style=join_style)
        return shapely.transform(buffered, lambda xy: xy / (pixel_width, pixel_height))


def _rasterize(shapes: Geometries, grid: Grid, value: int = INSIDE, merge: MergeAlg = MergeAlg.replace) -> Mask:
    """Rasterize shapes: pixels whose center lies in one."""
    if len(shapes) == 0:
        return np.zeros(grid.shape, np.uint8)
    return rasterize(shapes, out_shape=grid.shape, default_value=value, merge_alg=merge, dtype="uint8")


def signed_distance(
    buildings: Mask | NDArray[np.uint32], pixel_m: tuple[float, float], clip_m: float = CLIP_M
) -> Distance:
    """Compute the signed distance to the nearest boundary by an exact Euclidean distance transform.

    One transform of the label image (Felzenszwalb and Huttenlocher 2012, package edt) replaces one for each side.

    Args:
        buildings: Building mask, or instance mask to count the boundaries between adjoining buildings, (rows, cols).
        pixel_m: Width and height of a pixel [m].
        clip_m: Clip of the distance [m]; also its value in an image of only buildings or none.

    Returns:
        Distance to the nearest pixel of another instance less half a pixel [m], positive inside, (rows, cols) float32.
    """
    inside = buildings != 0
    if not inside.any() or (buildings == buildings.flat[0]).all():
        return np.full(buildings.shape, clip_m if inside.any() else -clip_m, np.float32)
    width, height = pixel_m
    labels = inside.view(np.uint8) + np.uint8(1) if buildings.dtype == np.uint8 else buildings + np.uint32(1)
    distance: Distance = edt.edt(labels, anisotropy=(height, width), black_border=False)
    # Half a pixel, but at most a side of an elongated one, so that no distance changes its sign.
    distance -= min((width + height) / 4, width, height)
    np.negative(distance, out=distance, where=~inside)
    return np.clip(distance, -clip_m, clip_m, out=distance)
