"""Squares of a browser map, cut from a raster of any size: the pyramid of Web Mercator that every web map asks for."""

import warnings
from math import ceil, log2
from pathlib import Path

import morecantile
import numpy as np
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds
from rio_tiler import reader

from core.errors import NoSuchMapTile
from core.geo import raster
from core.geo.grid import WEB_MERCATOR, Grid
from core.geo.raster import Raster
from core.types import Bounds

#: Pixels a side.
SIDE = 256
#: Beyond a pixel of 2 cm no satellite sees anything.
DEEPEST = 22
_SQUARES = morecantile.tms.get("WebMercatorQuad")
_FLAT = CRS.from_epsg(3857)


def deepest_zoom(grid: Grid) -> int:
    """The first zoom whose pixels are no larger than the grid's; deeper a browser enlarges by itself."""
    around = _SQUARES.matrix(0).cellSize
    return min(max(ceil(log2(around / _pixel(grid))), 0), DEEPEST)


def _pixel(grid: Grid) -> float:
    """Side of a pixel in the units of Web Mercator."""
    return float(raster.web_mercator_grid(grid).transform.a)


def square_bounds(z: int, x: int, y: int) -> Bounds:
    """West, south, east, north of a square in Web Mercator; raises NoSuchMapTile outside the pyramid."""
    if not (0 <= z <= DEEPEST and 0 <= x < 2**z and 0 <= y < 2**z):
        raise NoSuchMapTile(zoom=z, x=x, y=y)
    west, south, east, north = _SQUARES.xy_bounds(morecantile.Tile(x, y, z))
    return west, south, east, north


def read_square(path: Path, square: tuple[int, int, int], bands: tuple[int, ...]) -> Raster | None:
    """What a raster shows in a square (z, x, y): (bands, 256, 256) in Web Mercator; None where it shows nothing.

    Outside the raster there is its no-data, or 0. Overviews are used where there are some.
    Raises NoSuchMapTile, MissingBand and what open_raster raises.
    """
    bounds = square_bounds(*square)
    with raster.open_raster(path) as dataset:
        raster.check_bands(path, dataset, bands)
        grid = raster.grid_of(dataset, path)
        if not _meet(raster.web_mercator_grid(grid).rim.bounds, bounds):
            return None
        return _read(dataset, bounds, bands, _pixel(grid))


def _meet(a: Bounds, b: Bounds) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _read(dataset: DatasetReader, bounds: Bounds, bands: tuple[int, ...], pixel: float) -> Raster:
    # The square at the raster's own resolution tells GDAL which overview to read. rio-tiler would ask
    # calculate_default_transform for it, which makes a VRT, and the guard has taken that driver away.
    side = max(SIDE, round((bounds[2] - bounds[0]) / pixel))
    flat = {"crs": _FLAT, "transform": from_bounds(*bounds, side, side), "width": side, "height": side}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = reader.read(
            dataset, indexes=bands, width=SIDE, height=SIDE, vrt_options=flat, reproject_method="bilinear",
            resampling_method="average" if side >= 2 * SIDE else "bilinear",
        )  # fmt: skip
    blank = 0 if dataset.nodata is None else dataset.nodata
    pixels = np.where(image.mask == 0, np.asarray(blank).astype(image.data.dtype), image.data)
    return Raster(pixels, Grid(SIDE, SIDE, from_bounds(*bounds, SIDE, SIDE), WEB_MERCATOR), dataset.nodata)
