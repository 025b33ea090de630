"""The only door for rasters: opening, reading and writing GeoTIFF. Every failure is one sentence.

Only GeoTIFF comes in, named so to GDAL: a VRT called tile.tif would read any file of this machine.
"""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
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

from core.atomic_files import replacing
from core.errors import (
    BlocksTooLarge,
    CannotRead,
    MissingBand,
    NoSuchPath,
    NotARaster,
    OffTheMap,
    RasterTooLarge,
    RasterWithoutCRS,
    RefersElsewhere,
    TruncatedRaster,
    UnusualPixels,
)
from core.geo.grid import WEB_MERCATOR, Grid, crs_from, reproject
from core.settings import settings
from core.types import Pixels, Where

# We refuse rasters without a georeference ourselves, by name.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

#: Bytes of a block of pixels, which is unpacked as a whole even where one pixel of it is asked for; larger ones only
#: in files of a quarter of their size, so that they were not made to burst.
LARGEST_BLOCK, _PACKED = 64_000_000, 4

#: What `check_magic` is to be given of a file.
MAGIC_BYTES = 16
#: Domains of the metadata tag in which GDAL looks for the names of other files, of this machine or of the network.
_REFERRING = {"OVERVIEWS", "PROXYOVERVIEWREQUEST", "GEOLOCATION"}
_MAGIC = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
_OTHERS = {
    b"\xff\xd8\xff": "a JPEG",
    b"\x89PNG": "a PNG",
    b"<VRT": "a VRT",
    b"PK\x03\x04": "a ZIP archive",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True)
class RasterInfo:
    """What a file's header says."""

    path: Path
    grid: Grid
    bands: int
    dtype: str
    nodata: float | None
    taken: str = ""  #: YYYY-MM-DD, where GDAL's metadata of satellites has it


@dataclass(frozen=True)
class Raster:
    """Pixels (bands, rows, columns) with their georeference."""

    pixels: Pixels
    grid: Grid
    nodata: float | None = None

    @property
    def valid(self) -> Where:
        """Where there is a picture: some band is finite and not no-data (0 where the file declares none)."""
        return where_valid(self.pixels, self.nodata)


def where_valid(pixels: Pixels, nodata: float | None) -> Where:
    """Where some band of (bands, rows, columns) is finite and not no-data (0 where none is declared)."""
    blank = np.equal(pixels, 0 if nodata is None else nodata)
    if pixels.dtype.kind == "f":
        blank |= ~np.isfinite(pixels)
    valid: Where = ~np.all(blank, axis=0)
    return valid


def _refuse_other_formats(path: Path) -> None:
    if not path.is_file():
        raise NoSuchPath(name=path)
    try:
        with path.open("rb") as file:
            head = file.read(MAGIC_BYTES)
    except OSError as error:
        raise CannotRead(name=path, detail=error.strerror) from error
    check_magic(head, path)


def check_magic(head: bytes, name: Path | str) -> None:
    """Raises NotARaster where a file does not begin as a TIFF does, whatever its name says."""
    if head[:4] not in _MAGIC:
        found = next((what for magic, what in _OTHERS.items() if head.startswith(magic)), "an unknown format")
        raise NotARaster(name=name, found="an empty file" if not head else found)


@contextmanager
def open_raster(path: Path) -> Iterator[DatasetReader]:
    """The dataset, for reading windows.

    Raises NoSuchPath, CannotRead, NotARaster for other formats, TruncatedRaster where GDAL cannot read what the header
    promises, RefersElsewhere, UnusualPixels, and RasterTooLarge or BlocksTooLarge before anything is unpacked.
    """
    _refuse_other_formats(path)
    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(path, driver="GTiff") as dataset:
            _refuse_references(path, dataset)
            _check_declared(path, dataset)
            yield dataset
    # In places GDAL's own words come through, and where they quote the file they are not always text.
    except (RasterioError, CPLE_BaseError, UnicodeDecodeError) as error:
        raise TruncatedRaster(name=path) from error


def _refuse_references(path: Path, dataset: DatasetReader) -> None:
    """Must be the first that is asked of a dataset: GDAL follows such a tag when it looks for overviews."""
    found = next((name for name in dataset.tag_namespaces() if name.upper() in _REFERRING), None)
    if found is not None:
        raise RefersElsewhere(name=path, tag=found)


def _check_declared(path: Path, dataset: DatasetReader) -> None:
    """Only what the header says is looked at: 200 KB of packed zeros can declare 9.6 GB."""
    if any(dtype.startswith("complex") for dtype in dataset.dtypes):
        raise UnusualPixels(name=path, found="complex numbers")
    _check_size(path, dataset, dataset.width * dataset.height * dataset.count, "MAX_DECLARED_BYTES")
    rows, columns = dataset.block_shapes[0]
    together = dataset.count if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL" else 1
    size = rows * columns * together * _sample_bytes(dataset)
    limit = max(LARGEST_BLOCK, _PACKED * path.stat().st_size)
    if size > limit:
        raise BlocksTooLarge(name=path, size=f"{size / 1e6:,.0f} MB", limit=f"{limit / 1e6:,.0f} MB")


def _sample_bytes(dataset: DatasetReader) -> int:
    return max(np.dtype(dtype).itemsize for dtype in set(dataset.dtypes))


def grid_of(dataset: DatasetReader, path: Path) -> Grid:
    """The dataset's georeference; raises RasterWithoutCRS, also where it leads nowhere on earth, and OffTheMap."""
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
    """Raises OffTheMap where no web map can show a grid."""
    if not grid.is_on_map:
        raise OffTheMap(name=path)


def describe(path: Path) -> RasterInfo:
    """The header of a file, without reading pixels."""
    with open_raster(path) as dataset:
        grid, taken = grid_of(dataset, path), dataset.tags(ns="IMAGERY").get("ACQUISITIONDATETIME", "")
        return RasterInfo(path, grid, dataset.count, dataset.dtypes[0], dataset.nodata, _day(taken))


def _day(text: str) -> str:
    """The date of a moment; nothing where that is none. TIFFTAG_DATETIME is no such moment, but that of processing."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d}"
    except ValueError:
        return ""


def read(
    path: Path,
    bands: tuple[int, ...] | None = None,
    shape: tuple[int, int] | None = None,
    resampling: Resampling = Resampling.bilinear,
) -> Raster:
    """All pixels, or `bands` (counted from 1), resampled to `shape` (rows, columns) where given.

    Raises RasterTooLarge when the decoded array would exceed the limit, MissingBand, and what open_raster raises.
    """
    with open_raster(path) as dataset:
        wanted = bands or tuple(range(1, dataset.count + 1))
        check_bands(path, dataset, wanted)
        rows, columns = shape or dataset.shape
        _check_size(path, dataset, rows * columns * len(wanted), "MAX_RASTER_BYTES")
        pixels = dataset.read(wanted, out_shape=(len(wanted), rows, columns), resampling=resampling)
        return Raster(pixels, grid_of(dataset, path).resized(columns, rows), dataset.nodata)


def check_bands(path: Path, dataset: DatasetReader, wanted: tuple[int, ...]) -> None:
    """Raises MissingBand where the dataset does not have all these bands, counted from 1."""
    for band in wanted:
        if not 1 <= band <= dataset.count:
            raise MissingBand(name=path, found=dataset.count, wanted=band)


def _check_size(path: Path, dataset: DatasetReader, samples: int, variable: str) -> None:
    """Raises RasterTooLarge where so many samples take more bytes than a setting allows."""
    size, limit = samples * _sample_bytes(dataset), getattr(settings(), variable.lower())
    if size > limit:
        raise RasterTooLarge(
            name=path,
            size=f"{size / 1e9:.1f} GB",
            limit=f"{limit / 1e9:.1f} GB",
            variable=f"GROUNDPLAN_{variable}",
        )


def read_window(dataset: DatasetReader, box: tuple[int, int, int, int], shape: tuple[int, int]) -> Pixels:
    """A part of an open dataset; box is (column, row, width, height) and lies inside the raster.

    Returns (bands, *shape), bilinear where the shape differs from the box.
    """
    # Never boundless: rasterio would make a VRT of it, and the guard has taken that driver away.
    return dataset.read(window=Window(*box), out_shape=(dataset.count, *shape), resampling=Resampling.bilinear)


def web_mercator_grid(grid: Grid) -> Grid:
    """The grid in Web Mercator, as browser maps draw it, that holds all of a grid at about its resolution."""
    pixel = grid.transform
    if grid.crs == WEB_MERCATOR and pixel.b == pixel.d == 0 and pixel.a > 0 > pixel.e:
        return grid
    # Not rasterio's calculate_default_transform: it makes a VRT, and the guard has taken that driver away.
    rim = reproject(np.array([grid.rim]), grid.crs, WEB_MERCATOR)[0]
    west, south, east, north = rim.bounds
    side = (rim.area / (grid.width * grid.height)) ** 0.5
    width, height = max(1, round((east - west) / side)), max(1, round((north - south) / side))
    return Grid(width, height, from_bounds(west, south, east, north, width, height), WEB_MERCATOR)


def to_web_mercator(raster: Raster, resampling: Resampling = Resampling.nearest) -> Raster:
    """The raster warped onto its web_mercator_grid; outside its ground it is 0."""
    grid, target = raster.grid, web_mercator_grid(raster.grid)
    if grid == target:
        return raster
    out = np.zeros((len(raster.pixels), *target.shape), raster.pixels.dtype)
    warp(
        raster.pixels, out, src_transform=grid.transform, src_crs=grid.crs.to_wkt(),
        dst_transform=target.transform, dst_crs=WEB_MERCATOR.to_wkt(), resampling=resampling,
    )  # fmt: skip
    return Raster(out, target, raster.nodata)


@contextmanager
def writer(
    path: Path, grid: Grid, bands: int, dtype: str, nodata: float | None = None, attribution: str = ""
) -> Iterator[DatasetWriter]:
    """A GeoTIFF (compressed without loss, tiled when large) to be written by windows; it appears once it is whole.

    The attribution is its TIFFTAG_COPYRIGHT.
    """
    large = max(grid.shape) > 2048
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512} if large else {}
    packing: dict[str, Any] = {"compress": "lzw"}
    if dtype == "float32":
        # LZW makes real numbers larger than they are; taken as differences they shrink by a fifth.
        packing = {"compress": "deflate", "zlevel": 1, "predictor": 3}
        if large:  # where deflate would take as long as the network
            packing = {"compress": "zstd", "zstd_level": 1, "predictor": 3, "num_threads": "all_cpus"}
    with replacing(path) as part:
        with rasterio.open(
            part, "w", driver="GTiff", width=grid.width, height=grid.height, count=bands, dtype=dtype,
            crs=grid.crs.to_wkt(), transform=grid.transform, nodata=nodata, **packing, **layout,
        ) as dataset:  # fmt: skip
            if attribution:
                dataset.update_tags(TIFFTAG_COPYRIGHT=attribution)
            yield dataset
        check_whole(part)


@contextmanager
def scratch_writer(path: Path, grid: Grid, bands: int, dtype: str, nodata: float | None) -> Iterator[DatasetWriter]:
    """A tiled GeoTIFF that only lives until another is made of it: written and read fast, larger than it could be."""
    # Without being told, GDAL takes the fourth band of bytes for transparency.
    photometric = "rgb" if bands == 3 else "minisblack"
    with rasterio.open(
        path, "w", driver="GTiff", width=grid.width, height=grid.height, count=bands, dtype=dtype,
        crs=grid.crs.to_wkt(), transform=grid.transform, nodata=nodata, photometric=photometric, bigtiff="if_safer",
        compress="zstd", zstd_level=1, predictor=3 if dtype.startswith("float") else 2, tiled=True,
        blockxsize=512, blockysize=512, num_threads="all_cpus",
    ) as dataset:  # fmt: skip
        yield dataset


def check_whole(part: Path) -> None:
    """Raises OSError where a file just written is not whole.

    GDAL writes the last blocks when it closes a file, and nobody hears when that fails: look where each one ends.
    """
    try:
        with rasterio.open(part, driver="GTiff") as dataset:
            ends = [_end_of_block(dataset, *block) for block, _ in dataset.block_windows(1)]
    except (RasterioError, TypeError) as error:
        raise OSError(errno.EIO, "it ended too early") from error
    if max(ends) > part.stat().st_size:
        raise OSError(errno.EIO, "it ended too early")


def _end_of_block(dataset: DatasetReader, row: int, column: int) -> int:
    return sum(int(dataset.get_tag_item(f"BLOCK_{fact}_{column}_{row}", "TIFF", 1)) for fact in ("OFFSET", "SIZE"))


def write(path: Path, raster: Raster, attribution: str = "") -> Path:
    """The raster as GeoTIFF (LZW; float32 deflate with predictor 3), in one piece or not at all."""
    bands = len(raster.pixels)
    with writer(path, raster.grid, bands, str(raster.pixels.dtype), raster.nodata, attribution) as dataset:
        dataset.write(raster.pixels)
    return path
