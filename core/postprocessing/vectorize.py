"""Probability to polygons: adjoining houses apart, outlines between the pixels, holes kept, each with its confidence.

A raster is traced in blocks, so that memory does not grow with it. A block looks a margin beyond its edge, and a
shape belongs to the block that holds the centre of its box.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.geo.grid import Grid, area_m2
from core.geo.raster import grid_of, open_raster, read_window
from core.geo.vector import Footprints
from core.postprocessing.config import Shaping
from core.postprocessing.contours import contours
from core.postprocessing.regularize import squared
from core.postprocessing.watershed import parted
from core.runtime.prefetch import ahead
from core.types import Geometries, Probability

BLOCK = 2048
#: How far a block looks beyond its edge: the usual overlap, then that for shapes it does not see whole.
#: A shape that reaches farther still (a kilometre at 0.5 m) is no building and is cut at the block's edge.
MARGINS = (128, 1024)
#: Square metres of the smallest hole in a building.
HOLE_M2 = 5.0
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

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns of an array of the whole raster."""
        left, top, right, bottom = self.bounds
        return slice(top, bottom), slice(left, right)

    def widened(self, by: int, whole: "_Box") -> "_Box":
        """`by` pixels more on every side, as far as the raster reaches."""
        left, top, right, bottom = self.bounds
        column, row = max(left - by, 0), max(top - by, 0)
        return _Box(column, row, min(right + by, whole.width) - column, min(bottom + by, whole.height) - row)


#: The layers of a part of the raster, (rows, columns, 1 or 2): probability, and metres to the nearest wall.
_Reader: TypeAlias = Callable[[_Box], NDArray[np.float32]]


class Look(Protocol):
    """A second look at outlines before they are taken."""

    def __call__(
        self, polygons: Geometries, confidence: NDArray[np.float64], layers: NDArray[np.float32], pixel_m: float,
        corner: tuple[int, int], /,
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:  # fmt: skip
        """Which of them to keep, and the confidence of all of them; polygons in pixels, the first one is `corner`."""


@dataclass(frozen=True, eq=False)
class Traced:
    """Polygons in pixel coordinates of the whole raster, and the mean probability inside each."""

    polygons: Geometries
    confidence: NDArray[np.float64]

    def only(self, chosen: NDArray[np.bool_]) -> "Traced":
        """Some of them."""
        return Traced(self.polygons[chosen], self.confidence[chosen])

    @classmethod
    def joined(cls, parts: list["Traced"]) -> "Traced":
        """All of them from top left to bottom right, so that the order does not depend on the blocks."""
        polygons = np.concatenate([part.polygons for part in parts])
        confidence = np.concatenate([part.confidence for part in parts])
        left, top, right, bottom = shapely.bounds(polygons).T
        order = np.lexsort((right, bottom, left, top))
        return cls(polygons[order], confidence[order])


def footprints(
    layers: NDArray[np.float32], grid: Grid, shaping: Shaping | None = None, block: int = BLOCK,
    look: "Look | None" = None,
) -> Footprints:  # fmt: skip
    """Polygons around what is probable, in the grid's CRS, numbered from top left to bottom right.

    `layers` is (rows, columns), the probability, 0 to 1, or (rows, columns, 2) with the metres to the nearest wall; NaN
    and what lies below count as 0. Outlines are marching squares through pixel centres, so they run between pixels.
    `confidence` is the mean probability inside the outline before it grows, or what a second `look` makes of it.
    `block` is the side of the squares it is traced in.
    """
    stacked = layers if layers.ndim == 3 else layers[..., None]
    return _footprints(lambda box: stacked[box.slices], grid, shaping or Shaping(), block, look)


def footprints_of(
    path: Path, shaping: Shaping | None = None, block: int = BLOCK, look: "Look | None" = None
) -> Footprints:
    """Like `footprints`, from the bands of a GeoTIFF, of which no more than a block is in memory.

    Raises what `open_raster` raises, and RasterWithoutCRS.
    """
    with open_raster(path) as dataset:
        one_at_a_time = Lock()

        def read(box: _Box) -> NDArray[np.float32]:
            with one_at_a_time:
                return np.moveaxis(read_window(dataset, box, (box.height, box.width)), 0, -1)

        return _footprints(read, grid_of(dataset, path), shaping or Shaping(), block, look)


def trace(layers: NDArray[np.float32], shaping: Shaping, pixel_m: float) -> Traced:
    """Polygons in pixels of an array (rows, columns, 1 or 2) whose pixels are so many metres wide and high."""
    height, width = layers.shape[:2]
    whole = _Box(0, 0, width, height)
    tracing = _Tracing(shaping, whole, None, pixel_m)

    def read(box: _Box) -> NDArray[np.float32]:
        return layers[box.slices]

    found = tracing.block(read, whole, tracing.seen(read, whole, MARGINS[0]))
    return found.only(shapely.area(found.polygons) * pixel_m**2 >= shaping.min_area_m2)


def _footprints(read: _Reader, grid: Grid, shaping: Shaping, block: int, look: "Look | None") -> Footprints:
    tracing = _Tracing(shaping, _Box(0, 0, grid.width, grid.height), look, grid.gsd_m)
    blocks = list(_blocks(grid, block))
    with closing(ahead(partial(tracing.seen, read, margin=MARGINS[0]), blocks)) as seen:
        found = Traced.joined([tracing.block(read, *one) for one in zip(blocks, seen, strict=True)])
    ground = grid.to_ground(found.polygons)
    large = area_m2(ground, grid.crs) >= shaping.min_area_m2
    made = Footprints.of(ground[large], grid.crs, found.confidence[large])
    return squared(made) if shaping.square else made


def _blocks(grid: Grid, side: int) -> Iterator[_Box]:
    for row in range(0, grid.height, side):
        for column in range(0, grid.width, side):
            yield _Box(column, row, min(side, grid.width - column), min(side, grid.height - row))


class _Seen(NamedTuple):
    """A part of the raster as it is traced."""

    window: _Box
    layers: NDArray[np.float32]  #: (rows, columns, 1 or 2), nothing where there is no number
    apart: Probability  #: with lines between adjoining buildings


@dataclass(frozen=True)
class _Tracing:
    """How outlines are drawn, and in what."""

    shaping: Shaping
    whole: _Box
    look: "Look | None" = None
    pixel_m: float = 1.0

    def seen(self, read: _Reader, core: _Box, margin: int) -> _Seen:
        """A block and so many pixels around it, adjoining buildings apart; most of the work, and without shapely, so
        that a thread may do it.
        """
        window = core.widened(margin, self.whole)
        layers = np.array(read(window), order="K")  # planes stay planes: what follows goes over them one by one
        if not np.isfinite(layers).all():
            np.nan_to_num(layers, copy=False)
        np.clip(layers[..., 0], 0, 1, out=layers[..., 0])
        return _Seen(window, layers, self._apart(layers))

    def block(self, read: _Reader, core: _Box, seen: _Seen) -> Traced:
        """The outlines that belong to one block, of which this was seen first."""
        layers, window, polygons = self._owned(read, core, seen)
        # Simplified before they grow: a mitre on each step of a traced outline would draw spikes.
        polygons = np.asarray(shapely.simplify(polygons, self.shaping.simplify_px), dtype=object)
        confidence = _mean_inside(polygons, layers[..., 0], window)
        if self.shaping.grow_px:
            polygons = shapely.buffer(polygons, self.shaping.grow_px, join_style="mitre", mitre_limit=_MITRE_LIMIT)
        if self.look:
            kept, confidence = self.look(polygons, confidence, layers, self.pixel_m, (window.column, window.row))
            polygons, confidence = polygons[kept], confidence[kept]
        return _solid(_within(polygons, shapely.box(*self.whole.bounds)), confidence)

    def _owned(self, read: _Reader, core: _Box, seen: _Seen) -> tuple[NDArray[np.float32], _Box, Geometries]:
        """The raw outlines whose box has its centre in the block, with the window they were seen in."""
        for margin in MARGINS:
            window, layers, apart = seen if margin == MARGINS[0] else self.seen(read, core, margin)
            polygons = contours(apart, self.shaping.threshold, (window.column, window.row), self._least_hole)
            polygons = polygons[_centred(polygons, core)]
            cut = _cut(polygons, window, self.whole)
            if not cut.any():
                return layers, window, polygons
        polygons[cut] = shapely.intersection(polygons[cut], shapely.box(*core.bounds))
        return layers, window, polygons[~shapely.is_empty(polygons)]

    def _apart(self, layers: NDArray[np.float32]) -> Probability:
        if layers.shape[-1] < 2 or not self.shaping.seed:
            return layers[..., 0]
        return parted(layers, self.shaping.threshold, self.shaping.seed)

    @property
    def _least_hole(self) -> float:
        """In square pixels; no larger than the smallest building, so that nothing in a filled hole is one."""
        return min(self.shaping.min_area_m2, HOLE_M2) / self.pixel_m**2


def _centred(polygons: Geometries, core: _Box) -> NDArray[np.bool_]:
    """Whose box has its centre in the block."""
    left, top, right, bottom = core.bounds
    west, north, east, south = shapely.bounds(polygons).T
    x, y = (west + east) / 2, (north + south) / 2
    return np.asarray((left <= x) & (x < right) & (top <= y) & (y < bottom))


def _cut(polygons: Geometries, window: _Box, whole: _Box) -> NDArray[np.bool_]:
    """Which shapes go on beyond the window: they hold the centre of a pixel at one of its edges inside the raster."""
    left, top, right, bottom = window.bounds
    west, north, east, south = shapely.bounds(polygons).T
    across = (west <= left + 0.5) & (left > 0) | (east >= right - 0.5) & (right < whole.width)
    down = (north <= top + 0.5) & (top > 0) | (south >= bottom - 0.5) & (bottom < whole.height)
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
    inside = np.flatnonzero(owner)  # a fraction of all pixels, as a rule
    owner = owner[inside] - 1
    pixels = np.bincount(owner, minlength=len(polygons))
    sums = np.bincount(owner, weights=probability.ravel()[inside], minlength=len(polygons))
    return np.where(pixels > 0, sums / np.maximum(pixels, 1), _at(polygons, probability, window))


def _at(polygons: Geometries, probability: Probability, window: _Box) -> np.ndarray:
    """The probability of the pixel in which each polygon's inner point lies."""
    inner = shapely.point_on_surface(polygons)
    columns = np.clip(shapely.get_x(inner).astype(int) - window.column, 0, window.width - 1)
    rows = np.clip(shapely.get_y(inner).astype(int) - window.row, 0, window.height - 1)
    return np.asarray(probability[rows, columns])


def _solid(polygons: Geometries, confidence: NDArray[np.float64]) -> Traced:
    """Valid polygons only; a shape that falls apart gives all its parts the same confidence."""
    bad = ~shapely.is_valid(polygons)
    polygons = polygons.copy()
    polygons[bad] = shapely.make_valid(polygons[bad], method="structure", keep_collapsed=False)
    parts, whole = shapely.get_parts(polygons, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)  # a collection holds multipolygons
    solid = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > 0)
    return Traced(parts[solid], confidence[whole[inner]][solid])
