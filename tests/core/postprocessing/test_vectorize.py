"""Probability to polygons: the shapes that went in come out, whole or in blocks."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from scipy.ndimage import gaussian_filter

from core.errors import NoSuchPath
from core.geo.grid import LONLAT, Grid
from core.geo.raster import Raster, write
from core.postprocessing import vectorize as tracing
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.vectorize import footprints, vectorize_layers

UTM = CRS.from_epsg(32611)


def grid_of(shape, pixel=0.5):
    return Grid(shape[1], shape[0], Affine(pixel, 0, 664_000, 0, -pixel, 4_005_000), UTM)


def drawn(shape, size=64):
    """Probability 1 on the share of each pixel that the shape covers, as a good network would say."""
    y, x = np.divmod(np.arange(size * size), size)
    pixels = shapely.box(x, y, x + 1, y + 1)
    return shapely.area(shapely.intersection(pixels, shape)).reshape(size, size).astype(np.float32)


def in_pixels(probability, block=tracing.BLOCK, **options):
    grid = grid_of(probability.shape)
    shaping = VectorizeConfig(**({"min_area_m2": 0} | options))
    return grid.to_pixels(footprints(probability, grid, shaping, block).geometries)


def iou(a, b):
    return a.intersection(b).area / a.union(b).area


CIRCLE = shapely.Point(31.3, 30.8).buffer(14)
RECTANGLE = shapely.affinity.rotate(shapely.box(14, 20, 48, 41), 27)
RING = shapely.box(10, 12, 50, 52) - shapely.box(22, 24, 38, 40)


@pytest.mark.parametrize("shape", [CIRCLE, RECTANGLE, RING], ids=["circle", "rectangle", "ring"])
def test_a_drawn_shape_comes_back(shape):
    (found,) = in_pixels(drawn(shape))
    assert iou(found, shape) > 0.95
    assert len(found.interiors) == len(shape.interiors)


@pytest.mark.parametrize("shape", [CIRCLE, RECTANGLE, RING], ids=["circle", "rectangle", "ring"])
def test_a_hard_mask_comes_back(shape):
    (found,) = in_pixels((drawn(shape) > 0.5).astype(np.float32))
    assert iou(found, shape) > 0.95


def test_outlines_lie_where_the_pixels_lie():
    mask = np.zeros((64, 64), np.float32)
    mask[10:30, 20:50] = 1
    (found,) = in_pixels(mask)
    assert found.bounds == pytest.approx((20, 10, 50, 30))


def test_footprints_carry_crs_area_confidence_and_numbers():
    mask = np.zeros((64, 64), np.float32)
    mask[5:15, 5:25], mask[40:60, 30:40] = 0.8, 0.6
    found = footprints(mask, grid_of(mask.shape))
    assert found.crs == UTM
    assert found.frame["id"].tolist() == [1, 2]
    assert found.confidence == pytest.approx([0.8, 0.6], abs=1e-6)
    assert found.area_m2 == pytest.approx([50, 50], rel=0.15)


def test_shapes_at_the_rim_close_and_stay_inside():
    everything = np.ones((40, 64), np.float32)
    (found,) = in_pixels(everything, threshold=0.2)
    assert found.bounds == pytest.approx((0, 0, 64, 40))
    assert found.area == pytest.approx(64 * 40, abs=1)


def test_small_shapes_are_left_out():
    mask = np.zeros((64, 64), np.float32)
    mask[5:9, 5:9], mask[30:50, 30:50] = 1, 1
    assert len(footprints(mask, grid_of(mask.shape))) == 1
    assert len(footprints(mask, grid_of(mask.shape), VectorizeConfig(min_area_m2=0))) == 2
    assert len(footprints(mask, grid_of(mask.shape, pixel=2))) == 2


@pytest.mark.parametrize("nothing", [0.0, np.nan, -9999.0, 0.3])
def test_a_raster_without_buildings_has_no_footprints(nothing):
    probability = np.full((64, 64), nothing, np.float32)
    found = footprints(probability, grid_of(probability.shape))
    assert len(found) == 0
    assert found.crs == UTM


@pytest.mark.parametrize("nodata", [np.nan, -9999.0])
def test_no_data_beside_a_building_does_not_move_its_outline(nodata):
    mask = np.zeros((64, 64), np.float32)
    mask[10:30, 20:50] = 1
    (expected,) = in_pixels(mask)
    mask[:10] = nodata
    (found,) = in_pixels(mask)
    assert found.equals(expected)


def test_growing_gives_back_the_border_that_training_left_out():
    whole = shapely.box(8, 12, 54, 50)
    taught = drawn(whole.buffer(-2, join_style="mitre"))
    (found,), (small,) = in_pixels(taught, grow_px=2), in_pixels(taught)
    assert iou(small, whole) < 0.85
    assert iou(found, whole) > 0.95
    assert len(found.exterior.coords) <= 13


def test_growing_stays_inside_the_raster():
    (found,) = in_pixels(np.ones((64, 64), np.float32), grow_px=3)
    assert found.equals(shapely.box(0, 0, 64, 64))


def test_shrinking_away_leaves_nothing():
    assert len(in_pixels(drawn(shapely.box(20, 20, 24, 24)), grow_px=-5)) == 0


def test_confidence_does_not_depend_on_growing():
    mask = drawn(CIRCLE) * 0.9
    grid = grid_of(mask.shape)
    assert footprints(mask, grid, VectorizeConfig(grow_px=2)).confidence == footprints(mask, grid).confidence


def test_a_sliver_without_a_pixel_centre_takes_its_pixel_s_value():
    probability = np.full((4, 4), 0.25, np.float32)
    probability[2, 1] = 0.75
    slivers = np.array([shapely.box(1.1, 2.1, 1.3, 2.3), shapely.box(0, 0, 2, 2)], dtype=object)
    assert tracing._mean_probability(slivers, probability, tracing.PixelWindow(0, 0, 4, 4)).tolist() == [0.75, 0.25]


def test_degrees_work_like_metres():
    mask = drawn(RECTANGLE)
    grid = Grid(64, 64, Affine(5.4e-6, 0, -115.2, 0, -4.5e-6, 36.2), LONLAT)
    found = footprints(mask, grid)
    assert iou(grid.to_pixels(found.geometries)[0], RECTANGLE) > 0.97
    assert found.area_m2[0] == pytest.approx(RECTANGLE.area * np.prod(grid.pixel_m), rel=0.02)


def blotches(size=256):
    """Shapes of every size, also across the seams, a few wider than a block."""
    noise = np.random.default_rng(3).normal(size=(2, size, size))
    fine, coarse = gaussian_filter(noise[0], 2), gaussian_filter(noise[1], 9)
    return (0.3 + 0.15 * (fine / fine.std() + coarse / coarse.std())).clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("block", [32, 50, 100])
def test_blocks_give_the_polygons_of_one_pass(block, monkeypatch):
    probability = blotches()
    grid = grid_of(probability.shape)
    whole = footprints(probability, grid)
    monkeypatch.setattr(tracing, "MARGINS", (8, 256))
    blocks = footprints(probability, grid, block=block)
    assert len(whole) > 50
    assert shapely.equals_exact(blocks.geometries, whole.geometries, tolerance=0).all()
    assert blocks.confidence == pytest.approx(whole.confidence)


def test_a_shape_wider_than_every_margin_is_cut_without_overlap(monkeypatch):
    monkeypatch.setattr(tracing, "MARGINS", (4, 8))
    pieces = in_pixels(np.ones((64, 64), np.float32), block=16, simplify_px=0)
    assert len(pieces) == 16
    assert shapely.area(pieces).sum() == pytest.approx(64 * 64, abs=1)
    assert shapely.union_all(pieces).area == pytest.approx(64 * 64, abs=1)


#: rasterio 1.4.4 multiplies transforms the way affine 3 would rather not see.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_a_file_gives_what_its_pixels_give(tmp_path):
    probability = blotches(128)
    grid = grid_of(probability.shape)
    path = write(tmp_path / "probability.tif", Raster(probability[None], grid))
    expected = footprints(probability, grid, VectorizeConfig(simplify_px=0.3, grow_px=1))
    found = vectorize_layers(path, VectorizeConfig(simplify_px=0.3, grow_px=1), block=50)
    assert len(found) == len(expected) > 0
    assert shapely.area(shapely.symmetric_difference(found.geometries, expected.geometries)).max() < 1e-6


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NoSuchPath, match=r"none\.tif"):
        vectorize_layers(tmp_path / "none.tif")


RECTANGLES = st.tuples(st.integers(0, 56), st.integers(0, 56), st.integers(3, 40), st.integers(3, 40))


@settings(deadline=None)
@given(st.lists(RECTANGLES, min_size=1, max_size=6))
def test_the_area_is_that_of_the_mask(rectangles):
    mask = np.zeros((64, 64), np.float32)
    for column, row, width, height in rectangles:
        mask[row : row + height, column : column + width] = 1
    found = in_pixels(mask, simplify_px=0)
    # A marching square cuts an eighth of a pixel off each corner, and adds as much where a corner looks inward.
    corners = shapely.get_num_coordinates(found).sum()
    assert shapely.area(found).sum() == pytest.approx(mask.sum(), abs=corners / 8)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 2), st.floats(-1, 3))
def test_every_footprint_is_a_valid_polygon_inside_the_raster(seed, simplify_px, grow_px):
    noise = np.random.default_rng(seed).random((32, 32), dtype=np.float32)
    found = in_pixels(noise, simplify_px=simplify_px, grow_px=grow_px)
    assert shapely.is_valid(found).all()
    assert (shapely.get_type_id(found) == shapely.GeometryType.POLYGON).all()
    assert len(found) == 0 or shapely.box(-1e-6, -1e-6, 32 + 1e-6, 32 + 1e-6).contains(shapely.union_all(found))
