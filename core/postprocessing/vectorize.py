"""Vectorization of a probability map: instance separation, contours with sub-pixel vertices and holes, confidence.

A raster is processed in blocks, so memory does not grow with it. A block is read with a margin, and a polygon belongs
to the block that holds the center of its bounding box.
"""

from collections.abc import Callable
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
from core.geo.windows import PixelWindow
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.contours import contours
from core.postprocessing.regularize import regularize
from core.postprocessing.watershed import separate_instances
from core.runtime.prefetch import prefetch
from core.types import Geometries, Probability

BLOCK = 2048
#: Margin of a block [pixels]: the usual one, then the one for polygons that reach beyond it.
#: A polygon that reaches even farther (a kilometer at 0.5 m) is no building and is cut at the edge of the block.
MARGINS = (128, 1024)
#: Minimum area of a hole in a building [m²].
HOLE_M2 = 5.0
#: Mitre limit of the outward buffer, in multiples of its distance.
_MITRE_LIMIT = 2.5


#: Reads the layers of a window, (rows, cols, 1 or 2): probability, and distance to the nearest boundary [m].
_Reader: TypeAlias = Callable[[PixelWindow], NDArray[np.float32]]


class Rescorer(Protocol):
    """Filter of polygons that also sets their confidence: calibration, or the second-stage classifier."""

    def __call__(
        self, polygons: Geometries, confidence: NDArray[np.float64], layers: NDArray[np.float32], pixel_m: float,
        corner: tuple[int, int], /,
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:  # fmt: skip
        """Choose polygons and set the confidence of all of them.

        Args:
            polygons: (n,) polygons in pixel coordinates of the raster.
            confidence: (n,) mean probability inside each.
            layers: Probability and distance [m] of a window, (rows, cols, 1 or 2) float32.
            pixel_m: Side of a pixel [m].
            corner: Column and row of the first pixel of the layers.

        Returns:
            (n,) bool, the polygons to keep, and their confidence, (n,) float64.
        """


@dataclass(frozen=True, eq=False)
class PolygonSet:
    """Polygons in pixel coordinates of the raster, with their confidence."""

    polygons: Geometries
    confidence: NDArray[np.float64]

    def only(self, chosen: NDArray[np.bool_]) -> "PolygonSet":
        """Select polygons.

        Args:
            chosen: (n,) bool, or indices.

        Returns:
            The selected polygons.
        """
        return PolygonSet(self.polygons[chosen], self.confidence[chosen])

    @classmethod
    def concatenate(cls, sets: list["PolygonSet"]) -> "PolygonSet":
        """Join sets and sort them from top left to bottom right, so that the order does not depend on the blocks."""
        polygons = np.concatenate([group.polygons for group in sets])
        confidence = np.concatenate([group.confidence for group in sets])
        left, top, right, bottom = shapely.bounds(polygons).T
        order = np.lexsort((right, bottom, left, top))
        return cls(polygons[order], confidence[order])


def footprints(
    layers: NDArray[np.float32], grid: Grid, config: VectorizeConfig | None = None, block: int = BLOCK,
    rescorer: "Rescorer | None" = None,
) -> Footprints:  # fmt: skip
    """Vectorize a probability map to footprints in the CRS of its grid, numbered from top left to bottom right.

    Outlines are marching squares through pixel centers, so vertices lie between pixels. NaN and values below 0 count
    as 0.

    Args:
        layers: Probability, (rows, cols), or with the distance to the nearest boundary [m], (rows, cols, 2) float32.
        grid: Georeference of the layers.
        config: Post-processing settings.
        block: Side of the blocks it is processed in [pixels].
        rescorer: Sets the confidence, which is else the mean probability inside the outline before it grows.

    Returns:
        Footprints with confidence.
    """
    stacked, whole = layers if layers.ndim == 3 else layers[..., None], PixelWindow(0, 0, grid.width, grid.height)
    return _footprints(lambda window: stacked[window.slices(whole)], grid, config or VectorizeConfig(), block, rescorer)


def vectorize_layers(
    path: Path, config: VectorizeConfig | None = None, block: int = BLOCK, rescorer: "Rescorer | None" = None
) -> Footprints:
    """Vectorize the bands of a GeoTIFF, of which no more than a block is in memory.

    Args:
        path: Probability, and distance [m] in a second band.
        config: Post-processing settings.
        block: Side of the blocks it is processed in [pixels].
        rescorer: Sets the confidence.

    Returns:
        Footprints with confidence, in the CRS of the file.

    Raises:
        RasterWithoutCRS: The file has no georeference.
    """
    with open_raster(path) as dataset:
        lock = Lock()

        def read(window: PixelWindow) -> NDArray[np.float32]:
            with lock:
                return np.moveaxis(read_window(dataset, window), 0, -1)

        return _footprints(read, grid_of(dataset, path), config or VectorizeConfig(), block, rescorer)


def trace_polygons(layers: NDArray[np.float32], config: VectorizeConfig, pixel_m: float) -> PolygonSet:
    """Vectorize an array in memory to polygons in its pixels.

    Args:
        layers: Probability, and distance [m], (rows, cols, 1 or 2) float32.
        config: Post-processing settings.
        pixel_m: Side of a pixel [m].

    Returns:
        Polygons of at least the minimum area.
    """
    height, width = layers.shape[:2]
    whole = PixelWindow(0, 0, width, height)
    vectorizer = _BlockVectorizer(config, whole, None, pixel_m)

    def read(window: PixelWindow) -> NDArray[np.float32]:
        return layers[window.slices(whole)]

    polygons = vectorizer.vectorize_block(read, whole, vectorizer.read_block(read, whole, MARGINS[0]))
    return polygons.only(shapely.area(polygons.polygons) * pixel_m**2 >= config.min_area_m2)


def _footprints(
    read: _Reader, grid: Grid, config: VectorizeConfig, block: int, rescorer: "Rescorer | None"
) -> Footprints:
    """Vectorize block by block; a thread reads and separates the next one meanwhile."""
    vectorizer = _BlockVectorizer(config, PixelWindow(0, 0, grid.width, grid.height), rescorer, grid.gsd_m)
    blocks = [
        PixelWindow(column, row, min(block, grid.width - column), min(block, grid.height - row))
        for row in range(0, grid.height, block)
        for column in range(0, grid.width, block)
    ]
    with closing(prefetch(partial(vectorizer.read_block, read, margin=MARGINS[0]), blocks)) as layers:
        polygons = PolygonSet.concatenate(
            [vectorizer.vectorize_block(read, *pair) for pair in zip(blocks, layers, strict=True)]
        )
    map_polygons = grid.to_map(polygons.polygons)
    large = area_m2(map_polygons, grid.crs) >= config.min_area_m2
    footprints = Footprints.of(map_polygons[large], grid.crs, polygons.confidence[large])
    return regularize(footprints) if config.regularize else footprints


class _BlockLayers(NamedTuple):
    """Layers of a block with its margin."""

    window: PixelWindow
    layers: NDArray[np.float32]  #: (rows, cols, 1 or 2), 0 instead of NaN
    separated: Probability  #: probability with lines between adjoining buildings


@dataclass(frozen=True)
class _BlockVectorizer:
    """Vectorization of the blocks of one raster."""

    config: VectorizeConfig
    whole: PixelWindow
    rescorer: "Rescorer | None" = None
    pixel_m: float = 1.0

    def read_block(self, read: _Reader, block: PixelWindow, margin: int) -> _BlockLayers:
        """Read a block with a margin and separate its buildings: most of the work, without shapely, for a thread.

        Args:
            read: Reads the layers of a window.
            block: The block.
            margin: Pixels around it.

        Returns:
            The layers of the block.
        """
        window = block.expand(margin).clip(self.whole)
        layers = np.array(read(window), order="K")  # band-sequential, as the steps below are
        if not np.isfinite(layers).all():
            np.nan_to_num(layers, copy=False)
        np.clip(layers[..., 0], 0, 1, out=layers[..., 0])
        separated = layers[..., 0]
        if layers.shape[-1] > 1 and self.config.saddle_ratio:
            separated = separate_instances(layers, self.config.threshold, self.config.saddle_ratio)
        return _BlockLayers(window, layers, separated)

    def vectorize_block(self, read: _Reader, block: PixelWindow, layers: _BlockLayers) -> PolygonSet:
        """Trace the polygons that belong to a block.

        Args:
            read: Reads the layers of a window, for polygons that reach beyond the usual margin.
            block: The block.
            layers: Its layers with the usual margin.

        Returns:
            Valid polygons with confidence.
        """
        layers, polygons = self._polygons_of_block(read, block, layers)
        window, values = layers.window, layers.layers
        # Simplified before they grow: a mitre on each step of a traced outline would draw spikes.
        polygons = np.asarray(shapely.simplify(polygons, self.config.simplify_px), dtype=object)
        confidence = _mean_probability(polygons, values[..., 0], window)
        if self.config.grow_px:
            polygons = shapely.buffer(polygons, self.config.grow_px, join_style="mitre", mitre_limit=_MITRE_LIMIT)
        if self.rescorer:
            chosen, confidence = self.rescorer(polygons, confidence, values, self.pixel_m, (window.column, window.row))
            polygons, confidence = polygons[chosen], confidence[chosen]
        return _valid_parts(_clip_to_raster(polygons, shapely.box(*self.whole.bounds)), confidence)

    def _polygons_of_block(
        self, read: _Reader, block: PixelWindow, layers: _BlockLayers
    ) -> tuple[_BlockLayers, Geometries]:
        """Contours whose bounding box has its center in the block, and the layers they were traced in."""
        min_hole_area = min(self.config.min_area_m2, HOLE_M2) / self.pixel_m**2  # no filled hole contains a building
        for margin in MARGINS:
            if margin != MARGINS[0]:
                layers = self.read_block(read, block, margin)
            window = layers.window
            corner = window.column, window.row
            polygons = contours(layers.separated, self.config.threshold, corner, min_hole_area)
            polygons = polygons[_centered_in(polygons, block)]
            is_cut = _reach_beyond(polygons, window, self.whole)
            if not is_cut.any():
                return layers, polygons
        polygons[is_cut] = shapely.intersection(polygons[is_cut], shapely.box(*block.bounds))
        return layers, polygons[~shapely.is_empty(polygons)]


def _centered_in(polygons: Geometries, block: PixelWindow) -> NDArray[np.bool_]:
    """Tell which bounding boxes have their center in the block, (n,)."""
    left, top, right, bottom = block.bounds
    west, north, east, south = shapely.bounds(polygons).T
    x, y = (west + east) / 2, (north + south) / 2
    return np.asarray((left <= x) & (x < right) & (top <= y) & (y < bottom))


def _reach_beyond(polygons: Geometries, window: PixelWindow, whole: PixelWindow) -> NDArray[np.bool_]:
    """Tell which polygons reach beyond the window: they touch one of its edges that is not the edge of the raster."""
    left, top, right, bottom = window.bounds
    west, north, east, south = shapely.bounds(polygons).T
    horizontal = (west <= left + 0.5) & (left > 0) | (east >= right - 0.5) & (right < whole.width)
    vertical = (north <= top + 0.5) & (top > 0) | (south >= bottom - 0.5) & (bottom < whole.height)
    return np.asarray(horizontal | vertical)


def _clip_to_raster(polygons: Geometries, rim: shapely.Polygon) -> Geometries:
    """Clip the polygons that leave the raster."""
    left, top, right, bottom = rim.bounds
    west, north, east, south = shapely.bounds(polygons).T
    leaving = (west < left) | (north < top) | (east > right) | (south > bottom)
    inside = polygons.copy()
    inside[leaving] = shapely.intersection(polygons[leaving], rim)
    return inside


def _mean_probability(polygons: Geometries, probability: Probability, window: PixelWindow) -> NDArray[np.float64]:
    """Mean probability of the pixel centers inside each polygon, else of the pixel it lies in, (n,)."""
    if len(polygons) == 0:
        return np.empty(0)
    numbers = range(1, len(polygons) + 1)
    corner = Affine.translation(window.column, window.row)
    instance = rasterize(
        zip(polygons, numbers, strict=True), probability.shape, transform=corner, dtype="int32"
    ).ravel()
    inside = np.flatnonzero(instance)  # usually a fraction of all pixels
    instance = instance[inside] - 1
    pixels = np.bincount(instance, minlength=len(polygons))
    sums = np.bincount(instance, weights=probability.ravel()[inside], minlength=len(polygons))
    return np.where(pixels > 0, sums / np.maximum(pixels, 1), _probability_at(polygons, probability, window))


def _probability_at(polygons: Geometries, probability: Probability, window: PixelWindow) -> np.ndarray:
    """Probability of the pixel that holds an inner point of each polygon, (n,)."""
    inner = shapely.point_on_surface(polygons)
    columns = np.clip(shapely.get_x(inner).astype(int) - window.column, 0, window.width - 1)
    rows = np.clip(shapely.get_y(inner).astype(int) - window.row, 0, window.height - 1)
    return np.asarray(probability[rows, columns])


def _valid_parts(polygons: Geometries, confidence: NDArray[np.float64]) -> PolygonSet:
    """Repair invalid polygons; all parts of one get its confidence."""
    invalid = ~shapely.is_valid(polygons)
    polygons = polygons.copy()
    polygons[invalid] = shapely.make_valid(polygons[invalid], method="structure", keep_collapsed=False)
    pieces, index = shapely.get_parts(polygons, return_index=True)
    pieces, inner = shapely.get_parts(pieces, return_index=True)  # a collection holds multipolygons
    solid = (shapely.get_type_id(pieces) == shapely.GeometryType.POLYGON) & (shapely.area(pieces) > 0)
    return PolygonSet(pieces[solid], confidence[index[inner]][solid])
