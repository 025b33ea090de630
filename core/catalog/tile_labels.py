"""The labels of a catalog tile, read from its files."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from core.catalog.tile import Tile
from core.geo import raster
from core.geo.grid import Grid
from core.geo.vector import read_footprints
from core.labels.labels import Labels


def read_tile_labels(tile: Tile, grid: Grid | None = None) -> Labels:
    """Read the labels of a tile on its image's grid, shifted by the tile's label offset.

    Args:
        tile: A tile with an image and labels on this machine.
        grid: Grid of the image, where it is known already; else it is read from the file.

    Returns:
        The labels; nothing else refers to them.

    Raises:
        NoLabels: The tile has no footprint file.
        NoImage: The tile has no image.
    """
    files = tile.image, tile.labels
    changed = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
    # A copy without the cached mask and distance, which would otherwise stay in memory.
    return replace(_read_files(files, changed, tile.id, tile.offset_m, grid))


@lru_cache(maxsize=8)
def _read_files(
    files: tuple[Path, Path],
    _changed: tuple[int, ...],
    tile_id: str,
    offset_m: tuple[float, float],
    grid: Grid | None,
) -> Labels:
    """Read the labels of an image and a footprint file, cached: parsing 20,000 footprints takes a second."""
    image, footprints = files
    labels = Labels.of(grid or raster.read_info(image).grid, read_footprints(footprints).of_image(tile_id))
    # The label file of an upload also holds footprints around the image that an offset may move onto it.
    labels = labels.with_offset(*offset_m).near()
    for array in (labels.pixels, labels.map_footprints):
        array.setflags(write=False)
    return labels
