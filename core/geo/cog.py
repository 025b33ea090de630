"""Cloud-optimized GeoTIFF (COG) of any GeoTIFF: tiled, losslessly compressed, with overviews.

A map reads a window of such a file at any zoom in milliseconds. Two passes make it: the pixels are copied to a tiled
scratch file, then GDAL's COG driver adds overviews. Memory does not depend on the size of the image.
"""

import errno
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.shutil import copy as gdal_copy
from rasterio.windows import Window

from core.atomic_files import atomic_write
from core.geo import raster
from core.geo.grid import Grid
from core.progress import Report, silent
from core.types import BoolMask, Pixels

#: Side of a block [px].
BLOCK = 512
_COG = {"compress": "deflate", "predictor": "yes", "blocksize": BLOCK, "overview_resampling": "average"}
#: Bytes of pixels in memory at a time, and of GDAL's block cache.
_BAND_BYTES, _GDAL_BYTES = 32 * 2**20, 128 * 2**20
_GDAL = {"GDAL_CACHEMAX": _GDAL_BYTES, "GDAL_NUM_THREADS": "ALL_CPUS"}
#: Share of the time that the first pass takes, measured on 10,000 × 10,000 × 3 uint16.
_COPY_SHARE = 0.2
#: Bytes that the second pass writes per byte of the first: overviews (1/4 + 1/16 + …), then the whole COG.
_WRITE_RATIO = 1 / 3 + 4 / 3
_POLL_S = 0.25
_OVERVIEWS_MESSAGE = "Building overviews (COG)"


@dataclass(frozen=True)
class RowBand:
    """Rows of an image, read at once."""

    progress: float  #: share of the image that has been read with it, 0 to 1
    window: Window
    pixels: Pixels  #: without alpha bands; no-data in every band where a mask or an alpha band hides a pixel
    nodata: float | None

    @property
    def valid(self) -> BoolMask:
        """Return the valid mask, see core.geo.raster.valid_mask.

        Returns:
            (rows, cols) bool.
        """
        return raster.valid_mask(self.pixels, self.nodata)


def make_cog(
    source: Path, target: Path, grid: Grid | None = None, report: Report = silent, attribution: str = ""
) -> Path:
    """Make a COG of a GeoTIFF, deflate with predictor and averaged overviews, as a whole or not at all.

    Pixels and no-data value are preserved band for band, but pixels hidden by a mask or an alpha band become no-data (0
    if none is declared), and the alpha band is left out.

    Args:
        source: The GeoTIFF.
        target: Path of the COG.
        grid: Georeference that replaces that of the file.
        report: Called with the progress.
        attribution: Written as TIFFTAG_COPYRIGHT.

    Returns:
        `target`.

    Raises:
        RasterWithoutCRS: Neither a grid is given nor does the file have a georeference.
        DiskFull: The disk has no room.
        CannotWrite: The file cannot be written.
        GroundplanError: Any error of open_raster.
    """
    with (
        atomic_write(target) as temporary,
        # After an interrupt, GDAL may still write into the folder while it is removed.
        TemporaryDirectory(dir=target.parent, prefix=".", ignore_cleanup_errors=True) as folder,
    ):
        scratch, cog = Path(folder) / "scratch.tif", Path(folder) / "cog.tif"
        _copy_pixels(source, scratch, grid, report, attribution)
        _run_with_progress(lambda: _with_overviews(scratch, cog), cog, scratch.stat().st_size * _WRITE_RATIO, report)
        cog.replace(temporary)
    report(1.0, _OVERVIEWS_MESSAGE)
    return target


def nodata_share(source: Path, report: Report = silent) -> float:
    """Compute the share of pixels without data in any band, over all pixels. Raises what open_raster raises."""
    valid = total = 0
    for band in row_bands(source):
        valid += int(np.count_nonzero(band.valid))
        total += band.valid.size
        report(band.progress, "Checking for no-data")
    return 1 - valid / total


def row_bands(source: Path) -> Generator[RowBand, None, None]:
    """Yield an image from top to bottom, at most 32 MB at a time. Raises what open_raster raises."""
    with rasterio.Env(**_GDAL), raster.open_raster(source) as dataset:
        bands, nodata = non_alpha_bands(dataset), nodata_of(dataset)
        windows = list(_windows(dataset))
        for n, window in enumerate(windows, 1):
            pixels = dataset.read(bands, window=window)
            if is_masked(dataset):
                pixels[:, dataset.dataset_mask(window=window) == 0] = nodata or 0
            yield RowBand(n / len(windows), window, pixels, nodata)


def non_alpha_bands(dataset: DatasetReader) -> list[int]:
    """Return the indices of the bands without alpha, counted from 1; all bands if there is nothing else."""
    bands = [n for n, interpretation in enumerate(dataset.colorinterp, 1) if interpretation != ColorInterp.alpha]
    return bands or list(dataset.indexes)


def is_masked(dataset: DatasetReader) -> bool:
    """Tell whether a mask or an alpha band hides pixels."""
    return any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums)


def nodata_of(dataset: DatasetReader) -> float | None:
    """Return the declared no-data value, None if no pixel of the dtype can have it."""
    value: float | None = dataset.nodata  # rasterio omits values beyond the dtype, but not fractions
    is_integer = np.dtype(dataset.dtypes[0]).kind in "ui"
    return None if is_integer and value is not None and not value.is_integer() else value


def _windows(dataset: DatasetReader) -> Iterator[Window]:
    """Yield windows of whole blocks, as wide as memory allows."""
    column_bytes = BLOCK * dataset.count * np.dtype(dataset.dtypes[0]).itemsize
    width = max(BLOCK, _BAND_BYTES // column_bytes // BLOCK * BLOCK)
    for row in range(0, dataset.height, BLOCK):
        for column in range(0, dataset.width, width):
            yield Window(column, row, min(width, dataset.width - column), min(BLOCK, dataset.height - row))


def _copy_pixels(source: Path, scratch: Path, grid: Grid | None, report: Report, attribution: str) -> None:
    """Copy the pixels to a tiled scratch file, the first pass."""
    with raster.open_raster(source) as dataset:
        grid = grid or raster.grid_of(dataset, source)
        bands, dtype, nodata = len(non_alpha_bands(dataset)), dataset.dtypes[0], nodata_of(dataset)
    # The generator is closed first, so that GDAL's settings are restored in reverse order.
    with (
        rasterio.Env(**_GDAL),
        raster.scratch_writer(scratch, grid, bands, dtype, nodata) as writer,
        closing(row_bands(source)) as bands_read,
    ):
        if attribution:
            writer.update_tags(TIFFTAG_COPYRIGHT=attribution)
        for band in bands_read:
            writer.write(band.pixels, window=band.window)
            report(_COPY_SHARE * band.progress, "Copying pixels")
    raster.check_complete(scratch)


def _with_overviews(scratch: Path, cog: Path) -> None:
    """Make the COG of the scratch file, the second pass."""
    with rasterio.Env(**_GDAL), raster.open_raster(scratch) as dataset:
        try:
            gdal_copy(dataset, cog, driver="COG", bigtiff="if_safer", **_COG)
        except RasterioError as error:  # the source was read before: the files written here fail
            raise OSError(errno.EIO, "GDAL could not write the file") from error
    raster.check_complete(cog)


def _run_with_progress(work: Callable[[], None], cog: Path, expected: float, report: Report) -> None:
    """Run a GDAL call that reports no progress in a thread, and report the growth of its files instead.

    The calling thread stays free, so an exception of `report` ends the wait at once.
    """
    pool = ThreadPoolExecutor(1)
    try:
        future = pool.submit(work)
        while not future.done():
            report(_COPY_SHARE + (1 - _COPY_SHARE) * min(1.0, _bytes_written(cog) / expected), _OVERVIEWS_MESSAGE)
            wait([future], _POLL_S)
        future.result()
    finally:
        pool.shutdown(wait=False)


def _bytes_written(cog: Path) -> int:
    """Sum the bytes of a file that GDAL writes and of its temporary files beside it."""
    sizes = []
    for file in cog.parent.glob(f"{cog.name}*"):
        with suppress(FileNotFoundError):
            sizes.append(file.stat().st_size)
    return sum(sizes)
