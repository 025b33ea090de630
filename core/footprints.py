"""Probability to polygons: outlines between the pixels, holes kept, each with its confidence.

A raster is traced in blocks, so that memory does not grow with it. A block looks a margin beyond its edge, and a
shape belongs to the block that holds the centre of its box.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import shapely
from affine import Affine
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.grids import Grid, area_m2
from core.rasters import grid_of, open_raster, read_window
from core.types import Geometries, Probability
from core.vectors import Footprints

BLOCK = 2048
#: How far a block looks beyond its edge: the usual overlap, then that for shapes it does not see whole.
#: A shape that reaches farther still (a kilometre at 0.5 m) is no building and is cut at the block's edge.
MARGINS = (128, 1024)
#: Corners sharper than this are cut when shapes grow, in multiples of the distance.
_MITRE_LIMIT = 2.5


class _Box(NamedTuple):
    """A part of a raster in pixels."""

    column: int
    row: int
    width: int
    height: int

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """First column and row, and those behind the last."""
        return self.column, self.row, self.column + self.width, self.row + self.height

    def widened(self, by: int, grid: Grid) -> "_Box":
        """`by` pixels more on every side, as far as the raster reaches."""
        left, top, right, bottom = self.bounds
        column, row = max(left - by, 0), max(top - by, 0)
        return _Box(column, row, min(right + by, grid.width) - column, min(bottom + by, grid.height) - row)


#: The probabilities of a part of the raster, (rows, columns).
_Reader: TypeAlias = Callable[[_Box], Probability]


@dataclass(frozen=True, eq=False)
class _Outlines:
    """Polygons in pixel coordinates of the whole raster, and the mean probability inside each."""

    polygons: Geometries
    confidence: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: list["_Outlines"]) -> "_Outlines":
        """All of them from top left to bottom right, so that the order does not depend on the blocks."""
        polygons = np.concatenate([part.polygons for part in parts])
        confidence = np.concatenate([part.confidence for part in parts])
        left, top, right, bottom = shapely.bounds(polygons).T
        order = np.lexsort((right, bottom, left, top))
        return cls(polygons[order], confidence[order])


def footprints(
    probability: Probability,
    grid: Grid,
    threshold: float = 0.5,
    min_area_m2: float = 5.0,
    simplify_px: float = 0.6,
    grow_px: float = 0.0,
    block: int = BLOCK,
) -> Footprints:
    """Polygons around everything above `threshold`, in the grid's CRS, numbered from top left to bottom right.

    `probability` is (rows, columns), 0 to 1; NaN and what lies below count as 0. Outlines are marching squares
    through pixel centres, so they run between pixels. `grow_px` moves them outward, for networks that were taught to
    leave out a border, after `simplify_px` dropped vertices nearer than that to the straight line. Shapes smaller than
    `min_area_m2` on the ground are left out (5 m² are SpaceNet's 20 pixels at 0.5 m). `confidence` is the mean
    probability inside the outline before it grows. `block` is the side of the squares it is traced in.
    """

    def read(box: _Box) -> Probability:
        left, top, right, bottom = box.bounds
        return probability[top:bottom, left:right]

    return _footprints(read, grid, _Tracing(threshold, simplify_px, grow_px), min_area_m2, block)


def footprints_of(
    path: Path,
    threshold: float = 0.5,
    min_area_m2: float = 5.0,
    simplify_px: float = 0.6,
    grow_px: float = 0.0,
    block: int = BLOCK,
) -> Footprints:
    """Like `footprints`, from the first band of a GeoTIFF, of which no more than a block is in memory.

    Raises what `open_raster` raises, and RasterWithoutCRS.
    """
    with open_raster(path) as dataset:

        def read(box: _Box) -> Probability:
            return np.asarray(read_window(dataset, box, (box.height, box.width))[0])

        tracing = _Tracing(threshold, simplify_px, grow_px)
        return _footprints(read, grid_of(dataset, path), tracing, min_area_m2, block)


def _footprints(read: _Reader, grid: Grid, tracing: "_Tracing", min_area_m2: float, block: int) -> Footprints:
    outlines = _Outlines.joined([tracing.block(read, core, grid) for core in _blocks(grid, block)])
    ground = grid.to_ground(outlines.polygons)
    large = area_m2(ground, grid.crs) >= min_area_m2
    return Footprints.of(ground[large], grid.crs, outlines.confidence[large])


def _blocks(grid: Grid, side: int) -> Iterator[_Box]:
    for row in range(0, grid.height, side):
        for column in range(0, grid.width, side):
            yield _Box(column, row, min(side, grid.width - column), min(side, grid.height - row))


@dataclass(frozen=True)
class _Tracing:
    """How outlines are drawn."""

    threshold: float
    simplify_px: float
    grow_px: float

    def block(self, read: _Reader, core: _Box, grid: Grid) -> _Outlines:
        """The outlines that belong to one block."""
        probability, window, polygons = self._owned(read, core, grid)
        # Simplified before they grow: a mitre on each step of a traced outline would draw spikes.
        polygons = np.asarray(shapely.simplify(polygons, self.simplify_px), dtype=object)
        confidence = _mean_inside(polygons, probability, window)
        if self.grow_px:
            polygons = shapely.buffer(polygons, self.grow_px, join_style="mitre", mitre_limit=_MITRE_LIMIT)
        return _solid(_within(polygons, shapely.box(0, 0, grid.width, grid.height)), confidence)

    def _owned(self, read: _Reader, core: _Box, grid: Grid) -> tuple[Probability, _Box, Geometries]:
        """The raw outlines whose box has its centre in the block, with the window they were seen in."""
        for margin in MARGINS:
            window = core.widened(margin, grid)
            probability = np.clip(np.nan_to_num(read(window)), 0, 1)
            polygons = self._contours(probability, window)
            polygons = polygons[_centred(polygons, core)]
            cut = _cut(polygons, window, grid)
            if not cut.any():
                return probability, window, polygons
        polygons[cut] = shapely.intersection(polygons[cut], shapely.box(*core.bounds))
        return probability, window, polygons[~shapely.is_empty(polygons)]

    def _contours(self, probability: Probability, window: _Box) -> Geometries:
        """Polygons by marching squares; a rim of zeros closes those that reach the window's edge."""
        contours = contour_generator(
            x=window.column - 0.5 + np.arange(window.width + 2),
            y=window.row - 0.5 + np.arange(window.height + 2),
            z=np.pad(probability, 1),
            fill_type=FillType.ChunkCombinedOffsetOffset,
        )
        points, rings, outers = (chunks[0] for chunks in contours.filled(self.threshold, np.inf))
        if points is None or rings is None or outers is None:
            return np.empty(0, object)
        made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, np.asarray(points), (rings, outers))
        return np.asarray(made, dtype=object)


def _centred(polygons: Geometries, core: _Box) -> NDArray[np.bool_]:
    """Whose box has its centre in the block."""
    left, top, right, bottom = core.bounds
    west, north, east, south = shapely.bounds(polygons).T
    x, y = (west + east) / 2, (north + south) / 2
    return np.asarray((left <= x) & (x < right) & (top <= y) & (y < bottom))


def _cut(polygons: Geometries, window: _Box, grid: Grid) -> NDArray[np.bool_]:
    """Which shapes go on beyond the window: they hold the centre of a pixel at one of its edges inside the raster."""
    left, top, right, bottom = window.bounds
    west, north, east, south = shapely.bounds(polygons).T
    across = (west <= left + 0.5) & (left > 0) | (east >= right - 0.5) & (right < grid.width)
    down = (north <= top + 0.5) & (top > 0) | (south >= bottom - 0.5) & (bottom < grid.height)
    return np.asarray(across | down)


def _within(polygons: Geometries, rim: shapely.Polygon) -> Geometries:
    """The part of each inside the raster; only those that leave it are touched."""
    left, top, right, bottom = rim.bounds
    west, north, east, south = shapely.bounds(polygons).T
    leaving = (west < left) | (north < top) | (east > right) | (south > bottom)
    inside = polygons.copy()
    inside[leaving] = shapely.intersection(polygons[leaving], rim)
    return inside


def _mean_inside(polygons: Geometries, probability: Probability, window: _Box) -> NDArray[np.float64]:
    """Mean probability of the pixels whose centres each polygon holds, else of the pixel it lies in."""
    if len(polygons) == 0:
        return np.empty(0)
    numbers = range(1, len(polygons) + 1)
    corner = Affine.translation(window.column, window.row)
    owner = rasterize(zip(polygons, numbers, strict=True), probability.shape, transform=corner, dtype="int32").ravel()
    pixels = np.bincount(owner, minlength=len(polygons) + 1)[1:]
    sums = np.bincount(owner, weights=probability.ravel(), minlength=len(polygons) + 1)[1:]
    return np.where(pixels > 0, sums / np.maximum(pixels, 1), _at(polygons, probability, window))


def _at(polygons: Geometries, probability: Probability, window: _Box) -> np.ndarray:
    """The probability of the pixel in which each polygon's inner point lies."""
    inner = shapely.point_on_surface(polygons)
    columns = np.clip(shapely.get_x(inner).astype(int) - window.column, 0, window.width - 1)
    rows = np.clip(shapely.get_y(inner).astype(int) - window.row, 0, window.height - 1)
    return np.asarray(probability[rows, columns])


def _solid(polygons: Geometries, confidence: NDArray[np.float64]) -> _Outlines:
    """Valid polygons only; a shape that falls apart gives all its parts the same confidence."""
    bad = ~shapely.is_valid(polygons)
    polygons = polygons.copy()
    polygons[bad] = shapely.make_valid(polygons[bad], method="structure", keep_collapsed=False)
    parts, whole = shapely.get_parts(polygons, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)  # a collection holds multipolygons
    solid = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0)
    return _Outlines(parts[solid], confidence[whole[inner]][solid])
