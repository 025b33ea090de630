"""Dataset samples: tiles cut into 8-bit chips with building polygons, in a spatial train/validation split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.catalog.spacenet_names import color_bands
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.datasets.spatial_split import split
from core.geo import raster as rasters
from core.progress import Report, silent
from core.rendering.images import Stretch, apply_stretch
from core.types import Geometries

#: Minimum area of a building polygon clipped to a chip [px²].
MIN_AREA_PX = 4.0
Split = Literal["train", "val"]
#: Split by role of the tile in a training. A divided tile is "train" as a whole: formats have no split within an image.
_SPLITS: dict[str, Split] = {"train": "train", "divided": "train", "validation": "val"}


@dataclass(frozen=True, eq=False)
class ExportSample:
    """Image chip with its building polygons."""

    name: str  #: unique file name without suffix
    split: Split
    pixels: NDArray[np.uint8]  #: (rows, cols, 3)
    buildings: Geometries  #: polygons in pixels (column, row), clipped to the chip
    attribution: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @cached_property
    def instance_mask(self) -> NDArray[np.uint16]:
        """Instance mask of the buildings.

        Returns:
            (rows, cols) uint16, building numbers from 1; 0 is background.
        """
        pairs = zip(self.buildings, range(1, len(self.buildings) + 1), strict=True)
        if not len(self.buildings):
            return np.zeros(self.shape, np.uint16)
        return np.asarray(rasterize(pairs, self.shape, dtype="uint16"))

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Bounding boxes of the buildings.

        Returns:
            (n, 4): left, top, right and bottom [pixels].
        """
        return np.asarray(shapely.bounds(self.buildings), np.float64).reshape(-1, 4)


def export_samples(tiles: Sequence[Tile], chip: int, seed: int, report: Report = silent) -> Iterator[ExportSample]:
    """Yield labeled tiles as chips with the train/validation split of a training.

    Excluded buffer tiles, and pixels beyond the last whole chip of a tile, are left out. Every tile is stretched from
    its 2nd to its 98th percentile.

    Args:
        tiles: Tiles; those without labels are skipped.
        chip: Side of a chip [pixels]; 0 for whole tiles.
        seed: Random seed of the split.
        report: Called with the progress.

    Yields:
        Samples in the order of the tiles.
    """
    labelled = [tile for tile in tiles if tile.is_labeled]
    roles = split(labelled, seed).roles
    for n, tile in enumerate(labelled):
        report(n / len(labelled), f"Tile {n + 1} of {len(labelled)}, {tile.id}")
        chip_split = _SPLITS.get(roles[tile.id])
        if chip_split:
            yield from _chips(tile, chip, chip_split)


def _chips(tile: Tile, chip: int, chip_split: Split) -> Iterator[ExportSample]:
    raster = rasters.read(tile.image, color_bands(tile.image, tile.bands))
    pixels = apply_stretch(raster, Stretch.of([raster]))[..., :3]
    shapes = read_tile_labels(tile).pixels
    rows, columns = pixels.shape[:2]
    height, width = (chip, chip) if chip else (rows, columns)
    for row in range(0, rows - height + 1, height):
        for column in range(0, columns - width + 1, width):
            name = f"{tile.id}_{row}_{column}" if chip else tile.id
            window = pixels[row : row + height, column : column + width]
            yield ExportSample(name, chip_split, window, _clip(shapes, column, row, width, height), tile.attribution)


def _clip(shapes: Geometries, column: int, row: int, width: int, height: int) -> Geometries:
    """Clip polygons to a window and translate them to its pixel coordinates."""
    window = shapely.box(column, row, column + width, row + height)
    clipped = shapely.get_parts(shapely.intersection(shapes[shapely.intersects(shapes, window)], window))
    is_valid = (shapely.get_type_id(clipped) == shapely.GeometryType.POLYGON) & (shapely.area(clipped) >= MIN_AREA_PX)
    translated = shapely.transform(clipped[is_valid], lambda xy: xy - np.array([column, row]))
    return np.asarray(translated, dtype=object)
