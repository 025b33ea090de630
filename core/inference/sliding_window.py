"""Sliding windows over an image: windows that cover a grid, and reading them from files of another resolution."""

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

from core.catalog.spacenet_names import color_bands
from core.datasets.samples import WORLDVIEW_NIR2
from core.errors import MissingBand, TruncatedRaster
from core.geo import raster
from core.geo.grid import Grid
from core.geo.windows import PixelWindow
from core.types import BoolMask

#: Block size of large GeoTIFFs [pixels]: windows aligned to it write each block once.
BLOCK = 512


def iter_windows(grid: Grid, stride: int, max_side: int) -> Iterator[PixelWindow]:
    """Yield windows of one size that cover a grid; the last ones may reach beyond it.

    One size, so the network is compiled once; multiples of the stride, so pooling groups the same pixels everywhere.

    Args:
        grid: The grid to cover.
        stride: Of the network [pixels].
        max_side: Longest side of a window [pixels].

    Yields:
        Windows without halo, row by row.
    """
    unit = BLOCK if max(grid.shape) > 2048 and max_side >= BLOCK else stride
    height, width = (ceil(side / ceil(side / max_side) / unit) * unit for side in grid.shape)
    for row in range(0, grid.height, height):
        for column in range(0, grid.width, width):
            yield PixelWindow(column, row, width, height)


@dataclass(frozen=True)
class SceneReader:
    """An image, and the file of its eight bands, open for reading windows of another grid of the same extent."""

    color: DatasetReader
    color_bands: tuple[int, ...]
    eight_bands: DatasetReader | None
    grid: Grid

    def read(self, window: PixelWindow) -> tuple[NDArray[np.float32], BoolMask]:
        """Read a window; pixels beyond the edge of the grid are mirrored and not valid.

        Args:
            window: Pixels of the grid.

        Returns:
            (rows, cols, bands) float32 in the values of the files, and where there is data, (rows, cols) bool.
        """
        inside = window.clip(self.grid)
        color = self._read_bands(self.color, self.color_bands, inside)
        infrared = [] if self.eight_bands is None else [*self._read_bands(self.eight_bands, (WORLDVIEW_NIR2,), inside)]
        pixels = np.empty((window.height, window.width, len(color) + len(infrared)), np.float32)
        valid = np.zeros(pixels.shape[:2], bool)
        slices = inside.slices(window)
        valid[slices] = raster.valid_mask(color, self.color.nodata)
        for n, band in enumerate((*color, *infrared)):
            pixels[(*slices, n)] = band
        _mirror(pixels, *slices)
        return pixels, valid

    def _read_bands(self, dataset: DatasetReader, bands: tuple[int, ...], window: PixelWindow) -> NDArray:
        """Read bands of the window from a file of another resolution, (bands, rows, cols), bilinear."""
        x_scale, y_scale = dataset.width / self.grid.width, dataset.height / self.grid.height
        source = Window(window.column * x_scale, window.row * y_scale, window.width * x_scale, window.height * y_scale)
        shape = (len(bands), window.height, window.width)
        try:
            pixels: NDArray = dataset.read(bands, window=source, out_shape=shape, resampling=Resampling.bilinear)
        except RasterioError as error:
            raise TruncatedRaster(name=Path(dataset.name)) from error
        return pixels


def _mirror(pixels: NDArray, rows: slice, columns: slice) -> None:
    """Fill (rows, cols, …) around the given rows and columns with their mirror image, as often as needed."""
    for lines, inside in ((pixels[rows].swapaxes(0, 1), columns), (pixels, rows)):
        source = np.pad(np.arange(inside.start, inside.stop), (inside.start, len(lines) - inside.stop), mode="reflect")
        for rim in (slice(0, inside.start), slice(inside.stop, len(lines))):
            lines[rim] = lines[source[rim]]


@contextmanager
def open_scene(image: Path, eight_bands: Path | None, bands: int, grid: Grid) -> Iterator[SceneReader]:
    """Open an image for reading windows.

    Args:
        image: File with red, green and blue.
        eight_bands: File of the same extent with WorldView's eight bands.
        bands: 3 for RGB, 4 with WorldView's near-infrared band 8.
        grid: Grid of the windows.

    Yields:
        The open image.

    Raises:
        MissingBand: A file has too few bands.
    """
    with ExitStack() as files:
        color = files.enter_context(_open(image, 3))
        infrared = files.enter_context(_open(eight_bands, WORLDVIEW_NIR2)) if eight_bands and bands == 4 else None
        yield SceneReader(color, color_bands(image, color.count), infrared, grid)


@contextmanager
def _open(path: Path, bands: int) -> Iterator[DatasetReader]:
    with raster.open_raster(path) as dataset:
        if dataset.count < bands:
            raise MissingBand(name=path, found=dataset.count, wanted=bands)
        yield dataset
