import resource
from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon, box

from core.catalog.tile import Tile
from core.datasets.chips import Chips
from core.datasets.config import DatasetConfig
from core.datasets.normalization import Normalization
from core.datasets.samples import read_sample
from core.datasets.symmetries import SYMMETRIES, apply_d4, invert_d4
from core.errors import CannotWrite, ExtentMismatch, InvalidSetting, MissingBand
from core.geo import raster
from core.geo.grid import LONLAT
from core.geo.vector import Footprints
from core.labels.labels import Labels
from core.labels.targets import building_target
from tests.core.tile_factory import SMALL, grid_at, make_tile


def labels_of(*houses: Polygon, size: int = 64) -> Labels:
    grid, pixels = grid_at(size=size), np.array(houses, dtype=object)
    return Labels(grid, pixels, grid.to_map(pixels))


def test_the_thesis_recipe_gives_49_crops_of_128_at_half_overlap():
    assert DatasetConfig().offsets(512).tolist() == [0, 64, 128, 192, 256, 320, 384]
    assert len(DatasetConfig().offsets(512)) ** 2 == 49


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 4), ("chip", 30), ("chip", 1024), ("step", 0), ("border_px", -1.0), ("normalization", "best")],
)
def test_a_recipe_that_cannot_be_followed_is_refused_by_name(name, value):
    with pytest.raises(InvalidSetting, match=f"Invalid value {value} for {name}: "):
        replace(DatasetConfig(), **{name: value})


def test_a_border_is_taken_out_along_walls_but_not_along_the_rim():
    target = building_target(labels_of(box(10, 10, 30, 30), box(-5, 40, 20, 60)), 2.0)
    expected = np.zeros((64, 64), np.uint8)
    expected[12:28, 12:28] = 1
    expected[42:58, 0:18] = 1
    np.testing.assert_array_equal(target, expected)


def test_footprints_cut_at_the_rim_keep_their_pixels_there():
    target = building_target(labels_of(box(0, 40, 20, 64)), 2.0)
    assert target[42:, :18].all()


def test_adjoining_houses_come_apart():
    target = building_target(labels_of(box(10, 10, 30, 30), box(30, 10, 50, 30)), 2.0)
    assert not target[:, 28:32].any()
    assert target[12:28, 12:28].all()
    assert target[12:28, 32:48].all()


def test_without_a_border_the_target_is_the_mask():
    labels = labels_of(box(10, 10, 30, 30))
    np.testing.assert_array_equal(building_target(labels, 0.0) * 255, labels.mask)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(6, 58)] * 2, st.floats(3, 14), st.integers(3, 9)), min_size=1, max_size=4),
    st.floats(0.5, 3),
)
def test_exactly_the_pixels_near_no_wall_stay(spots, border):
    houses = [shapely.Point(x, y).buffer(r, quad_segs=max(1, n // 2)) for x, y, r, n in spots]
    labels = labels_of(*houses)
    inside = shapely.box(1, 1, 63, 63)
    walls = shapely.union_all(shapely.intersection(shapely.boundary(labels.pixels), inside))
    rows, columns = np.indices((64, 64))
    distance = shapely.distance(shapely.points(columns + 0.5, rows + 0.5), walls)
    target = building_target(labels, border)
    sure = np.abs(distance - border) > 0.02  # a buffer's round corner is a polygon
    expected = (labels.mask > 0) & (distance > border)
    np.testing.assert_array_equal(target[sure], expected[sure])


def test_a_scene_has_three_channels_or_a_fourth_from_the_eighth_band(tmp_path):
    tile = make_tile(tmp_path, eight=True)
    three, four = read_sample(tile, SMALL, 3), read_sample(tile, SMALL, 4)
    assert three.pixels.shape == (64, 64, 3)
    assert four.pixels.shape == (64, 64, 4)
    assert four.pixels.dtype == np.float32
    assert four.full_scale == (255, 255, 255, 65535)
    eighth = raster.read(tile.products["8band"], (8,), (64, 64)).pixels[0]
    np.testing.assert_array_equal(four.pixels[..., 3], eighth)
    np.testing.assert_array_equal(four.pixels[..., :3], three.pixels)


def test_a_scene_is_resampled_with_its_labels(tmp_path):
    tile = make_tile(tmp_path, houses=[box(16, 16, 48, 48)])
    scene = read_sample(tile, replace(SMALL, size=128), 3)
    assert (*scene.grid.shape, 1) == scene.target.shape == (128, 128, 1)
    assert scene.grid.pixel_m == pytest.approx((0.25, 0.25), rel=1e-3)
    expected = np.zeros((128, 128), np.uint8)
    expected[33:95, 33:95] = 1
    np.testing.assert_array_equal(scene.target[..., 0], expected)


def test_eight_bands_of_another_tile_are_refused(tmp_path):
    here, there = make_tile(tmp_path, "a", eight=True), make_tile(tmp_path, "b", grid_at(64), eight=True)
    mixed = replace(here, products={**here.products, "8band": there.products["8band"]})
    with pytest.raises(ExtentMismatch, match=r"8band_b\.tif does not cover the same area as 3band_a\.tif"):
        read_sample(mixed, SMALL, 4)


def test_a_file_called_eight_bands_that_has_fewer_is_refused(tmp_path):
    tile, other = make_tile(tmp_path), make_tile(tmp_path, "other")
    with pytest.raises(MissingBand, match="has 3 bands, but band 8"):
        read_sample(replace(tile, products={**tile.products, "8band": other.image}), SMALL, 4)


def test_the_colours_of_a_tile_with_eight_bands_only_are_worldviews(tmp_path):
    tile = make_tile(tmp_path, eight=True)
    only = replace(tile, products={"8band": tile.products["8band"]})
    bands = raster.read(only.image, None, (64, 64)).pixels
    scene = read_sample(only, SMALL, 4)
    np.testing.assert_array_equal(scene.pixels, np.moveaxis(bands[[4, 2, 1, 7]], 0, -1))


def test_the_thesis_scaling_divides_by_the_largest_value_of_the_dtype(tmp_path):
    scene = read_sample(make_tile(tmp_path, eight=True), SMALL, 4)
    expected = scene.pixels / (255, 255, 255, 65535)
    scene.normalize(Normalization.divide_by_max(scene.full_scale))
    np.testing.assert_allclose(scene.pixels, expected, rtol=1e-6)


def test_percentiles_leave_out_ground_without_a_picture(tmp_path):
    scene = read_sample(make_tile(tmp_path, empty_columns=48), SMALL, 3)
    assert scene.valid[:, 49:].all()
    assert not scene.valid[:, :47].any()
    scaling = Normalization.from_percentiles([scene])
    low, high = np.percentile(scene.pixels[scene.valid], (2, 98), axis=0)
    assert scaling == Normalization(tuple(low), tuple(high))
    assert min(scaling.low) > 10


def test_scaled_pixels_stay_near_zero_to_one_whatever_the_sensor_says():
    pixels = np.array([[0.0, 5], [100, 5], [65535, 5]])
    scaled = Normalization((0, 5), (100, 5)).apply(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[0, 0], [1, 0], [2, 0]])


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_in_one_band_leaves_the_scaling_as_it_is(tmp_path, lost):
    scene = read_sample(make_tile(tmp_path), SMALL, 3)
    whole = Normalization.from_percentiles([scene])
    scene.pixels[:16, :16, 1] = lost
    scaling = Normalization.from_percentiles([scene])
    assert (scaling.low[0], scaling.high[2]) == (whole.low[0], whole.high[2])
    assert (scaling.low[1], scaling.high[1]) == pytest.approx((whole.low[1], whole.high[1]), abs=5)
    scene.normalize(scaling)
    assert np.isfinite(scene.pixels).all()


def test_no_data_of_real_numbers_is_0_in_the_scaled_picture():
    scaled = Normalization((5.0, 5.0), (10.0, 10.0)).apply(np.array([[np.nan, 7.5], [np.inf, -np.inf]]))
    np.testing.assert_allclose(scaled, [[0, 0.5], [2, -1]])


def test_a_band_without_any_number_gets_a_scaling_all_the_same(tmp_path):
    scene = read_sample(make_tile(tmp_path), SMALL, 3)
    scene.pixels[..., 2] = np.nan
    scaling = Normalization.from_percentiles([scene])
    assert (scaling.low[2], scaling.high[2]) == (0, 1)
    scene.normalize(scaling)
    assert not scene.pixels[..., 2].any()


def test_crops_are_cut_where_they_say_and_weigh_nothing_without_a_picture(tmp_path):
    scene = read_sample(make_tile(tmp_path, empty_columns=40), SMALL, 3)
    chips = Chips.of([scene], SMALL)
    pixels, target, weight = chips.crop_windows(chips.windows(np.arange(len(chips))))
    for n, (_, row, column) in enumerate(chips.origins):
        part = slice(row, row + 32), slice(column, column + 32)
        np.testing.assert_array_equal(pixels[n], scene.pixels[part])
        np.testing.assert_array_equal(target[n], scene.target[part])
        np.testing.assert_array_equal(weight[n], scene.valid[part])
    assert len(chips) == 6, "crops that show nothing are left out"


def test_a_crops_ground_is_where_its_pixels_lie(tmp_path):
    scene = read_sample(make_tile(tmp_path), SMALL, 3)
    chips = Chips.of([scene], SMALL)
    last = Labels.of(scene.grid, Footprints.of(chips.outlines, LONLAT)).pixels[-1]
    assert last.symmetric_difference(box(32, 32, 64, 64)).area < 1e-3


def test_rio_gives_four_channels_with_its_strip_edge_left_out(shared):
    folder = shared / "spacenet/SN1_buildings/AOI_1_Rio"
    image = folder / "3band/3band_AOI_1_RIO_img9.tif"
    grid = raster.read_info(image).grid
    tile = Tile(
        id="AOI_1_Rio_img9", aoi="AOI_1_Rio", footprint=grid.footprint, width=438, height=406, bands=3, dtype="uint8",
        products={"3band": image, "8band": folder / "8band/8band_AOI_1_RIO_img9.tif"}, crs="EPSG:4326",
        footprints=next((folder / "vectordata/geojson").rglob("*img9.geojson")),
        gsd_m=0.48, buildings=None, built_share=None, nodata_share=None,
    )  # fmt: skip
    scene = read_sample(tile, DatasetConfig(), 4)
    assert scene.pixels.shape == (512, 512, 4)
    assert scene.grid.pixel_m == pytest.approx((0.394, 0.394), abs=1e-3)
    assert 0.3 < scene.valid.mean() < 0.32
    assert 0.02 < scene.target.mean() < 0.03
    assert 0 < len(Chips.of([scene], DatasetConfig())) < 49


def test_a_scene_on_disk_is_the_same_and_is_scaled_where_it_lies(tmp_path):
    scene = read_sample(make_tile(tmp_path), SMALL, 3)
    kept = scene.on_disk(tmp_path / "scenes" / "0.npy")
    np.testing.assert_array_equal(kept.pixels, scene.pixels)
    scaling = Normalization((0.0,) * 3, (255.0,) * 3)
    kept.normalize(scaling)
    np.testing.assert_array_equal(np.load(tmp_path / "scenes" / "0.npy"), scaling.apply(scene.pixels))


def test_a_disk_without_room_for_a_scene_is_an_error_and_no_crash(tmp_path):
    scene = read_sample(make_tile(tmp_path), SMALL, 3)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(CannotWrite):
            scene.on_disk(tmp_path / "0.npy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("symmetry", range(SYMMETRIES))
def test_every_turn_can_be_taken_back(symmetry):
    window = np.arange(24).reshape(4, 3, 2)
    np.testing.assert_array_equal(invert_d4(apply_d4(window, symmetry), symmetry), window)
