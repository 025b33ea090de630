"""Windows of an image: boxes that cover a grid, and reading them from files with other pixels of the same ground."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from core.catalog.spacenet_names import colour_bands
from core.datasets.samples import WORLDVIEW_LAST
from core.errors import MissingBand, TruncatedRaster
from core.geo import raster
from core.geo.grid import Grid
from core.geo.windows import Box
from core.types import Where

#: Large GeoTIFFs are written in blocks of so many pixels: windows that keep to them write each block once.
BLOCK = 512


def windows(grid: Grid, stride: int, most: int) -> Iterator[Box]:
    """Boxes of one size, at most so many pixels long, that cover the grid from its first pixel; those at the end may
    reach beyond it.

    One size, so that the network is compiled once; on the stride, so that pooling groups the same pixels everywhere.
    """
    unit = BLOCK if max(grid.shape) > 2048 and most >= BLOCK else stride
    height, width = (_core(side, unit, most) for side in grid.shape)
    for row in range(0, grid.height, height):
        for column in range(0, grid.width, width):
            yield Box(column, row, width, height)


def _core(side: int, unit: int, most: int) -> int:
    """The side cut into equal parts no longer than `most`, each a multiple of `unit`."""
    return ceil(side / ceil(side / most) / unit) * unit


@dataclass(frozen=True)
class Picture:
    """An image, and the file of its eight bands, open for reading windows of another grid of the same ground."""

    colour: DatasetReader
    colour_bands: tuple[int, ...]
    eight_bands: DatasetReader | None
    grid: Grid

    def read(self, box: Box) -> tuple[NDArray[np.float32], Where]:
        """Pixels (rows, columns, bands) in the files' own values, and where there is a picture.

        Beyond the grid's rim the picture goes on mirrored, and there is none.
        """
        inside = box.within(self.grid)
        colour = self._part(self.colour, self.colour_bands, inside)
        last = [] if self.eight_bands is None else [*self._part(self.eight_bands, (WORLDVIEW_LAST,), inside)]
        pixels = np.empty((box.height, box.width, len(colour) + len(last)), np.float32)
        valid = np.zeros(pixels.shape[:2], bool)
        here = inside.slices(box)
        valid[here] = raster.where_valid(colour, self.colour.nodata)
        for n, band in enumerate((*colour, *last)):
            pixels[(*here, n)] = band
        _mirror(pixels, *here)
        return pixels, valid

    def _part(self, dataset: DatasetReader, bands: tuple[int, ...], box: Box) -> NDArray:
        across, down = dataset.width / self.grid.width, dataset.height / self.grid.height
        source = Window(box.column * across, box.row * down, box.width * across, box.height * down)
        shape = (len(bands), box.height, box.width)
        try:
            part: NDArray = dataset.read(bands, window=source, out_shape=shape, resampling=Resampling.bilinear)
        except RasterioError as error:
            raise TruncatedRaster(name=Path(dataset.name)) from error
        return part


def _mirror(pixels: NDArray, rows: slice, columns: slice) -> None:
    """Fills (rows, columns, …) around the part that is known with its mirror image, as often as it takes."""
    for lines, known in ((pixels[rows].swapaxes(0, 1), columns), (pixels, rows)):
        shown = np.pad(np.arange(known.start, known.stop), (known.start, len(lines) - known.stop), mode="reflect")
        for rim in (slice(0, known.start), slice(known.stop, len(lines))):
            lines[rim] = lines[shown[rim]]


@contextmanager
def open_picture(image: Path, eight_bands: Path | None, bands: int, grid: Grid) -> Iterator[Picture]:
    """The image with 3 channels, or 4 with WorldView's eighth band. Raises MissingBand, and what `open_raster` does."""
    with ExitStack() as files:
        colour = files.enter_context(_open(image, 3))
        eight = files.enter_context(_open(eight_bands, WORLDVIEW_LAST)) if eight_bands and bands == 4 else None
        yield Picture(colour, colour_bands(image, colour.count), eight, grid)


@contextmanager
def _open(path: Path, bands: int) -> Iterator[DatasetReader]:
    with raster.open_raster(path) as dataset:
        if dataset.count < bands:
            raise MissingBand(name=path, found=dataset.count, wanted=bands)
        yield dataset
