"""What a network learns from: outlines in pixels, building mask, signed distance, boundary and contact masks.

The first three are the labels of the thesis; the distance is that of Yuan 2016 (arXiv 1602.06564), in metres.
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

#: Metres at which the signed distance is clipped.
CLIP_M = 64.0
#: Width of the line drawn along every wall, in metres.
BOUNDARY_M = 1.5
#: Two buildings nearly touch where less than this lies between them, in metres.
CONTACT_M = 3.0
#: Where one class of building sizes ends and the next begins, in square metres.
SIZES_M2 = (25, 50, 100, 200, 400, 800)
INSIDE = 255
_WGS84 = pyproj.Geod(ellps="WGS84")
#: Outlines nearer than this to the rim of the tile are where a footprint was cut, not a wall.
_RIM_PX = 0.5


@dataclass(frozen=True)
class Labels:
    """Footprints of one tile, in tile pixels (column, row) and on the ground (the grid's CRS)."""

    grid: Grid
    pixels: Geometries
    ground: Geometries

    @classmethod
    def of(cls, grid: Grid, footprints: Footprints) -> "Labels":
        """Footprints brought onto a grid by the inverse affine; those without a CRS are pixels of it already.

        Left out are footprints so far away that the grid's projection does not reach them.
        """
        shapes = footprints.geometries
        if footprints.crs is None:
            return cls(grid, shapes, grid.to_ground(shapes))
        ground = reproject(shapes, footprints.crs, grid.crs)
        ground = ground[np.isfinite(shapely.bounds(ground)).all(axis=1)] if len(ground) else ground
        return cls(grid, grid.to_pixels(ground), ground)

    def at_most(self, longest: int) -> "Labels":
        """The same buildings on a grid with no side of more pixels; itself where it has none."""
        shrink = longest / max(self.grid.shape)
        if shrink >= 1:
            return self
        grid = self.grid.resized(*(max(1, round(side * shrink)) for side in (self.grid.width, self.grid.height)))
        return Labels(grid, grid.to_pixels(self.ground), self.ground)

    def near(self, metres: float = 0.0) -> "Labels":
        """Only the buildings that touch the image, or the ground so many metres around it."""
        across, down = (metres / side for side in self.grid.pixel_m)
        ground = shapely.box(-across, -down, self.grid.width + across, self.grid.height + down)
        there = shapely.intersects(self.pixels, ground)
        return Labels(self.grid, self.pixels[there], self.ground[there])

    def moved(self, east_m: float, north_m: float) -> "Labels":
        """The same buildings so many metres further east and north on the ground."""
        if (east_m, north_m) == (0.0, 0.0) or not len(self):
            return self
        # Of the image, not of the labels: some of them may lie far beside it, where a metre is another step.
        centre = self.grid.rim.centroid
        [lonlat] = reproject(np.array([centre]), self.grid.crs, LONLAT)
        lon, lat, _ = _WGS84.fwd(lonlat.x, lonlat.y, degrees(atan2(east_m, north_m)), hypot(east_m, north_m))
        [there] = reproject(np.array([shapely.Point(lon, lat)]), LONLAT, self.grid.crs)
        step = np.array([there.x - centre.x, there.y - centre.y])
        ground = shapely.transform(self.ground, lambda xy: xy + step)
        return Labels(self.grid, self.grid.to_pixels(ground), ground)

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def mask(self) -> Mask:
        """(rows, columns) uint8: 255 where a pixel's centre lies in a building, else 0 (solaris's convention)."""
        return _burn(self.pixels, self.grid)

    @cached_property
    def distance(self) -> Distance:
        """(rows, columns) float32: metres to the nearest wall, positive inside, clipped at ±64.

        Centre-to-centre distances less half a pixel, so that a wall lies between two pixels on both sides alike.
        """
        return signed_distance(self.mask, self.grid.pixel_m)

    @cached_property
    def own_distance(self) -> Distance:
        """(rows, columns) float32: as `distance`, but inside a building to its own wall, also where others adjoin."""
        return signed_distance(self._numbered, self.grid.pixel_m)

    @cached_property
    def _numbered(self) -> NDArray[np.uint32]:
        """(rows, columns): the number of the building that a pixel's centre lies in, from 1; 0 outside."""
        if len(self) == 0:
            return np.zeros(self.grid.shape, np.uint32)
        numbers = zip(self.pixels, range(1, len(self) + 1), strict=True)
        return np.asarray(rasterize(numbers, out_shape=self.grid.shape, dtype="uint32"))

    @cached_property
    def boundary(self) -> Mask:
        """(rows, columns) uint8: 255 on a line of 1.5 m along every wall, also between adjoining houses.

        Not along the tile's rim, where footprints are merely cut.
        """
        inside = shapely.box(_RIM_PX, _RIM_PX, self.grid.width - _RIM_PX, self.grid.height - _RIM_PX)
        walls = np.asarray(shapely.intersection(shapely.boundary(self.pixels), inside))
        walls = walls[~shapely.is_empty(walls)]
        return _burn(self._in_metres(walls, BOUNDARY_M / 2, "mitre"), self.grid)

    @cached_property
    def contact(self) -> Mask:
        """(rows, columns) uint8: 255 where two buildings nearly touch.

        That is within 1.5 m of at least two of them, walls they share included.
        """
        count = _burn(self._in_metres(self.pixels, CONTACT_M / 2, "round"), self.grid, value=1, merge=MergeAlg.add)
        return np.where(count >= 2, INSIDE, 0).astype(np.uint8)

    @cached_property
    def area_m2(self) -> np.ndarray:
        """Square metres on the ground, one a building."""
        return Footprints.of(self.ground, self.grid.crs).area_m2

    def area_counts(self) -> dict[str, int]:
        """How many buildings are of which size; sizes in square metres, in words and in order."""
        places = np.searchsorted(SIZES_M2, self.area_m2, side="right")
        counts = np.bincount(places, minlength=len(SIZES_M2) + 1)
        between = [f"{low}–{high}" for low, high in pairwise(SIZES_M2)]
        return dict(zip([f"< {SIZES_M2[0]}", *between, f"≥ {SIZES_M2[-1]}"], counts.tolist(), strict=True))

    @property
    def built_share(self) -> float:
        """Share of the tile's pixels that are building."""
        return float(np.count_nonzero(self.mask)) / self.mask.size

    def outlines(self, image: str) -> Footprints:
        """The footprints in pixel coordinates, as SpaceNet's PolygonWKT_Pix has them."""
        return Footprints.of(self.pixels, None, image=image, images=(image,))

    def _in_metres(self, shapes: Geometries, radius_m: float, corners: Literal["mitre", "round"]) -> Geometries:
        """Shapes of pixels widened by metres, the same on the ground in both axes."""
        across, down = self.grid.pixel_m
        ground = shapely.transform(shapes, lambda xy: xy * (across, down))
        wide = shapely.buffer(ground, radius_m, join_style=corners)
        return shapely.transform(wide, lambda xy: xy / (across, down))


def _burn(shapes: Geometries, grid: Grid, value: int = INSIDE, merge: MergeAlg = MergeAlg.replace) -> Mask:
    """Pixels whose centre lies in a shape."""
    if len(shapes) == 0:
        return np.zeros(grid.shape, np.uint8)
    return rasterize(shapes, out_shape=grid.shape, default_value=value, merge_alg=merge, dtype="uint8")


def signed_distance(
    buildings: Mask | NDArray[np.uint32], pixel_m: tuple[float, float], clip_m: float = CLIP_M
) -> Distance:
    """Metres from every pixel to the nearest pixel of another kind, less half a pixel; positive where not 0.

    `buildings` is (rows, columns): a mask, or the number of the building at each pixel; then walls between adjoining
    ones count. One exact Euclidean transform (Felzenszwalb and Huttenlocher 2012, package edt) of the image of labels
    instead of one a side. Where there is but one kind of pixel the distance is the clip.
    """
    inside = buildings != 0
    if not inside.any() or (buildings == buildings.flat[0]).all():
        return np.full(buildings.shape, clip_m if inside.any() else -clip_m, np.float32)
    across, down = pixel_m
    labels = inside.view(np.uint8) + np.uint8(1) if buildings.dtype == np.uint8 else buildings + np.uint32(1)
    distance: Distance = edt.edt(labels, anisotropy=(down, across), black_border=False)
    # Half a pixel, but never so much of a long thin one that a distance changes its sign.
    distance -= min((across + down) / 4, across, down)
    np.negative(distance, out=distance, where=~inside)
    return np.clip(distance, -clip_m, clip_m, out=distance)
