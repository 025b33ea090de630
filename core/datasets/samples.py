"""From a tile to what a network is fed: one picture with its target.

The thesis recipe: red, green, blue and WorldView's eighth band on 512×512 pixels, a border of 2 pixels along every wall
taken out of the building class so that adjoining houses come apart. With a ground sample distance instead, a tile keeps
its shape and has as many pixels as it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.atomic_files import writing
from core.catalog.spacenet_names import colour_bands
from core.catalog.tile import Tile
from core.errors import DifferentGround, InvalidSetting
from core.geo import raster
from core.geo.grid import Grid
from core.geo.vector import Footprints
from core.labels.labels import Labels
from core.types import Distance, Geometries, Mask, Where
from models.registry import REACH_M

#: The last of WorldView's eight bands, counted from 1.
WORLDVIEW_LAST = 8
#: No network looks at smaller pixels than this, nor at larger crops.
FINEST_M, MOST_CHIP = 0.05, 1024
#: Sides of crops for finer tiles are multiples of it.
_ROUND = 32
#: Share of the pixels below and above the percentile scale, in percent.
PERCENTILES = (2.0, 98.0)
#: Every n-th pixel is looked at, so that no more than about so many are.
SAMPLED_PIXELS = 4_000_000


def bands_of(infrared: bool) -> int:
    """`Recipe.bands`: red, green and blue, with near infrared or without."""
    return 0 if infrared else 3


@dataclass(frozen=True)
class Recipe:
    """How tiles become crops. The defaults are the thesis's, but for the scaling; `scaling="thesis"` is its own."""

    size: int = 512  #: rows and columns of the resampled tile
    chip: int = 128  #: rows and columns of a crop
    step: int = 64  #: pixels from one crop to the next
    border_px: float = 2.0  #: taken out of the building class along every wall
    scaling: Literal["percentile", "thesis"] = "percentile"
    gsd_m: float = 0.0  #: metres a pixel of the network; 0: every tile becomes size × size, as the thesis has it
    finest_m: float = 0.0  #: above 0, finer tiles are seen as fine as they are, down to this; see `seeing`
    crops: Literal["grid", "drawn"] = "grid"  #: from the grid of `step`, or drawn anew where buildings are
    empty: float = 0.25  #: share of the drawn crops that lie anywhere
    bands: int = 0  #: 3: red, green and blue; 0: with WorldView's eighth band, where all tiles have it

    @property
    def infrared(self) -> bool:
        """Whether near infrared is seen, too."""
        return self.bands == bands_of(infrared=True)

    def __post_init__(self) -> None:
        """Raises InvalidSetting."""
        for name, right, detail in (
            ("size", self.size >= 8, "it is at least 8 pixels"),
            (
                "chip",
                8 <= self.chip <= MOST_CHIP and self.chip % 8 == 0 and (self.gsd_m or self.chip <= self.size),
                "it is a multiple of 8 no larger than size",
            ),
            ("step", 1 <= self.step <= self.chip, "it is between 1 and chip"),
            ("border_px", 0 <= self.border_px <= 16, "it is between 0 and 16 pixels"),
            ("gsd_m", self.gsd_m == 0 or FINEST_M <= self.gsd_m <= 10, f"it is 0, or between {FINEST_M} and 10 metres"),
            ("finest_m", self.finest_m == 0 or FINEST_M <= self.finest_m <= self.gsd_m, "it is 0, or at most gsd_m"),
            ("crops", self.crops in ("grid", "drawn"), "it is grid or drawn"),
            ("bands", self.bands in (0, 3), "it is 0 or 3"),
            ("empty", 0 <= self.empty <= 1, "it is between 0 and 1"),
            ("scaling", self.scaling in ("percentile", "thesis"), "it is percentile or thesis"),
        ):
            if not right:
                raise InvalidSetting(setting=name, value=getattr(self, name), detail=detail)

    def seeing(self, gsd_m: float) -> "Recipe":
        """For tiles of that resolution: where they are finer than the network needs, it looks at them as they are, no
        finer than `finest_m`, in crops of as much ground.
        """
        if not self.finest_m:
            return self
        finer = round(min(self.gsd_m, max(self.finest_m, gsd_m)), 2)
        chip = min(round(self.chip * self.gsd_m / finer / _ROUND) * _ROUND, MOST_CHIP)
        return replace(self, gsd_m=finer, finest_m=0.0, chip=chip, step=chip // 2)

    def offsets(self, side: int) -> NDArray[np.intp]:
        """First pixels of the crops along a side of so many pixels; with a ground sample distance up to its end."""
        first = np.arange(0, side - self.chip + 1, self.step, dtype=np.intp)
        return np.unique(np.append(first, side - self.chip)) if self.gsd_m else first

    def shape(self, grid: Grid) -> tuple[int, int]:
        """(rows, columns) that a tile of this grid becomes."""
        return grid.at_gsd((self.gsd_m, self.gsd_m)).shape if self.gsd_m else (self.size, self.size)


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
    labels = Labels.of_tile(tile)
    return Labels.of(grid, Footprints.of(labels.ground, labels.grid.crs))


def drawn_target(labels: Labels, name: str, border_px: float) -> NDArray[np.uint8]:
    """(rows, columns) uint8: one layer of the target, see models.registry.TARGETS."""
    if name == "inner":
        return building_target(labels, border_px)
    if name == "mask":
        return np.minimum(labels.mask, 1)
    if name == "edge":
        return np.minimum(labels.boundary | labels.contact, 1)
    return encoded(labels.own_distance)


def encoded(distance: Distance) -> NDArray[np.uint8]:
    """Metres as 1 to 255, 128 for a wall, in steps of 5 cm; beyond ±REACH_M the last."""
    levels = np.clip(distance / REACH_M, -1, 1) * np.float32(127) + np.float32(128)
    return np.round(levels).astype(np.uint8)


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
