"""Arrays as pictures: what has no picture is transparent, colours mean what the legend says, overlays lie in place."""

import io
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from shapely import box

from core.catalog.tile import Tile
from core.errors import NoImage, NoLabels, UnsupportedRaster
from core.geo import raster as rasters
from core.geo.grid import LONLAT, WEB_MERCATOR, Grid
from core.geo.raster import Raster
from core.rendering import colors, images
from core.rendering.images import (
    LAYERS,
    Stretch,
    apply_stretch,
    area_stretch,
    color_distance,
    color_mask,
    color_probability,
    distance_level,
    draw,
    draw_outlines,
    encode_image,
    map_bounds,
    on_background,
    on_black,
    overlay,
    probability_overlay,
    ramp_css,
    thumbnail,
    xyz_image,
)
from tests.core.geo.test_xyz_tiles import square_of
from tests.core.tile_factory import HOUSES, grid_at, make_tile


def decoded(data):
    """(rows, columns, channels)"""
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.fixture
def tile(tmp_path):
    return make_tile(tmp_path)


# Stretch


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_an_image_is_stretched_over_what_it_holds(dtype):
    ramp = np.linspace(10, 200, 64 * 64).reshape(64, 64).astype(dtype)
    rgba = apply_stretch(Raster(np.stack([ramp] * 3), grid_at()))
    assert (rgba.shape, rgba.dtype) == ((64, 64, 4), np.uint8)
    assert (rgba[0, 0, 0], rgba[-1, -1, 0]) == (0, 255)
    assert (np.diff(rgba[..., 0].ravel().astype(int)) >= 0).all()
    assert (rgba[..., 3] == 255).all()


def test_no_data_is_transparent_and_does_not_dull_the_rest():
    pixels = np.tile(np.linspace(100, 110, 64), (3, 64, 1)).astype(np.float32)
    alone = apply_stretch(Raster(pixels[:, 32:], grid_at()))
    pixels[:, :32] = 0
    rgba = apply_stretch(Raster(pixels, grid_at()))
    assert not rgba[:32, :, 3].any()
    assert np.array_equal(rgba[32:], alone)


def test_one_band_is_grey():
    rgba = apply_stretch(Raster(np.arange(1, 65, dtype=np.uint16).reshape(1, 8, 8), grid_at(size=8)))
    assert rgba.shape == (8, 8, 4)
    assert np.array_equal(rgba[..., 0], rgba[..., 2])
    assert np.ptp(rgba[..., 0]) == 255


@pytest.mark.parametrize("value", [0, 7])
def test_a_tile_of_one_colour_and_a_tile_without_a_picture_can_be_drawn(value):
    rgba = apply_stretch(Raster(np.full((3, 8, 8), value, np.uint8), grid_at(size=8)))
    assert (rgba[..., 3] == (255 if value else 0)).all()


def test_not_a_number_is_transparent():
    pixels = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    pixels[:, 2] = np.nan
    rgba = apply_stretch(Raster(pixels, grid_at(size=8)))
    assert not rgba[2, :, 3].any()
    assert np.ptp(rgba[3:, :, 0]) > 200


def test_tiles_of_an_area_join_without_seams(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(64 * n)) for n in range(3)]
    stretch = area_stretch(tiles)
    assert stretch.low.shape == stretch.high.shape == (3,)
    assert (stretch.low < stretch.high).all()
    value = np.full((3, 4, 4), 100, np.uint8)
    drawn = [apply_stretch(Raster(value, grid_at(shift, size=4)), stretch) for shift in (0, 4)]
    assert np.array_equal(*drawn)


def test_a_damaged_neighbour_does_not_spoil_the_area(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}") for n in range(2)]
    tiles[1].image.write_bytes(b"no image")
    assert np.array_equal(area_stretch(tiles).high, area_stretch(tiles[:1]).high)


# Colours


def test_a_mask_has_one_colour():
    mask = np.array([[0, 255]], np.uint8)
    assert color_mask(mask, colors.TRUTH).tolist() == [[[0, 0, 0, 0], [*colors.rgb(colors.TRUTH), 255]]]


def test_inside_is_red_outside_is_blue_the_wall_is_white():
    red, blue, white = color_distance(np.array([[64.0, -64.0, 0.0]], np.float32))[0, :, :3].astype(int)
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]
    assert white.min() > 235


def test_the_legend_has_its_marks_where_the_colours_are():
    assert distance_level(np.array(images.DISTANCE_MARKS)).tolist() == [-1, -0.5, -0.25, 0, 0.25, 0.5, 1]
    assert ramp_css("RdBu_r").count("#") == 9


def test_the_less_probable_is_the_more_transparent():
    rgba = color_probability(np.array([[0.0, 0.1, 0.5, 1.0, np.nan]], np.float32))
    assert rgba[0, :, 3].tolist() == [0, 50, 254, 255, 0]


def test_what_is_transparent_is_painted_dark():
    rgba = np.array([[[200, 200]], [[100, 100]], [[50, 50]], [[255, 0]]], np.uint8)
    flat = on_black(Raster(rgba, grid_at(size=1)))
    assert flat.pixels[:, 0, 0].tolist() == [200, 100, 50]
    assert flat.pixels[:, 0, 1].tolist() == list(colors.rgb(colors.HALO))


def test_outlines_are_drawn_on_the_walls_and_nowhere_else():
    black = Raster(np.zeros((4, 64, 64), np.uint8), grid_at())
    drawn = draw_outlines(black, np.array(HOUSES), colors.TRUTH).pixels
    assert drawn[:, 16, 8].tolist() == [*colors.rgb(colors.TRUTH), 255]
    assert not drawn[:, 16, 16].any()
    assert not drawn[:, 60, 4].any()
    assert not black.pixels.any()
    assert np.array_equal(draw_outlines(black, np.empty(0, object), colors.TRUTH).pixels, black.pixels)


# Layers of a tile


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_is_drawn_on_the_tile_s_own_grid(tmp_path, layer):
    drawn = draw(make_tile(tmp_path, houses=(box(8, 8, 24, 24), box(27, 8, 44, 24))), layer)
    assert (drawn.pixels.shape, drawn.pixels.dtype, drawn.grid) == ((4, 64, 64), np.uint8, grid_at())
    assert len(np.unique(drawn.pixels.reshape(4, -1), axis=1).T) > 1


@pytest.mark.parametrize("layer", ["image", "mask", "outlines"])
def test_a_large_tile_is_drawn_smaller(tmp_path, monkeypatch, layer):
    monkeypatch.setattr(images, "MAX_SIDE", 32)
    drawn = draw(make_tile(tmp_path), layer)
    assert drawn.pixels.shape == (4, 32, 32)
    assert drawn.grid == grid_at().resized(32, 32)
    if layer == "mask":
        assert drawn.pixels[3, 8, 8] == 255
        assert drawn.pixels[3, 2, 2] == 0


def test_a_very_long_tile_can_be_drawn(tmp_path):
    grid = Grid(5000, 1, grid_at().transform, grid_at().crs)
    path = rasters.write(tmp_path / "3band_long.tif", Raster(np.ones((3, 1, 5000), np.uint8), grid))
    tile = replace(make_tile(tmp_path), products={"3band": path}, width=5000, height=1)
    assert draw(tile, "image").pixels.shape == (4, 1, 2048)
    assert decoded(thumbnail(tile).data).size > 0


def test_eight_bands_are_shown_in_natural_colours(tmp_path):
    bands = np.arange(1, 9, dtype=np.uint16)[:, None, None] * np.linspace(10, 100, 64).astype(np.uint16)
    path = rasters.write(tmp_path / "MUL_x.tif", Raster(bands.repeat(64, 1), grid_at()))
    assert images._read_reduced(path, (64, 64)).pixels[:, 0, 0].tolist() == [50, 30, 20]


def test_what_is_missing_is_told(tile):
    with pytest.raises(NoImage):
        draw(replace(tile, products={}), "image")
    with pytest.raises(NoLabels):
        draw(replace(tile, footprints=None), "mask")
    tile.image.write_bytes(b"no image")
    for do in (thumbnail, lambda tile: draw(tile, "image"), lambda tile: map_bounds(tile.image)):
        with pytest.raises(UnsupportedRaster, match=tile.image.name):
            do(tile)


# Files for browsers


@pytest.mark.parametrize("layer", ["mask", "distance", "boundary"])
def test_labels_keep_every_pixel(tile, layer):
    drawn = draw(tile, layer).pixels
    found = np.moveaxis(decoded(encode_image(draw(tile, layer), photo=False)), 2, 0)
    seen = drawn[3] > 0
    assert np.array_equal(found[:3, seen], drawn[:3, seen])
    assert np.array_equal(found[3] if len(found) == 4 else np.full_like(seen, 255, np.uint8), drawn[3])


def test_photographs_are_close_and_smaller(tile):
    drawn = draw(tile, "image")
    drawn.pixels[3, :8] = 0
    photo = encode_image(drawn, photo=True)
    found = np.moveaxis(decoded(photo), 2, 0)
    assert found.shape == drawn.pixels.shape
    assert found.mean(axis=(1, 2)) == pytest.approx(drawn.pixels.mean(axis=(1, 2)), abs=8)
    assert len(photo) < len(encode_image(drawn, photo=False))


def test_a_flat_picture_has_the_tile_s_own_pixels_and_bounds(tile):
    found = on_background(draw(tile, "mask"), photo=False)
    pixels = decoded(found.data)
    assert (pixels.shape, found.bounds) == ((64, 64, 3), grid_at().bounds)
    assert pixels[16, 16].tolist() == list(colors.rgb(colors.TRUTH))
    assert pixels[0, 0].tolist() == list(colors.rgb(colors.HALO))


@pytest.mark.parametrize(
    "grid",
    [grid_at(), Grid(64, 64, Affine(2.7e-6, 0, -115.2, 0, -2.7e-6, 36.2), LONLAT)],
    ids=["utm", "degrees"],
)
def test_an_overlay_lies_between_the_bounds_the_map_is_told(tmp_path, grid):
    tile = make_tile(tmp_path, grid=grid)
    found = overlay(draw(tile, "mask"))
    assert found.media_type == "image/webp"
    assert found.bounds == map_bounds(tile.image)
    west, south, east, north = found.bounds
    assert (west, south, east, north) == pytest.approx(grid.bounds, abs=5e-6)
    alpha = decoded(found.data)[..., 3] > 127
    rows, columns = np.nonzero(alpha)
    (there,) = grid.to_map(np.array([HOUSES[0].union(HOUSES[1])]))
    target = Grid(*alpha.shape[::-1], _between(found.bounds, alpha.shape), LONLAT)
    (expected,) = target.to_pixels(np.array([there]), grid.crs)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == pytest.approx(expected.bounds, abs=2.5)


def _between(bounds, shape):
    west, south, east, north = bounds
    return Affine((east - west) / shape[1], 0, west, 0, (south - north) / shape[0], north)


def test_a_thumbnail_is_small(tmp_path):
    found = thumbnail(make_tile(tmp_path, grid=grid_at(size=600), houses=()))
    assert max(decoded(found.data).shape[:2]) <= 1.2 * images.THUMBNAIL_SIDE


def test_a_probability_file_is_shown_in_place(tmp_path):
    grid = Grid(64, 64, Affine(0.5, 0, 9_000_000, 0, -0.5, 3_000_000), WEB_MERCATOR)
    probability = np.zeros((1, 64, 64), np.float32)
    probability[0, 8:24, 8:24] = 0.9
    found = probability_overlay(rasters.write(tmp_path / "p.tif", Raster(probability, grid)))
    alpha = decoded(found.data)[..., 3]
    assert (alpha.shape, found.bounds) == ((64, 64), grid.bounds)
    assert (alpha[16, 16], alpha[40, 40]) == (255, 0)


def test_a_stretch_without_a_picture_is_one():
    found = Stretch.of([Raster(np.zeros((3, 4, 4), np.uint8), grid_at(size=4))])
    assert (found.low.tolist(), found.high.tolist()) == ([0, 0, 0], [1, 1, 1])


def test_a_few_tiles_among_thousands_listed_give_the_areas_stretch(tmp_path):
    tile = make_tile(tmp_path, "img1")
    listed = [Tile.listed(f"img{n}", tile.aoi, tile.footprint) for n in range(2, 3000)]
    alone, among = area_stretch([tile]), area_stretch([*listed, tile])
    np.testing.assert_array_equal(alone.high, among.high)
    assert alone.high.max() > 100


def test_a_square_of_three_bands_is_a_picture_of_those(tmp_path):
    tile = make_tile(tmp_path, "img1", grid_at(size=512), eight=True)
    place = square_of(grid_at(size=512), 18)
    images = [xyz_image(tile, place, area_stretch([tile], bands), bands) for bands in (None, (7, 5, 3))]
    assert all(picture.data[8:12] == b"WEBP" for picture in images)
    assert images[0].data != images[1].data


def test_a_square_beside_the_tile_is_transparent(tmp_path):
    tile = make_tile(tmp_path, "img1")
    blank = xyz_image(tile, (3, 0, 0), area_stretch([tile]))
    assert not np.asarray(Image.open(io.BytesIO(blank.data)).convert("RGBA")).any()


def test_infinite_and_missing_values_do_not_darken_a_band():
    pixels = np.linspace(0, 100, 3 * 64 * 64, dtype=np.float32).reshape(3, 64, 64)
    pixels[0, 0, 0], pixels[1, 0, 0], pixels[2] = np.inf, -np.inf, np.nan
    pixels[2, 0, 0] = 1.0
    raster = Raster(pixels, grid_at())
    stretch = Stretch.of([raster])
    assert np.isfinite(stretch.low).all()
    assert np.isfinite(stretch.high).all()
    assert apply_stretch(raster, stretch)[..., 0].max() == 255
