"""Training samples: a resampled tile with its target.

The original thesis resamples a tile (red, green, blue and WorldView's band 8) to 512×512 pixels and takes a border of 2
pixels along every boundary out of the building class, which separates adjoining buildings. With a GSD instead, a tile
keeps its aspect ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.atomic_files import translating_errors
from core.catalog.spacenet_names import color_bands
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.datasets.config import DatasetConfig
from core.datasets.normalization import Normalization
from core.errors import ExtentMismatch
from core.geo import raster
from core.geo.grid import Grid
from core.geo.vector import Footprints
from core.labels.labels import Labels
from core.labels.targets import rasterize_target
from core.types import BoolMask, Geometries

#: Number of WorldView's last band (NIR2), counted from 1.
WORLDVIEW_NIR2 = 8


@dataclass(frozen=True)
class Sample:
    """A resampled tile with its target."""

    tile: str  #: its id
    pixels: NDArray[np.float32]  #: (rows, columns, bands), values of the files until `normalize`
    target: NDArray[np.uint8]  #: (rows, columns, layers), see models.registry.TARGETS
    valid: BoolMask  #: (rows, columns), False where there is no data
    grid: Grid
    full_scale: tuple[float, ...]  #: largest value of each band's dtype
    buildings: Geometries  #: footprints in pixels of the grid

    def normalize(self, normalization: Normalization) -> None:
        """Normalize the pixels in place: all tiles lie in memory, and not twice."""
        self.pixels[...] = normalization.apply(self.pixels)

    def padded(self, side: int) -> "Sample":
        """Pad to at least `side` rows and columns, at the right and the bottom, without data."""
        height, width = (max(side, length) for length in self.grid.shape)
        if (height, width) == self.grid.shape:
            return self
        padding = [(0, height - self.grid.height), (0, width - self.grid.width)]
        grid = self.grid.window(0, 0, width, height)
        pixels, target = np.pad(self.pixels, [*padding, (0, 0)]), np.pad(self.target, [*padding, (0, 0)])
        return replace(self, pixels=pixels, target=target, valid=np.pad(self.valid, padding), grid=grid)

    def on_disk(self, file: Path) -> "Sample":
        """Move the pixels to a memory-mapped file: the system keeps in memory what it has room for.

        Raises CannotWrite, DiskFull.
        """
        with translating_errors(file):
            np.save(file, self.pixels)  # written before it is mapped: on a full disk a map is a bus error
            return replace(self, pixels=np.load(file, mmap_mode="r+"))


def read_sample(tile: Tile, config: DatasetConfig, bands: int, targets: Sequence[str] = ("inner",)) -> Sample:
    """Read and resample a labelled tile; one smaller than a crop is padded.

    Args:
        tile: The tile.
        config: Settings of the resampling.
        bands: 3 (red, green, blue) or 4 (with WorldView's band 8).
        targets: Layers of the target, see models.registry.TARGETS.

    Raises:
        NoImage: The tile has no image.
        NoLabels: The tile has no labels.
        ExtentMismatch: The eight-band image covers another area.
        GroundplanError: A file cannot be read.
    """
    info = raster.read_info(tile.image)
    shape = config.shape(info.grid)
    eight_bands = tile.eight_bands if bands == 4 else None
    images = [raster.read(tile.image, color_bands(tile.image, info.bands), shape)]
    if eight_bands is not None:
        check_same_extent(info, eight_bands)
        images.append(raster.read(eight_bands, (WORLDVIEW_NIR2,), shape))
    rgb, source = images[0], read_tile_labels(tile, info.grid)
    labels = Labels.of(rgb.grid, Footprints.of(source.map_footprints, source.grid.crs))
    pixels = np.moveaxis(np.concatenate([image.pixels.astype(np.float32) for image in images]), 0, -1)
    full_scale = tuple(dtype_full_scale(image.pixels.dtype) for image in images for _ in image.pixels)
    target = np.stack([rasterize_target(labels, name, config.border_px) for name in targets], axis=-1)
    return Sample(tile.id, pixels, target, rgb.valid, rgb.grid, full_scale, labels.pixels).padded(config.chip)


def dtype_full_scale(dtype: np.dtype) -> float:
    """Largest value of an integer dtype, 1 for floating point."""
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0


def check_same_extent(info: raster.RasterInfo, eight_bands: Path) -> None:
    """Raise ExtentMismatch if the edges of two images lie more than one pixel of the coarser one apart."""
    fine, coarse = info.grid, raster.read_info(eight_bands).grid
    west, south, east, north = coarse.bounds
    pixel = max((east - west) / coarse.width, (north - south) / coarse.height)
    if max(abs(a - b) for a, b in zip(fine.bounds, coarse.bounds, strict=True)) > pixel:
        raise ExtentMismatch(name=eight_bands, image=info.path)
