"""Any GeoTIFF as a cloud-optimised one (COG): tiled, packed without loss, with smaller copies inside.

A map reads a window of such a file at any zoom in milliseconds. Making it takes two passes: the pixels are copied as
they are to be, then GDAL's COG driver adds smaller copies and puts all of it in order. Memory stays the same whatever
the size of the image.
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

from core.atomic_files import replacing
from core.geo import raster
from core.geo.grid import Grid
from core.progress import Report, silent
from core.types import Pixels, Where

#: Side of a block, in pixels.
BLOCK = 512
_COG = {"compress": "deflate", "predictor": "yes", "blocksize": BLOCK, "overview_resampling": "average"}
#: Bytes of pixels in memory at a time, and those that GDAL may keep.
_STRIPE_BYTES, _GDAL_BYTES = 32 * 2**20, 128 * 2**20
_GDAL = {"GDAL_CACHEMAX": _GDAL_BYTES, "GDAL_NUM_THREADS": "ALL_CPUS"}
#: Share of the progress that the first pass takes, as measured on 10,000 × 10,000 × 3 uint16.
_COPIED = 0.2
#: What the second pass writes: the smaller copies (1/4 + 1/16 + … of the image) first, then everything in order.
_GROWTH = 1 / 3 + 4 / 3
_WATCH_S = 0.25
_PACKING = "packing, with smaller copies for the map"


@dataclass(frozen=True)
class Stripe:
    """Some rows of an image."""

    done: float  #: share of the image that lies above its end
    window: Window
    pixels: Pixels  #: without alpha bands; no-data in every band where a mask or an alpha band hides the picture
    nodata: float | None

    @property
    def valid(self) -> Where:
        """Where there is a picture, as `Raster.valid` has it."""
        return raster.where_valid(self.pixels, self.nodata)


def make_cog(
    source: Path, target: Path, grid: Grid | None = None, report: Report = silent, attribution: str = ""
) -> Path:
    """A COG of a GeoTIFF (deflate with predictor, averaged overviews), in one piece or not at all; returns `target`.

    `grid` replaces the georeference of the file; an attribution becomes TIFFTAG_COPYRIGHT. Band for band the same
    pixels and no-data value; but what a mask or an alpha band hides becomes no-data (0 where none is declared), and the
    alpha band itself is left out.
    Raises RasterWithoutCRS where no grid is given and the file has none, DiskFull, CannotWrite, and what open_raster
    raises.
    """
    with (
        replacing(target) as part,
        # Where somebody stops it, GDAL may still write into the folder while it is removed.
        TemporaryDirectory(dir=target.parent, prefix=".", ignore_cleanup_errors=True) as folder,
    ):
        scratch, made = Path(folder) / "scratch.tif", Path(folder) / "cog.tif"
        _copy(source, scratch, grid, report, attribution)
        _watched(lambda: _arrange(scratch, made), made, scratch.stat().st_size * _GROWTH, report)
        made.replace(part)
    report(1.0, _PACKING)
    return target


def nodata_share(source: Path, report: Report = silent) -> float:
    """Share of the pixels that show nothing in any band; all of them are looked at. Raises what open_raster raises."""
    valid = total = 0
    for stripe in stripes(source):
        valid += int(np.count_nonzero(stripe.valid))
        total += stripe.valid.size
        report(stripe.done, "looking for pixels without a picture")
    return 1 - valid / total


def stripes(source: Path) -> Generator[Stripe, None, None]:
    """An image from top to bottom, at most 32 MB at a time; raises what open_raster raises."""
    with rasterio.Env(**_GDAL), raster.open_raster(source) as dataset:
        bands, nodata = picture_bands(dataset), nodata_of(dataset)
        windows = list(_windows(dataset))
        for n, window in enumerate(windows, 1):
            pixels = dataset.read(bands, window=window)
            if is_masked(dataset):
                pixels[:, dataset.dataset_mask(window=window) == 0] = nodata or 0
            yield Stripe(n / len(windows), window, pixels, nodata)


def picture_bands(dataset: DatasetReader) -> list[int]:
    """The bands, counted from 1, that are no transparency; all of them where there is nothing else."""
    found = [n for n, meaning in enumerate(dataset.colorinterp, 1) if meaning != ColorInterp.alpha]
    return found or list(dataset.indexes)


def is_masked(dataset: DatasetReader) -> bool:
    """Whether a mask or an alpha band hides a part of the picture."""
    return any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums)


def nodata_of(dataset: DatasetReader) -> float | None:
    """The declared no-data value, None also where no pixel of this dtype could have it."""
    value: float | None = dataset.nodata  # rasterio leaves out what is beyond the dtype, but not fractions
    whole = np.dtype(dataset.dtypes[0]).kind in "ui"
    return None if whole and value is not None and not value.is_integer() else value


def _windows(dataset: DatasetReader) -> Iterator[Window]:
    """Rows of blocks, as wide as memory allows."""
    column_bytes = BLOCK * dataset.count * np.dtype(dataset.dtypes[0]).itemsize
    wide = max(BLOCK, _STRIPE_BYTES // column_bytes // BLOCK * BLOCK)
    for row in range(0, dataset.height, BLOCK):
        for column in range(0, dataset.width, wide):
            yield Window(column, row, min(wide, dataset.width - column), min(BLOCK, dataset.height - row))


def _copy(source: Path, scratch: Path, grid: Grid | None, report: Report, attribution: str) -> None:
    """The first pass."""
    with raster.open_raster(source) as dataset:
        grid = grid or raster.grid_of(dataset, source)
        bands, dtype, nodata = len(picture_bands(dataset)), dataset.dtypes[0], nodata_of(dataset)
    # The generator is closed first, so that GDAL's settings are put back in the order in which they were made.
    with (
        rasterio.Env(**_GDAL),
        raster.scratch_writer(scratch, grid, bands, dtype, nodata) as writer,
        closing(stripes(source)) as parts,
    ):
        if attribution:
            writer.update_tags(TIFFTAG_COPYRIGHT=attribution)
        for stripe in parts:
            writer.write(stripe.pixels, window=stripe.window)
            report(_COPIED * stripe.done, "copying the pixels")
    raster.check_whole(scratch)


def _arrange(scratch: Path, made: Path) -> None:
    """The second pass."""
    with rasterio.Env(**_GDAL), raster.open_raster(scratch) as dataset:
        try:
            gdal_copy(dataset, made, driver="COG", bigtiff="if_safer", **_COG)
        except RasterioError as error:  # not the source's fault: what this program wrote could not be written or read
            raise OSError(errno.EIO, "GDAL could not write it") from error
    raster.check_whole(made)


def _watched(work: Callable[[], None], made: Path, expected: float, report: Report) -> None:
    """Does work of GDAL that tells nothing of its progress; how far its files have grown tells it instead.

    The work is done in another thread, so that this one hears at once when it is to stop.
    """
    pool = ThreadPoolExecutor(1)
    try:
        done = pool.submit(work)
        while not done.done():
            report(_COPIED + (1 - _COPIED) * min(1.0, _written(made) / expected), _PACKING)
            wait([done], _WATCH_S)
        done.result()
    finally:
        pool.shutdown(wait=False)


def _written(made: Path) -> int:
    """Bytes of a file that GDAL makes and of its temporary ones beside it, which come and go."""
    sizes = []
    for file in made.parent.glob(f"{made.name}*"):
        with suppress(FileNotFoundError):
            sizes.append(file.stat().st_size)
    return sum(sizes)
