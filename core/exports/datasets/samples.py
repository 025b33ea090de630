"""Pictures with their buildings, as a training set has them: tiles cut into chips, in 8 bits, parted by the ground."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.catalog.spacenet_names import colour_bands
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.datasets.spatial_split import split
from core.geo import raster as rasters
from core.progress import Report, silent
from core.rendering.images import Stretch, stretched
from core.types import Geometries

#: Pieces of a building with fewer pixels than this are no example of one.
LEAST_PX = 4.0
Side = Literal["train", "val"]


@dataclass(frozen=True, eq=False)
class Example:
    """One picture and the buildings in it."""

    name: str  #: of its files, unlike that of any other
    side: Side
    pixels: NDArray[np.uint8]  #: (rows, columns, 3)
    buildings: Geometries  #: polygons in pixels (column, row), cut at the rim
    attribution: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @cached_property
    def numbered(self) -> NDArray[np.uint16]:
        """(rows, columns): the number of the building from 1 on, 0 elsewhere."""
        pairs = zip(self.buildings, range(1, len(self.buildings) + 1), strict=True)
        if not len(self.buildings):
            return np.zeros(self.shape, np.uint16)
        return np.asarray(rasterize(pairs, self.shape, dtype="uint16"))

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4): left, top, right and bottom of each building in pixels."""
        return np.asarray(shapely.bounds(self.buildings), np.float64).reshape(-1, 4)


def examples(tiles: Sequence[Tile], chip: int, seed: int, report: Report = silent) -> Iterator[Example]:
    """The labelled ones of these tiles in squares of so many pixels (0: whole), as training would part them.

    What lies between both sides, and beyond the last whole chip of a tile, is left out. Every tile is stretched from
    its 2nd to its 98th percentile. Raises what reading tiles and labels raises.
    """
    labelled = [tile for tile in tiles if tile.is_labelled]
    roles = split(labelled, seed).roles
    for n, tile in enumerate(labelled):
        report(n / len(labelled), f"tile {n + 1} of {len(labelled)}, {tile.id}")
        side = _side(roles[tile.id])
        if side:
            yield from _cut(tile, chip, side)


def _side(role: str) -> Side | None:
    """Ground that only a line could part trains as a whole: a training set has no lines."""
    return {"train": "train", "divided": "train", "validation": "val"}.get(role)  # type: ignore[return-value]


def _cut(tile: Tile, chip: int, side: Side) -> Iterator[Example]:
    raster = rasters.read(tile.image, colour_bands(tile.image, tile.bands))
    pixels = stretched(raster, Stretch.of([raster]))[..., :3]
    shapes = read_tile_labels(tile).pixels
    rows, columns = pixels.shape[:2]
    down, across = (chip, chip) if chip else (rows, columns)
    for row in range(0, rows - down + 1, down):
        for column in range(0, columns - across + 1, across):
            name = f"{tile.id}_{row}_{column}" if chip else tile.id
            window = pixels[row : row + down, column : column + across]
            yield Example(name, side, window, _inside(shapes, column, row, across, down), tile.attribution)


def _inside(shapes: Geometries, column: int, row: int, width: int, height: int) -> Geometries:
    """The polygons in a window, moved into its pixels."""
    rim = shapely.box(column, row, column + width, row + height)
    parts = shapely.get_parts(shapely.intersection(shapes[shapely.intersects(shapes, rim)], rim))
    solid = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) >= LEAST_PX)
    moved = shapely.transform(parts[solid], lambda xy: xy - np.array([column, row]))
    return np.asarray(moved, dtype=object)
