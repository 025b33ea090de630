"""The labels of a catalog tile, read from its files."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from core.catalog.tile import Tile
from core.geo import raster
from core.geo.vector import read_footprints
from core.labels.labels import Labels


def read_tile_labels(tile: Tile) -> Labels:
    """Read the labels of a tile on its image's grid, shifted by the tile's label offset.

    Raises:
        NoLabels: The tile has no footprint file.
        NoImage: The tile has no image.
    """
    files = tile.image, tile.labels
    changed = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
    # A new one each time, so that no mask or distance stays in memory with it.
    return replace(_of_files(files, changed, tile.id, tile.offset_m))


@lru_cache(maxsize=8)
def _of_files(files: tuple[Path, Path], _changed: tuple[int, ...], name: str, offset_m: tuple[float, float]) -> Labels:
    """The labels of an image and a footprint file; twenty thousand take a second to parse."""
    image, footprints = files
    found = Labels.of(raster.describe(image).grid, read_footprints(footprints).of_image(name)).moved(*offset_m)
    # An upload keeps those a little way beside the image, so that they can be moved onto it.
    found = found.near()
    for shared in (found.pixels, found.ground):
        shared.setflags(write=False)
    return found
