"""Raster I/O: the only module that opens GeoTIFFs. Every failure raises an error of core.errors.

GDAL is limited to its GeoTIFF driver: a VRT called tile.tif could read any file of this machine.
"""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import rasterio
from pyproj.exceptions import CRSError
from rasterio._err import CPLE_BaseError
from rasterio.enums import Resampling
from rasterio.errors import CRSError as RasterioCRSError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.transform import from_bounds
from rasterio.warp import reproject as warp
from rasterio.windows import Window

from core.atomic_files import atomic_write
from core.errors import (
    BlocksTooLarge,
    CannotRead,
    ExternalReference,
    MissingBand,
    NoSuchPath,
    OutsideWebMercator,
    RasterTooLarge,
    RasterWithoutCRS,
    TruncatedRaster,
    UnsupportedDtype,
    UnsupportedRaster,
)
from core.geo.grid import WEB_MERCATOR, Grid, crs_from, reproject
from core.geo.windows import PixelWindow
from core.settings import settings
from core.types import BoolMask, Pixels

# Rasters without a georeference raise RasterWithoutCRS instead.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

#: Maximum decoded size of a block, which is decompressed as a whole even to read a single pixel.
MAX_BLOCK_BYTES = 64_000_000
#: A larger block is accepted up to this many times the size of the file: then it is no decompression bomb.
_MAX_COMPRESSION = 4

#: Bytes of the beginning of a file that `check_magic` needs.
MAGIC_BYTES = 16
#: Metadata domains in which GDAL looks for the names of other files, local or remote.
_REFERENCE_DOMAINS = {"OVERVIEWS", "PROXYOVERVIEWREQUEST", "GEOLOCATION"}
_MAGIC = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
_OTHER_FORMATS = {
    b"\xff\xd8\xff": "a JPEG",
    b"\x89PNG": "a PNG",
    b"<VRT": "a VRT",
    b"PK\x03\x04": "a ZIP archive",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True)
class RasterInfo:
    """Header of a raster file."""

    path: Path
    grid: Grid
    bands: int
    dtype: str
    nodata: float | None
    acquired: str = ""  #: YYYY-MM-DD, from GDAL's IMAGERY metadata; empty without


@dataclass(frozen=True)
class Raster:
    """Pixels (bands, rows, cols) with their georeference."""

    pixels: Pixels
    grid: Grid
    nodata: float | None = None

    @property
    def valid(self) -> BoolMask:
        """Return the valid mask, see valid_mask.

        Returns:
            (rows, cols) bool.
        """
        return valid_mask(self.pixels, self.nodata)


def valid_mask(pixels: Pixels, nodata: float | None) -> BoolMask:
    """Compute the valid mask: pixels with a band that is finite and not no-data.

    Args:
        pixels: (bands, rows, cols).
        nodata: No-data value; 0 if None is declared.

    Returns:
        (rows, cols) bool.
    """
    blank = np.equal(pixels, 0 if nodata is None else nodata)
    if pixels.dtype.kind == "f":
        blank |= ~np.isfinite(pixels)
    valid: BoolMask = ~np.all(blank, axis=0)
    return valid


def _check_format(path: Path) -> None:
    if not path.is_file():
        raise NoSuchPath(name=path)
    try:
        with path.open("rb") as file:
            head = file.read(MAGIC_BYTES)
    except OSError as error:
        raise CannotRead(name=path, detail=error.strerror) from error
    check_magic(head, path)


def check_magic(head: bytes, name: Path | str) -> None:
    """Raise UnsupportedRaster if a file does not begin as a TIFF, whatever its name."""
    if head[:4] not in _MAGIC:
        matches = (description for magic, description in _OTHER_FORMATS.items() if head.startswith(magic))
        format_name = next(matches, "an unknown format")
        raise UnsupportedRaster(name=name, found="an empty file" if not head else format_name)


@contextmanager
def open_raster(path: Path) -> Iterator[DatasetReader]:
    """Open a raster to read windows.

    Raises NoSuchPath, CannotRead, UnsupportedRaster for other formats, TruncatedRaster if GDAL cannot read what the
    header promises, ExternalReference, UnsupportedDtype, and RasterTooLarge or BlocksTooLarge before decompression.
    """
    _check_format(path)
    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(path, driver="GTiff") as dataset:
            tag = next((name for name in dataset.tag_namespaces() if name.upper() in _REFERENCE_DOMAINS), None)
            if tag is not None:  # before all else: GDAL follows such tags when it looks for overviews
                raise ExternalReference(name=path, tag=tag)
            _check_declared(path, dataset)
            yield dataset
    # Some errors of GDAL are not translated by rasterio, and their text may quote undecodable bytes of the file.
    except (RasterioError, CPLE_BaseError, UnicodeDecodeError) as error:
        raise TruncatedRaster(name=path) from error


def _check_declared(path: Path, dataset: DatasetReader) -> None:
    """Raise by the header alone: 200 KB of compressed zeros can declare 9.6 GB."""
    if any(dtype.startswith("complex") for dtype in dataset.dtypes):
        raise UnsupportedDtype(name=path, found="complex numbers")
    _check_size(path, dataset, dataset.width * dataset.height * dataset.count, "MAX_DECLARED_BYTES")
    rows, columns = dataset.block_shapes[0]
    bands_per_block = dataset.count if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL" else 1
    size = rows * columns * bands_per_block * _sample_bytes(dataset)
    limit = max(MAX_BLOCK_BYTES, _MAX_COMPRESSION * path.stat().st_size)
    if size > limit:
        raise BlocksTooLarge(name=path, size=f"{size / 1e6:,.0f} MB", limit=f"{limit / 1e6:,.0f} MB")


def _sample_bytes(dataset: DatasetReader) -> int:
    return max(np.dtype(dtype).itemsize for dtype in set(dataset.dtypes))


def grid_of(dataset: DatasetReader, path: Path) -> Grid:
    """Return the georeference of a dataset.

    Raises RasterWithoutCRS, also for a georeference that is nowhere on earth, and OutsideWebMercator.
    """
    if dataset.crs is None or dataset.transform.is_identity:
        raise RasterWithoutCRS(name=path)
    try:
        crs, epsg = crs_from(dataset.crs.to_wkt()), dataset.crs.to_epsg()
    except (CRSError, RasterioCRSError) as error:
        raise RasterWithoutCRS(name=path) from error
    grid = Grid(dataset.width, dataset.height, dataset.transform, pyproj.CRS.from_epsg(epsg) if epsg else crs)
    if not grid.is_on_earth:
        raise RasterWithoutCRS(name=path)
    check_on_map(grid, path)
    return grid


def check_on_map(grid: Grid, path: Path) -> None:
    """Raise OutsideWebMercator if no web map can show the grid."""
    if not grid.is_on_map:
        raise OutsideWebMercator(name=path)


def read_info(path: Path) -> RasterInfo:
    """Read the header of a file, without pixels."""
    with open_raster(path) as dataset:
        grid, acquired = grid_of(dataset, path), dataset.tags(ns="IMAGERY").get("ACQUISITIONDATETIME", "")
        return RasterInfo(path, grid, dataset.count, dataset.dtypes[0], dataset.nodata, _date(acquired))


def _date(timestamp: str) -> str:
    """Return the date of an ISO timestamp, "" if it is none. TIFFTAG_DATETIME would be the time of processing."""
    try:
        return f"{datetime.fromisoformat(timestamp):%Y-%m-%d}"
    except ValueError:
        return ""


def read(
    path: Path,
    bands: tuple[int, ...] | None = None,
    shape: tuple[int, int] | None = None,
    resampling: Resampling = Resampling.bilinear,
) -> Raster:
    """Read a raster, resampled to a shape.

    Args:
        path: The GeoTIFF.
        bands: Bands counted from 1, all by default.
        shape: (rows, cols) of the result, those of the file by default.
        resampling: Method where the shape differs.

    Raises:
        RasterTooLarge: The decoded array exceeds the limit of the settings.
        MissingBand: The file has fewer bands.
        GroundplanError: Any error of open_raster.
    """
    with open_raster(path) as dataset:
        indices = bands or tuple(range(1, dataset.count + 1))
        check_bands(path, dataset, indices)
        rows, columns = shape or dataset.shape
        _check_size(path, dataset, rows * columns * len(indices), "MAX_RASTER_BYTES")
        pixels = dataset.read(indices, out_shape=(len(indices), rows, columns), resampling=resampling)
        return Raster(pixels, grid_of(dataset, path).resized(columns, rows), dataset.nodata)


def check_bands(path: Path, dataset: DatasetReader, bands: tuple[int, ...]) -> None:
    """Raise MissingBand unless a dataset has all bands.

    Args:
        path: File of the dataset, for the error.
        dataset: The open dataset.
        bands: Bands counted from 1.

    Raises:
        MissingBand: A band is missing.
    """
    for band in bands:
        if not 1 <= band <= dataset.count:
            raise MissingBand(name=path, found=dataset.count, wanted=band)


def _check_size(path: Path, dataset: DatasetReader, samples: int, variable: str) -> None:
    """Raise RasterTooLarge if the samples take more bytes than a setting allows."""
    size, limit = samples * _sample_bytes(dataset), getattr(settings(), variable.lower())
    if size > limit:
        raise RasterTooLarge(
            name=path,
            size=f"{size / 1e9:.1f} GB",
            limit=f"{limit / 1e9:.1f} GB",
            variable=f"GROUNDPLAN_{variable}",
        )


def read_window(dataset: DatasetReader, window: PixelWindow) -> Pixels:
    """Read a window of an open dataset.

    Args:
        dataset: The open dataset.
        window: The pixels to read, inside the raster.

    Returns:
        (bands, rows, cols) of the window, in the dtype of the file.
    """
    # Not boundless: rasterio would make a VRT, and GDAL_GUARD disables that driver.
    return dataset.read(window=Window(window.column, window.row, window.width, window.height))


def web_mercator_grid(grid: Grid) -> Grid:
    """Return the Web Mercator grid that covers a grid at about its resolution, as browser maps draw it."""
    pixel = grid.transform
    if grid.crs == WEB_MERCATOR and pixel.b == pixel.d == 0 and pixel.a > 0 > pixel.e:
        return grid
    # Not rasterio's calculate_default_transform: it makes a VRT, and GDAL_GUARD disables that driver.
    rim = reproject(np.array([grid.outline]), grid.crs, WEB_MERCATOR)[0]
    west, south, east, north = rim.bounds
    side = (rim.area / (grid.width * grid.height)) ** 0.5
    width, height = max(1, round((east - west) / side)), max(1, round((north - south) / side))
    return Grid(width, height, from_bounds(west, south, east, north, width, height), WEB_MERCATOR)


def to_web_mercator(raster: Raster, resampling: Resampling = Resampling.nearest) -> Raster:
    """Warp a raster to its web_mercator_grid; pixels outside are 0."""
    grid, target = raster.grid, web_mercator_grid(raster.grid)
    if grid == target:
        return raster
    warped = np.zeros((len(raster.pixels), *target.shape), raster.pixels.dtype)
    warp(
        raster.pixels, warped, src_transform=grid.transform, src_crs=grid.crs.to_wkt(),
        dst_transform=target.transform, dst_crs=WEB_MERCATOR.to_wkt(), resampling=resampling,
    )  # fmt: skip
    return Raster(warped, target, raster.nodata)


@contextmanager
def writer(
    path: Path, grid: Grid, bands: int, dtype: str, nodata: float | None = None, attribution: str = ""
) -> Iterator[DatasetWriter]:
    """Write a GeoTIFF by windows: losslessly compressed, tiled if large; it appears once it is complete.

    Args:
        path: Path of the file.
        grid: Georeference.
        bands: Number of bands.
        dtype: NumPy name of the data type.
        nodata: No-data value.
        attribution: Written as TIFFTAG_COPYRIGHT.
    """
    large = max(grid.shape) > 2048
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512} if large else {}
    compression: dict[str, Any] = {"compress": "lzw"}
    if dtype == "float32":
        # LZW enlarges floats; with the floating-point predictor deflate shrinks them by a fifth.
        compression = {"compress": "deflate", "zlevel": 1, "predictor": 3}
        if large:  # deflate would take as long as the network
            compression = {"compress": "zstd", "zstd_level": 1, "predictor": 3, "num_threads": "all_cpus"}
    with atomic_write(path) as temporary:
        with rasterio.open(
            temporary, "w", driver="GTiff", width=grid.width, height=grid.height, count=bands, dtype=dtype,
            crs=grid.crs.to_wkt(), transform=grid.transform, nodata=nodata, **compression, **layout,
        ) as dataset:  # fmt: skip
            if attribution:
                dataset.update_tags(TIFFTAG_COPYRIGHT=attribution)
            yield dataset
        check_complete(temporary)


@contextmanager
def scratch_writer(path: Path, grid: Grid, bands: int, dtype: str, nodata: float | None) -> Iterator[DatasetWriter]:
    """Write a tiled temporary GeoTIFF, fast to write and read rather than small.

    Args:
        path: Path of the file.
        grid: Georeference.
        bands: Number of bands.
        dtype: NumPy name of the data type.
        nodata: No-data value.
    """
    # By default GDAL takes the fourth uint8 band for alpha.
    photometric = "rgb" if bands == 3 else "minisblack"
    with rasterio.open(
        path, "w", driver="GTiff", width=grid.width, height=grid.height, count=bands, dtype=dtype,
        crs=grid.crs.to_wkt(), transform=grid.transform, nodata=nodata, photometric=photometric, bigtiff="if_safer",
        compress="zstd", zstd_level=1, predictor=3 if dtype.startswith("float") else 2, tiled=True,
        blockxsize=512, blockysize=512, num_threads="all_cpus",
    ) as dataset:  # fmt: skip
        yield dataset


def check_complete(path: Path) -> None:
    """Raise OSError if a file just written is incomplete.

    GDAL writes the last blocks when it closes a file and ignores errors, so the end of each block is compared with the
    size of the file.
    """
    try:
        with rasterio.open(path, driver="GTiff") as dataset:
            blocks = [f"{column}_{row}" for (row, column), _ in dataset.block_windows(1)]
            offsets = [int(dataset.get_tag_item(f"BLOCK_OFFSET_{block}", "TIFF", 1)) for block in blocks]
            sizes = [int(dataset.get_tag_item(f"BLOCK_SIZE_{block}", "TIFF", 1)) for block in blocks]
    except (RasterioError, TypeError) as error:
        raise OSError(errno.EIO, "it ended too early") from error
    if max(map(add, offsets, sizes)) > path.stat().st_size:
        raise OSError(errno.EIO, "it ended too early")


def write(path: Path, raster: Raster, attribution: str = "") -> Path:
    """Write a raster as GeoTIFF (LZW; float32 deflate with predictor 3), as a whole or not at all.

    Args:
        path: Path of the file.
        raster: Pixels and georeference.
        attribution: Written as TIFFTAG_COPYRIGHT.

    Returns:
        `path`.
    """
    bands = len(raster.pixels)
    with writer(path, raster.grid, bands, str(raster.pixels.dtype), raster.nodata, attribution) as dataset:
        dataset.write(raster.pixels)
    return path
