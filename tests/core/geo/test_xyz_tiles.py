"""Squares of a browser map: where they lie, what they show, and what is refused."""

from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import Resampling

from core.errors import MissingBand, NoSuchMapTile
from core.geo import raster
from core.geo.grid import LONLAT, WEB_MERCATOR, Grid, transformer
from core.geo.raster import Raster
from core.geo.xyz_tiles import MAX_ZOOM, SIDE, max_zoom, read_xyz_tile, xyz_bounds
from tests.core.tile_factory import grid_at

HALF = 20_037_508.342789244


def write(path: Path, pixels: np.ndarray, grid: Grid, nodata: float | None = None) -> Path:
    return raster.write(path, Raster(pixels, grid, nodata))


def square_of(grid: Grid, zoom: int) -> tuple[int, int, int]:
    """The square in which the middle of a grid lies."""
    west, south, east, north = grid.bounds
    x, y = transformer(LONLAT, WEB_MERCATOR).transform((west + east) / 2, (south + north) / 2)
    size = 2 * HALF / 2**zoom
    return zoom, int((x + HALF) // size), int((HALF - y) // size)


def test_the_first_square_is_the_whole_earth():
    assert xyz_bounds(0, 0, 0) == pytest.approx((-HALF, -HALF, HALF, HALF))


@given(st.integers(0, MAX_ZOOM), st.data())
def test_four_squares_make_the_one_above(zoom, data):
    x, y = (data.draw(st.integers(0, 2**zoom - 1)) for _ in "xy")
    west, south, east, north = xyz_bounds(zoom, x, y)
    if zoom < MAX_ZOOM:
        first, last = xyz_bounds(zoom + 1, 2 * x, 2 * y), xyz_bounds(zoom + 1, 2 * x + 1, 2 * y + 1)
        assert (first[0], first[3], last[2], last[1]) == pytest.approx((west, north, east, south))


@pytest.mark.parametrize(
    "square", [(-1, 0, 0), (MAX_ZOOM + 1, 0, 0), (2, 4, 0), (2, 0, -1), (10**30, 0, 0), (5, 10**30, 1)]
)
def test_a_square_outside_the_pyramid_is_refused(square):
    with pytest.raises(NoSuchMapTile):
        xyz_bounds(*square)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("crs", [4326, 3857, 32611])
def test_a_square_inside_a_flat_raster_shows_its_value(tmp_path, dtype, crs):
    grid = grid_at(size=512)
    if crs != 32611:
        west, south, east, north = grid.bounds if crs == 4326 else raster.web_mercator_grid(grid).outline.bounds
        transform = rasterio.transform.from_bounds(west, south, east, north, 512, 512)
        grid = Grid(512, 512, transform, pyproj.CRS.from_epsg(crs))
    path = write(tmp_path / "flat.tif", np.full((3, 512, 512), 77, dtype), grid)
    found = read_xyz_tile(path, square_of(grid, 19), (3, 1))
    assert found is not None
    assert found.pixels.shape == (2, SIDE, SIDE)
    assert found.pixels.dtype == dtype
    assert (found.pixels[found.pixels != 0] == 77).all()
    assert (found.pixels == 77).mean() > 0.4


def test_a_square_beside_the_raster_shows_nothing(tmp_path):
    path = write(tmp_path / "a.tif", np.ones((1, 64, 64), np.uint8), grid_at())
    assert read_xyz_tile(path, (10, 0, 0), (1,)) is None


def test_outside_its_ground_there_is_its_nodata(tmp_path):
    path = write(tmp_path / "a.tif", np.full((1, 64, 64), 9, np.uint8), grid_at(), nodata=5)
    found = read_xyz_tile(path, square_of(grid_at(), 17), (1,))
    assert found is not None
    assert set(np.unique(found.pixels)) == {5, 9}
    assert not found.valid.all()


def test_the_picture_lies_where_it_is_on_the_ground(tmp_path):
    """A bright quarter of the raster is found in the square's pixels whose ground is that quarter."""
    grid = grid_at(size=256)
    pixels = np.full((1, 256, 256), 10, np.uint8)
    pixels[0, :128, :128] = 200
    path = write(tmp_path / "a.tif", pixels, grid)
    found = read_xyz_tile(path, square_of(grid, 18), (1,))
    assert found is not None
    rows, columns = np.nonzero(found.pixels[0] > 150)
    ground = found.grid.to_map(shapely.points(columns + 0.5, rows + 0.5))
    at = shapely.get_coordinates(grid.to_pixels(ground, WEB_MERCATOR))
    assert len(at) > 100
    assert (at > -1.5).all()
    assert (at < 129.5).all()


@pytest.mark.parametrize(
    "pixel", [(1, 0, 0, 1), (-1, 0, 0, -1), (0, 1, 1, 0)], ids=["south up", "mirrored", "turned by 90°"]
)
def test_a_raster_in_web_mercator_that_is_not_north_up_lies_where_it_is(tmp_path, pixel):
    a, b, d, e = (0.5 * part for part in pixel)
    grid = Grid(256, 256, Affine(a, b, 9_000_000, d, e, 3_000_000), WEB_MERCATOR)
    pixels = np.full((1, 256, 256), 10, np.uint8)
    pixels[0, :128, :100] = 200
    path = write(tmp_path / "a.tif", pixels, grid)
    found = read_xyz_tile(path, square_of(grid, 17), (1,))
    assert found is not None
    rows, columns = np.nonzero(found.pixels[0] > 150)
    ground = found.grid.to_map(shapely.points(columns + 0.5, rows + 0.5))
    at = shapely.get_coordinates(grid.to_pixels(ground, WEB_MERCATOR))
    assert len(at) > 100
    assert (at > -2.5).all()
    assert (at < (102.5, 130.5)).all()
    assert 17 <= max_zoom(grid) <= 19


def test_overviews_are_used_from_afar(tmp_path):
    """An overview that says something else than the pixels shows which of them was read."""
    grid = grid_at(size=1024)
    path = write(tmp_path / "a.tif", np.full((1, 1024, 1024), 50, np.uint8), grid)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], Resampling.nearest)
    for level, side in enumerate((512, 256, 128)):
        with rasterio.open(path, "r+", overview_level=level) as overview:
            overview.write(np.full((1, side, side), 150, np.uint8))
    near, far = (read_xyz_tile(path, square_of(grid, zoom), (1,)) for zoom in (19, 15))
    assert near is not None
    assert far is not None
    assert near.pixels.max() == 50
    assert far.pixels.max() > 100


def test_a_band_there_is_not_is_told(tmp_path):
    path = write(tmp_path / "a.tif", np.ones((1, 64, 64), np.uint8), grid_at())
    for bands in ((2,), (0,), (1, 999)):
        with pytest.raises(MissingBand, match=r"a\.tif has 1 bands"):
            read_xyz_tile(path, square_of(grid_at(), 18), bands)


def test_the_deepest_zoom_shows_every_pixel():
    for pixel_m in (0.1, 0.3, 0.5, 10.0, 1000.0):
        grid = grid_at(pixel_m=pixel_m)
        zoom = max_zoom(grid)
        side = 2 * HALF / SIDE / 2**zoom
        assert side <= raster.web_mercator_grid(grid).transform.a
        assert zoom == MAX_ZOOM or 2 * side > raster.web_mercator_grid(grid).transform.a


def test_no_zoom_is_deeper_than_the_pyramid():
    assert max_zoom(Grid(8, 8, Affine(1e-9, 0, 10, 0, -1e-9, 10), LONLAT)) == MAX_ZOOM
