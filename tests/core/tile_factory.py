"""Made-up tiles of 64×64 pixels for the tests of chips, dataset, training and prediction."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pyproj
import shapely
from affine import Affine
from rasterio.features import rasterize
from shapely import Polygon, box

from core.catalog.tile import Tile
from core.datasets.config import DatasetConfig
from core.geo import raster
from core.geo.grid import LONLAT, Grid, reproject

UTM = pyproj.CRS.from_epsg(32611)
#: Crops of 32 pixels on tiles resampled to 64: one second an epoch.
SMALL = DatasetConfig(size=64, chip=32, step=16, border_px=1.0)
#: (column, row) of the tile.
HOUSES = (box(8, 8, 24, 24), box(36, 30, 56, 50))


def grid_at(column: float = 0, row: float = 0, size: int = 64, pixel_m: float = 0.5) -> Grid:
    """A square in Nevada, moved by so many pixels."""
    transform = Affine(pixel_m, 0, 660_000, 0, -pixel_m, 4_000_000) @ Affine.translation(column, row)
    return Grid(size, size, transform, UTM)


def make_tile(
    folder: Path, name: str = "img1", grid: Grid | None = None, eight: bool = False,
    houses: Sequence[Polygon] = HOUSES, empty_columns: int = 0,
) -> Tile:  # fmt: skip
    """Bright houses on dark noisy ground, with the files of a SpaceNet tile; the first columns without a picture."""
    grid = grid or grid_at()
    random = np.random.default_rng(len(name))
    inside = rasterize(houses, grid.shape) if houses else np.zeros(grid.shape)
    colour = (random.integers(20, 60, (3, *grid.shape)) + 150 * inside).astype(np.uint8)
    colour[:, :, :empty_columns] = 0
    products = {"3band": raster.write(folder / f"3band_{name}.tif", raster.Raster(colour, grid))}
    if eight:
        coarse = grid.resized(grid.width // 4, grid.height // 4)
        bands = (colour[:1, ::4, ::4].astype(np.uint16) * 10).repeat(8, 0) + np.arange(8, dtype=np.uint16)[
            :, None, None
        ]
        products["8band"] = raster.write(folder / f"8band_{name}.tif", raster.Raster(bands, coarse))
    return Tile(
        id=name, aoi="AOI_0_Made", products=products, footprints=write_labels(folder / f"{name}.geojson", grid, houses),
        footprint=grid.footprint, width=grid.width, height=grid.height, bands=3, dtype="uint8", crs="EPSG:32611",
        gsd_m=grid.gsd_m, buildings=len(houses), built_share=None, nodata_share=None,
    )  # fmt: skip


def make_real_tile(folder: Path, name: str = "img1", grid: Grid | None = None) -> Tile:
    """The same in real numbers: a corner of 12 pixels is NaN, the declared no-data, and so is some green."""
    tile = make_tile(folder, name, grid)
    image = raster.read(tile.image)
    pixels = image.pixels.astype(np.float32)
    pixels[:, :12, :12] = pixels[1, 40:50, 40:50] = np.nan
    raster.write(tile.image, raster.Raster(pixels, image.grid, nodata=np.nan))
    return replace(tile, dtype="float32")


def write_labels(path: Path, grid: Grid, houses: Sequence[Polygon]) -> Path:
    """The houses as GeoJSON in longitude and latitude."""
    ground = reproject(grid.to_map(np.array(houses, dtype=object)), grid.crs, LONLAT) if len(houses) else []
    features = [
        {"type": "Feature", "properties": {}, "geometry": orjson.loads(shapely.to_geojson(shape))} for shape in ground
    ]
    path.write_bytes(orjson.dumps({"type": "FeatureCollection", "features": features}))
    return path
