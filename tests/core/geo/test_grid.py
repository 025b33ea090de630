"""Pixels and ground: affine both ways, areas and pixel sides true on the earth."""

from math import cos, pi

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from shapely import box

from core.geo.grid import LONLAT, WEB_MERCATOR, Grid, area_m2, reproject
from tests.core.tile_factory import UTM, grid_at

LATITUDES = [-75.0, -33.9, 0.0, 22.9, 36.2, 48.8, 70.0]


def square_on_ground(lat, side=100.0):
    """A square with geodesic sides around a place, in longitude and latitude."""
    x, y = np.array([-1, 1, 1, -1]) * side / 2, np.array([-1, -1, 1, 1]) * side / 2
    local = pyproj.CRS.from_dict({"proj": "aeqd", "lat_0": lat, "lon_0": 12.0, "datum": "WGS84"})
    return reproject(np.array([shapely.Polygon(np.column_stack([x, y]))]), local, LONLAT)


@pytest.mark.parametrize("lat", LATITUDES)
@pytest.mark.parametrize("crs", [LONLAT, WEB_MERCATOR, pyproj.CRS.from_epsg(32633)], ids=["degrees", "mercator", "utm"])
def test_a_hectare_is_a_hectare_at_every_latitude_in_every_crs(lat, crs):
    moved = reproject(square_on_ground(lat), LONLAT, crs)
    assert area_m2(moved, crs) == pytest.approx([10_000], rel=1e-3)


def test_no_shapes_have_no_area():
    assert area_m2(np.empty(0, object), LONLAT).tolist() == []


def test_reprojecting_drops_z_and_keeps_holes():
    solid = shapely.force_3d(box(500_000, 4_000_000, 500_100, 4_000_100) - box(500_040, 4_000_040, 500_060, 4_000_060))
    (moved,) = reproject(np.array([solid]), UTM, LONLAT)
    assert not moved.has_z
    assert len(moved.interiors) == 1
    assert solid.has_z


@given(
    st.tuples(*[st.floats(-2e-5, 2e-5)] * 4).filter(lambda m: abs(m[0] * m[3] - m[1] * m[2]) > 1e-12),
    st.floats(-170, 170), st.floats(-80, 80), st.floats(0, 5000), st.floats(0, 5000),
)  # fmt: skip
def test_pixels_come_back_from_the_ground(matrix, lon, lat, column, row):
    a, b, d, e = matrix
    grid = Grid(10, 10, Affine(a, b, lon, d, e, lat), LONLAT)
    house = np.array([box(column, row, column + 12, row + 7)])
    assert shapely.equals_exact(grid.to_pixels(grid.to_map(house)), house, tolerance=0.05).all()


def test_the_first_pixel_s_outer_corner_is_the_origin():
    grid = grid_at()
    (pixel,) = grid.to_pixels(np.array([box(660_000, 3_999_999.5, 660_000.5, 4_000_000)]))
    assert pixel.bounds == pytest.approx((0, 0, 1, 1))


def test_other_crs_reach_the_same_pixel():
    grid, house = grid_at(), np.array([box(8, 8, 24, 24)])
    lonlat = reproject(grid.to_map(house), UTM, LONLAT)
    assert shapely.hausdorff_distance(grid.to_pixels(lonlat, LONLAT), house).max() < 1e-6


@pytest.mark.parametrize("lat", LATITUDES)
def test_pixel_sides_are_metres_on_the_ground(lat):
    degrees = Grid(650, 650, Affine(2.7e-6, 0, -43.6, 0, -2.7e-6, lat), LONLAT)
    across, down = degrees.pixel_m
    sphere = 2.7e-6 * pi / 180 * 6_371_000
    assert across == pytest.approx(sphere * cos(lat * pi / 180), rel=0.008)
    assert down == pytest.approx(sphere, rel=0.008)
    assert degrees.gsd_m == pytest.approx((across * down) ** 0.5)


def test_web_mercator_metres_are_not_taken_for_metres():
    x, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(85.5, 60.0)
    across, down = Grid(64, 64, Affine(0.5, 0, x, 0, -0.5, y), WEB_MERCATOR).pixel_m
    assert (across, down) == pytest.approx((0.25, 0.25), rel=0.01)


def test_a_resized_grid_covers_the_same_ground():
    small = grid_at(size=64).resized(16, 32)
    assert small.shape == (32, 16)
    assert small.bounds == pytest.approx(grid_at(size=64).bounds, abs=1e-12)
    assert small.pixel_m == pytest.approx((2.0, 1.0), rel=1e-3)


def test_a_window_lies_where_its_first_pixel_lay():
    assert grid_at().window(8, 16, 10, 10) == grid_at(8, 16, 10)


def test_the_rim_of_a_turned_grid_is_turned():
    turned = Grid(100, 50, Affine.translation(660_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5), UTM)
    assert turned.outline.area == pytest.approx(100 * 50 * 0.25)
    assert shapely.box(*turned.outline.bounds).area > turned.outline.area * 1.5
    assert turned.is_on_earth


def grid_around(x, y, crs, half, size=64):
    """A square, north up, of `half` units to each side of a place."""
    pixel = 2 * half / size
    return Grid(size, size, Affine(pixel, 0, x - half, 0, -pixel, y + half), pyproj.CRS.from_epsg(crs))


@pytest.mark.parametrize(
    "grid",
    [
        grid_around(0, 0, 3031, 1_000_000),
        grid_around(300_000, 200_000, 3031, 1_000_000),
        grid_around(0, 0, 3995, 1_000_000),
        grid_around(819_000, 8_120_000, 32760, 600),
        grid_around(180, 10, 4326, 0.01),
        grid_around(12, 87, 4326, 0.01),
        grid_around(0, 0, 4326, 90),
    ],
    ids=["pole", "beside-the-pole", "north-pole", "date-line", "date-line-in-degrees", "87-north", "up-to-the-pole"],
)
def test_what_a_web_map_cannot_show_in_one_piece_is_not_on_it(grid):
    assert grid.is_on_earth
    assert not grid.is_on_map


@pytest.mark.parametrize(
    "grid",
    [
        grid_at(),
        grid_around(500_000, 2_000_000, 3031, 5_000),
        grid_around(818_000, 8_120_000, 32760, 300),
        grid_around(179.99, 10, 4326, 0.01),
        grid_around(500_000, 8_900_000, 32633, 500),
        grid_around(0, 0, 4326, 85),
        grid_around(0, 0, 3857, 20_037_508.342789244),
    ],
    ids=["nevada", "antarctica", "near-date-line", "up-to-the-date-line", "svalbard", "half-the-earth", "whole-map"],
)
def test_what_lies_between_the_date_line_and_85_degrees_is_on_the_map(grid):
    assert grid.is_on_map


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        (Affine(0.5, 0, 660_000, 0, -0.5, 4_000_000), LONLAT),
        (Affine(1e6, 0, 1e12, 0, -1e6, 1e12), UTM),
        (Affine(0, 0, 10, 0, 0, 10), LONLAT),
        (Affine(float("nan"), 0, 10, 0, -1, 10), LONLAT),
        (Affine(1, 0, 10, 0, -1, 10), pyproj.CRS.from_epsg(4978)),
        (Affine(1, 0, 10, 0, -1, 10), pyproj.CRS.from_wkt('LOCAL_CS["here",UNIT["metre",1]]')),
    ],
    ids=["metres-as-degrees", "beyond-utm", "no-size", "nan", "geocentric", "local"],
)
def test_what_leads_nowhere_is_not_on_earth(transform, crs):
    assert not Grid(8, 8, transform, crs).is_on_earth
