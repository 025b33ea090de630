"""XYZ map tiles (Web Mercator) of a raster of any size, for Leaflet."""

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

#: Side of a map tile [px].
SIDE = 256
#: Pixels of 2 cm, finer than any satellite image.
MAX_ZOOM = 22
_XYZ_TILES = morecantile.tms.get("WebMercatorQuad")
_EPSG_3857 = CRS.from_epsg(3857)


def max_zoom(grid: Grid) -> int:
    """Return the first zoom with pixels no larger than the grid's; beyond it the browser upscales."""
    world_pixel = _XYZ_TILES.matrix(0).cellSize
    return min(max(ceil(log2(world_pixel / _pixel_size(grid))), 0), MAX_ZOOM)


def _pixel_size(grid: Grid) -> float:
    """Return the side of a pixel in Web Mercator [m]."""
    return float(raster.web_mercator_grid(grid).transform.a)


def xyz_bounds(z: int, x: int, y: int) -> Bounds:
    """Return west, south, east and north of an XYZ tile in Web Mercator [m].

    Args:
        z: Zoom.
        x: Column.
        y: Row.

    Raises:
        NoSuchMapTile: The tile is outside the pyramid.
    """
    if not (0 <= z <= MAX_ZOOM and 0 <= x < 2**z and 0 <= y < 2**z):
        raise NoSuchMapTile(zoom=z, x=x, y=y)
    west, south, east, north = _XYZ_TILES.xy_bounds(morecantile.Tile(x, y, z))
    return west, south, east, north


def read_xyz_tile(path: Path, tile: tuple[int, int, int], bands: tuple[int, ...]) -> Raster | None:
    """Read an XYZ tile of a raster, using overviews; None if the raster lies outside.

    Args:
        path: The GeoTIFF.
        tile: (z, x, y).
        bands: Bands counted from 1.

    Returns:
        (bands, 256, 256) in Web Mercator; pixels outside the raster are its no-data value, or 0.

    Raises:
        NoSuchMapTile: The tile is outside the pyramid.
        MissingBand: The raster has fewer bands.
        GroundplanError: Any error of open_raster.
    """
    bounds = xyz_bounds(*tile)
    with raster.open_raster(path) as dataset:
        raster.check_bands(path, dataset, bands)
        grid = raster.grid_of(dataset, path)
        left, bottom, right, top = raster.web_mercator_grid(grid).outline.bounds
        west, south, east, north = bounds
        if not (left < east and west < right and bottom < north and south < top):
            return None
        return _read(dataset, bounds, bands, _pixel_size(grid))


def _read(dataset: DatasetReader, bounds: Bounds, bands: tuple[int, ...], pixel_size: float) -> Raster:
    # The tile at the raster's own resolution tells GDAL which overview to read. rio-tiler would call
    # calculate_default_transform, which makes a VRT, and GDAL_GUARD disables that driver.
    side = max(SIDE, round((bounds[2] - bounds[0]) / pixel_size))
    vrt_options = {
        "crs": _EPSG_3857,
        "transform": from_bounds(*bounds, side, side),
        "width": side,
        "height": side,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = reader.read(
            dataset, indexes=bands, width=SIDE, height=SIDE, vrt_options=vrt_options, reproject_method="bilinear",
            resampling_method="average" if side >= 2 * SIDE else "bilinear",
        )  # fmt: skip
    nodata = 0 if dataset.nodata is None else dataset.nodata
    pixels = np.where(image.mask == 0, np.asarray(nodata).astype(image.data.dtype), image.data)
    return Raster(pixels, Grid(SIDE, SIDE, from_bounds(*bounds, SIDE, SIDE), WEB_MERCATOR), dataset.nodata)
