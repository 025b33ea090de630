"""GeoTIFFs as other programs write them, for the tests of what comes in."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from core.geo.grid import Grid
from core.types import Pixels
from tests.core.tile_factory import grid_at

REAL = ("float32", "float64")


def pixels_of(dtype: str = "uint8", bands: int = 3, shape: tuple[int, int] = (64, 64), seed: int = 0) -> Pixels:
    """Noise that uses much of the dtype; real numbers also with NaN."""
    random = np.random.default_rng(seed)
    if dtype in REAL:
        pixels = random.normal(size=(bands, *shape)).astype(dtype)
        pixels[:, :5, :7] = np.nan
        return pixels
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, (bands, *shape), dtype, endpoint=True)


def write_geotiff(path: Path, pixels: Pixels, grid: Grid | None = None, bare: bool = False, **profile: Any) -> Path:
    """As GDAL writes it by default; `bare` without any georeference."""
    bands, height, width = pixels.shape
    grid = grid or grid_at(size=width)
    place = {} if bare else {"crs": grid.crs.to_wkt(), "transform": grid.transform}
    facts = {"width": width, "height": height, "count": bands, "dtype": pixels.dtype.name, **place, **profile}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", **facts) as dataset:
            dataset.write(pixels)
    return path
