"""From a tile to what a network is fed: one square picture with its target, and the crops cut from it.

The thesis recipe: red, green, blue and WorldView's eighth band on 512×512 pixels, a border of 2 pixels along every wall
taken out of the building class so that adjoining houses come apart, 49 crops of 128 with half of each overlapping.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from core import rasters
from core.catalog.spacenet import colour_bands
from core.catalog.tile import Tile
from core.errors import DifferentGround, InvalidSetting
from core.files import writing
from core.grids import LONLAT, Grid, reproject
from core.labels import Labels
from core.types import Batch, Geometries, Mask, Where
from core.vectors import Footprints

#: The last of WorldView's eight bands, counted from 1.
WORLDVIEW_LAST = 8
#: Share of the pixels below and above the percentile scale, in percent.
PERCENTILES = (2.0, 98.0)
#: Every n-th pixel is looked at, so that no more than about so many are.
SAMPLED_PIXELS = 4_000_000


@dataclass(frozen=True)
class Recipe:
    """How tiles become crops. The defaults are the thesis's, but for the scaling; `scaling="thesis"` is its own."""

    size: int = 512  #: rows and columns of the resampled tile
    chip: int = 128  #: rows and columns of a crop
    step: int = 64  #: pixels from one crop to the next
    border_px: float = 2.0  #: taken out of the building class along every wall
    scaling: Literal["percentile", "thesis"] = "percentile"

    def __post_init__(self) -> None:
        """Raises InvalidSetting."""
        for name, right, detail in (
            ("size", self.size >= 8, "it is at least 8 pixels"),
            ("chip", 8 <= self.chip <= self.size and self.chip % 8 == 0, "it is a multiple of 8 no larger than size"),
            ("step", 1 <= self.step <= self.chip, "it is between 1 and chip"),
            ("border_px", 0 <= self.border_px <= 16, "it is between 0 and 16 pixels"),
            ("scaling", self.scaling in ("percentile", "thesis"), "it is percentile or thesis"),
        ):
            if not right:
                raise InvalidSetting(setting=name, value=getattr(self, name), detail=detail)

    @property
    def offsets(self) -> range:
        """First pixels of the crops along one side."""
        return range(0, self.size - self.chip + 1, self.step)


@dataclass(frozen=True)
class Scaling:
    """What becomes 0 and what becomes 1 in each band."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, pixels: NDArray) -> NDArray[np.float32]:
        """(…, bands) of any dtype to float32; kept within -1 to 2, so that one broken sensor value stays harmless.

        What is no number becomes 0: a single one would spread through a network until every weight were none.
        """
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        span = np.where(high > low, high - low, 1)
        scaled: NDArray[np.float32] = np.clip((pixels.astype(np.float32) - low) / span, -1, 2)
        return np.nan_to_num(scaled, copy=False)

    @classmethod
    def thesis(cls, full_scale: tuple[float, ...]) -> "Scaling":
        """By the largest value of the dtype: /255 and /65535."""
        return cls((0.0,) * len(full_scale), full_scale)

    @classmethod
    def percentiles(cls, scenes: Sequence["Scene"]) -> "Scaling":
        """From the 2nd to the 98th percentile of the finite pixels with a picture, over all scenes together."""
        every = 1 + sum(scene.valid.size for scene in scenes) // SAMPLED_PIXELS
        seen = np.concatenate([scene.pixels[scene.valid][::every] for scene in scenes])
        low, high = zip(*map(_ends, seen.T), strict=True)
        return cls(low, high)


def _ends(band: NDArray[np.float32]) -> tuple[float, float]:
    """What becomes 0 and 1 in one band, a row of pixels; 0 and 1 themselves where it has no finite ones."""
    finite = band[np.isfinite(band)]
    low, high = np.percentile(finite, PERCENTILES) if len(finite) else (0.0, 1.0)
    return float(low), float(high)


@dataclass(frozen=True)
class Scene:
    """A tile resampled to (size, size), with what is to be learned from it."""

    tile: str
    pixels: NDArray[np.float32]  #: (rows, columns, bands), the files' own values until `scale`
    target: Mask  #: (rows, columns) uint8, 1 in a building
    valid: Where  #: (rows, columns), False where there is no picture
    grid: Grid
    full_scale: tuple[float, ...]  #: largest value of each band's dtype

    def scale(self, scaling: Scaling) -> None:
        """Makes the pixels what a network can take, in place: all tiles lie in memory, and not twice."""
        self.pixels[...] = scaling.apply(self.pixels)

    def on_disk(self, file: Path) -> "Scene":
        """The same scene, its pixels in a memory-mapped file: the system keeps in memory what it has room for.

        Raises CannotWrite, DiskFull.
        """
        with writing(file):
            np.save(file, self.pixels)  # written before it is mapped: on a full disk a map is a bus error
            return replace(self, pixels=np.load(file, mmap_mode="r+"))


def read_scene(tile: Tile, recipe: Recipe, bands: int) -> Scene:
    """A labelled tile by the recipe, with 3 channels (red, green, blue) or 4 (and WorldView's eighth band).

    Raises NoImage, NoLabels, DifferentGround and what reading the files raises.
    """
    shape = (recipe.size, recipe.size)
    eight = tile.eight_bands if bands == 4 else None
    colour = rasters.read(tile.image, colour_bands(tile.image, rasters.describe(tile.image).bands), shape)
    parts = [colour]
    if eight is not None:
        check_same_ground(tile.image, eight)
        parts.append(rasters.read(eight, (WORLDVIEW_LAST,), shape))
    pixels = np.concatenate([part.pixels.astype(np.float32) for part in parts])
    full_scale = tuple(full_scale_of(part.pixels.dtype) for part in parts for _ in part.pixels)
    target = building_target(_labels_on(colour.grid, tile), recipe.border_px)
    return Scene(tile.id, np.moveaxis(pixels, 0, -1), target, colour.valid, colour.grid, full_scale)


def full_scale_of(dtype: np.dtype) -> float:
    """The largest value an integer dtype holds, 1 for floating point."""
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0


def check_same_ground(image: Path, eight_bands: Path) -> None:
    """Raises DifferentGround where the rims lie more than one of the coarser pixels apart."""
    fine, coarse = rasters.describe(image).grid, rasters.describe(eight_bands).grid
    west, south, east, north = coarse.bounds
    pixel = max((east - west) / coarse.width, (north - south) / coarse.height)
    if max(abs(a - b) for a, b in zip(fine.bounds, coarse.bounds, strict=True)) > pixel:
        raise DifferentGround(name=eight_bands, image=image)


def _labels_on(grid: Grid, tile: Tile) -> Labels:
    """The tile's labels on another grid of the same ground."""
    labels = Labels.of_tile(tile)
    return Labels.of(grid, Footprints.of(labels.ground, labels.grid.crs))


def building_target(labels: Labels, border_px: float) -> Mask:
    """(rows, columns) uint8: 1 where a pixel's centre is in a building and more than `border_px` from every wall.

    Along the tile's rim there is no border: footprints are merely cut there.
    """
    target = np.minimum(labels.mask, 1)
    inside = shapely.box(1, 1, labels.grid.width - 1, labels.grid.height - 1)
    walls = shapely.intersection(shapely.boundary(labels.pixels), inside)
    border = shapely.buffer(walls, border_px, quad_segs=16)
    border = border[~shapely.is_empty(border)]
    if len(border):
        rasterize(border, out=target, default_value=0)
    return target


def turned(window: NDArray, symmetry: int) -> NDArray:
    """One of the square's eight symmetries of (rows, columns, …), as a view.

    Bit 1 mirrors the rows, bit 2 the columns, bit 4 then swaps both.
    """
    window = window[::-1] if symmetry & 1 else window
    window = window[:, ::-1] if symmetry & 2 else window
    return window.swapaxes(0, 1) if symmetry & 4 else window


@dataclass(frozen=True)
class Chips:
    """Crops of scenes. They are cut when asked for: a scene lies in memory once, not four times over."""

    scenes: tuple[Scene, ...]
    where: NDArray[np.intp]  #: (n, 3): number of the scene, first row, first column
    chip: int

    @classmethod
    def of(cls, scenes: Sequence[Scene], recipe: Recipe) -> "Chips":
        """All crops that show something: those without any picture are left out."""
        places = product(range(len(scenes)), recipe.offsets, recipe.offsets)
        size = recipe.chip
        seen = [(n, r, c) for n, r, c in places if scenes[n].valid[r : r + size, c : c + size].any()]
        return cls(tuple(scenes), np.array(seen, np.intp).reshape(-1, 3), size)

    def __len__(self) -> int:
        return len(self.where)

    def only(self, chosen: NDArray) -> "Chips":
        """A part of the crops, by numbers or by a mask."""
        return replace(self, where=self.where[chosen])

    @cached_property
    def ground(self) -> Geometries:
        """What each crop covers, in longitude and latitude."""
        rims = np.array([self._grid(*place).rim for place in self.where], dtype=object)
        ground = np.empty(len(self), dtype=object)
        for n, scene in enumerate(self.scenes):
            mine = self.where[:, 0] == n
            ground[mine] = reproject(rims[mine], scene.grid.crs, LONLAT)
        return ground

    def _grid(self, scene: int, row: int, column: int) -> Grid:
        return self.scenes[scene].grid.window(column, row, self.chip, self.chip)

    def places(self, numbers: NDArray[np.intp], turns: NDArray[np.intp] | None = None) -> NDArray[np.int32]:
        """(n, 4): number of the scene, first row, first column, and one of the square's eight symmetries."""
        turned = np.zeros(len(numbers), np.intp) if turns is None else turns
        return np.column_stack([self.where[numbers], turned]).astype(np.int32)

    def cut(self, places: NDArray[np.int32]) -> Batch:
        """Pixels (n, chip, chip, bands) float32, target (n, chip, chip) uint8 and weight, 0 without a picture."""
        pixels, target, weight = [], [], []
        for n, row, column, turn in places:
            scene, part = self.scenes[n], (slice(row, row + self.chip), slice(column, column + self.chip))
            pixels.append(turned(scene.pixels[part], turn))
            target.append(turned(scene.target[part], turn))
            weight.append(turned(scene.valid[part], turn).astype(np.float32))
        return np.stack(pixels), np.stack(target), np.stack(weight)

    @cached_property
    def built(self) -> Where:
        """(n,) whether there is a building in each crop."""
        size = self.chip
        return np.array([self.scenes[n].target[r : r + size, c : c + size].any() for n, r, c in self.where], bool)

    @property
    def bytes(self) -> int:
        """What the scenes take as one array."""
        return sum(scene.pixels.nbytes + 5 * scene.valid.size for scene in self.scenes)

    def stacked(self) -> Batch:
        """All scenes as arrays (scenes, rows, columns, …): pixels, target and weight, for `places` to be cut from."""
        pixels, target, valid = (
            np.stack([getattr(s, name) for s in self.scenes]) for name in ("pixels", "target", "valid")
        )
        return pixels, target, valid.astype(np.float32)
