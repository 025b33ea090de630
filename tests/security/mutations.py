"""GeoTIFFs of all codecs, cut short or with bytes flipped; the same number is always the same file."""

import random
from pathlib import Path

import numpy as np
import rasterio

from tests.core.tile_factory import grid_at

CODECS = ("none", "lzw", "deflate", "packbits", "zstd", "jpeg")
#: Where the header and most tags of the whole files are.
_HEADER = 1200


def write_whole(folder: Path) -> None:
    """One small whole file a codec: three bands, tiled, with overviews, tags, no-data."""
    noise = np.random.default_rng(0).integers(1, 255, (3, 64, 16)).repeat(4, axis=2).astype(np.uint8)
    for codec in CODECS:
        layout = {"width": 64, "height": 64, "count": 3, "dtype": "uint8", "nodata": 0, "compress": codec}
        blocks = {"tiled": True, "blockxsize": 32, "blockysize": 32}
        where = {"crs": "EPSG:32611", "transform": grid_at().transform}
        with rasterio.open(folder / f"{codec}.tif", "w", driver="GTiff", **layout, **blocks, **where) as dataset:
            dataset.write(noise)
            dataset.update_tags(made="up")
            dataset.build_overviews([2])


def mutated(folder: Path, number: int) -> bytes:
    """One in five is cut short; the others have 1 to 64 bytes replaced, mostly in the header."""
    chance = random.Random(number)
    whole = bytearray((folder / f"{CODECS[number % len(CODECS)]}.tif").read_bytes())
    if number % 5 == 0:
        return bytes(whole[: chance.randrange(8, len(whole))])
    end = min(_HEADER, len(whole)) if chance.random() < 0.6 else len(whole)
    for _ in range(chance.choice([1, 2, 4, 16, 64])):
        whole[chance.randrange(4, end)] = chance.randrange(256)
    return bytes(whole)
