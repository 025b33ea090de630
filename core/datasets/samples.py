"""From a tile to what a network is fed: one picture with its target.

The thesis recipe: red, green, blue and WorldView's eighth band on 512×512 pixels, a border of 2 pixels along every wall
taken out of the building class so that adjoining houses come apart. With a ground sample distance instead, a tile keeps
its shape and has as many pixels as it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.atomic_files import writing
from core.catalog.spacenet_names import colour_bands
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.datasets.config import Recipe
from core.datasets.normalization import Scaling
from core.errors import DifferentGround
from core.geo import raster
from core.geo.grid import Grid
from core.geo.vector import Footprints
from core.labels.labels import Labels
from core.labels.targets import drawn_target
from core.types import Geometries, Where

#: The last of WorldView's eight bands, counted from 1.
WORLDVIEW_LAST = 8


@dataclass(frozen=True)
class Scene:
    """A tile resampled by the recipe, with what is to be learned from it."""

    tile: str
    pixels: NDArray[np.float32]  #: (rows, columns, bands), the files' own values until `scale`
    target: NDArray[np.uint8]  #: (rows, columns, layers), see models.registry.TARGETS
    valid: Where  #: (rows, columns), False where there is no picture
    grid: Grid
    full_scale: tuple[float, ...]  #: largest value of each band's dtype
    buildings: Geometries  #: outlines in pixels of the grid

    def scale(self, scaling: Scaling) -> None:
        """Makes the pixels what a network can take, in place: all tiles lie in memory, and not twice."""
        self.pixels[...] = scaling.apply(self.pixels)

    def filled(self, side: int) -> "Scene":
        """With at least so many rows and columns: at the right and the bottom lies nothing."""
        height, width = (max(side, length) for length in self.grid.shape)
        if (height, width) == self.grid.shape:
            return self
        more = [(0, height - self.grid.height), (0, width - self.grid.width)]
        grid = self.grid.window(0, 0, width, height)
        pixels, target = np.pad(self.pixels, [*more, (0, 0)]), np.pad(self.target, [*more, (0, 0)])
        return replace(self, pixels=pixels, target=target, valid=np.pad(self.valid, more), grid=grid)

    def on_disk(self, file: Path) -> "Scene":
        """The same scene, its pixels in a memory-mapped file: the system keeps in memory what it has room for.

        Raises CannotWrite, DiskFull.
        """
        with writing(file):
            np.save(file, self.pixels)  # written before it is mapped: on a full disk a map is a bus error
            return replace(self, pixels=np.load(file, mmap_mode="r+"))


def read_scene(tile: Tile, recipe: Recipe, bands: int, targets: Sequence[str] = ("inner",)) -> Scene:
    """A labelled tile by the recipe, with 3 channels (red, green, blue) or 4 (and WorldView's eighth band).

    Its target has these layers. A tile smaller than a crop is filled up with nothing. Raises NoImage, NoLabels,
    DifferentGround and what reading the files raises.
    """
    described = raster.describe(tile.image)
    shape = recipe.shape(described.grid)
    eight = tile.eight_bands if bands == 4 else None
    parts = [raster.read(tile.image, colour_bands(tile.image, described.bands), shape)]
    if eight is not None:
        check_same_ground(tile.image, eight)
        parts.append(raster.read(eight, (WORLDVIEW_LAST,), shape))
    colour, labels = parts[0], _labels_on(parts[0].grid, tile)
    pixels = np.moveaxis(np.concatenate([part.pixels.astype(np.float32) for part in parts]), 0, -1)
    full_scale = tuple(full_scale_of(part.pixels.dtype) for part in parts for _ in part.pixels)
    target = np.stack([drawn_target(labels, name, recipe.border_px) for name in targets], axis=-1)
    scene = Scene(tile.id, pixels, target, colour.valid, colour.grid, full_scale, labels.pixels)
    return scene.filled(recipe.chip)


def full_scale_of(dtype: np.dtype) -> float:
    """The largest value an integer dtype holds, 1 for floating point."""
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0


def check_same_ground(image: Path, eight_bands: Path) -> None:
    """Raises DifferentGround where the rims lie more than one of the coarser pixels apart."""
    fine, coarse = raster.describe(image).grid, raster.describe(eight_bands).grid
    west, south, east, north = coarse.bounds
    pixel = max((east - west) / coarse.width, (north - south) / coarse.height)
    if max(abs(a - b) for a, b in zip(fine.bounds, coarse.bounds, strict=True)) > pixel:
        raise DifferentGround(name=eight_bands, image=image)


def _labels_on(grid: Grid, tile: Tile) -> Labels:
    """The tile's labels on another grid of the same ground."""
    labels = read_tile_labels(tile)
    return Labels.of(grid, Footprints.of(labels.ground, labels.grid.crs))
