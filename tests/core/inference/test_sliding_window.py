from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.catalog.spacenet_names import eight_band_sibling
from core.errors import MissingBand, TruncatedRaster
from core.geo import raster
from core.geo.windows import PixelWindow
from core.inference.sliding_window import iter_windows, open_scene
from tests.core.tile_factory import grid_at, make_tile


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_windows_of_one_size_cover_every_pixel_once(width, height):
    grid = grid_at().resized(width, height)
    boxes = list(iter_windows(grid, 8, 1024))
    assert len({(box.width, box.height) for box in boxes}) == 1
    assert all(not number % 8 for box in boxes for number in (box.column, box.row, box.width, box.height))
    assert max(boxes[0].width, boxes[0].height) <= 1024
    assert sum(part.width * part.height for part in (box.clip(grid) for box in boxes)) == width * height
    assert all(min(box.clip(grid).width, box.clip(grid).height) > 0 for box in boxes)


def test_windows_of_a_large_scene_keep_to_the_blocks_of_its_file():
    assert {box.column % 512 for box in iter_windows(grid_at(size=5000), 8, 1024)} == {0}


def test_a_widened_box_is_cut_at_the_rim():
    assert PixelWindow(0, 8, 16, 16).expand(40) == PixelWindow(-40, -32, 96, 96)
    assert PixelWindow(-40, -32, 96, 96).clip(grid_at()) == PixelWindow(0, 0, 56, 64)


@pytest.mark.parametrize("pixels", [(64, 64), (100, 51), (37, 90)])
def test_windows_read_what_reading_the_whole_gives(tmp_path, pixels):
    tile = make_tile(tmp_path, eight=True)
    grid = grid_at().resized(*pixels)
    whole = np.concatenate(
        [
            raster.read(tile.image, (1, 2, 3), grid.shape).pixels.astype(float),
            raster.read(tile.products["8band"], (8,), grid.shape).pixels,
        ]
    )
    with open_scene(tile.image, tile.eight_bands, 4, grid) as picture:
        for box in (PixelWindow(0, 0, 16, 16), PixelWindow(8, 16, 24, 32), PixelWindow(21, 35, 16, 16)):
            got, valid = picture.read(box)
            rows, columns = slice(box.row, box.row + box.height), slice(box.column, box.column + box.width)
            np.testing.assert_allclose(got, np.moveaxis(whole[:, rows, columns], 0, -1), atol=1)
            assert valid.all()


@pytest.mark.parametrize(
    "box",
    [
        PixelWindow(-8, -8, 80, 80),
        PixelWindow(40, -15, 30, 50),
        PixelWindow(-200, 10, 500, 16),
        PixelWindow(8, 8, 16, 16),
    ],
)
def test_beyond_the_rim_the_picture_goes_on_mirrored_and_there_is_none(tmp_path, box):
    tile = make_tile(tmp_path)
    with open_scene(tile.image, None, 3, grid_at()) as picture:
        whole, _ = picture.read(PixelWindow(0, 0, 64, 64))
        got, valid = picture.read(box)
    around = [(500, 500), (500, 500)]
    there = np.s_[500 + box.row : 500 + box.row + box.height, 500 + box.column : 500 + box.column + box.width]
    np.testing.assert_array_equal(got, np.pad(whole, [*around, (0, 0)], mode="reflect")[there])
    np.testing.assert_array_equal(valid, np.pad(np.ones((64, 64), bool), around)[there])


def test_ground_without_a_picture_is_told(tmp_path):
    tile = make_tile(tmp_path, empty_columns=20)
    with open_scene(tile.image, None, 3, grid_at()) as picture:
        _, valid = picture.read(PixelWindow(0, 0, 64, 64))
    assert not valid[:, :20].any()
    assert valid[:, 20:].all()


def test_a_file_that_ends_too_early_is_named(tmp_path):
    tile = make_tile(tmp_path)
    whole = tile.image.read_bytes()
    Path(tile.image).write_bytes(whole[: len(whole) // 2])
    with (
        pytest.raises(TruncatedRaster, match=r"3band_img1\.tif is damaged"),
        open_scene(tile.image, None, 3, grid_at()) as picture,
    ):
        picture.read(PixelWindow(0, 0, 64, 64))


def test_an_image_named_by_a_relative_path_has_the_same_colours(tmp_path, monkeypatch):
    image = make_tile(tmp_path / "8band", "AOI_0_Made_img1", eight=True).products["8band"]
    monkeypatch.chdir(image.parent)
    relative = Path(image.name)
    with open_scene(relative, eight_band_sibling(relative), 4, raster.read_info(image).grid) as picture:
        assert picture.eight_bands is not None
        assert picture.color_bands == (5, 3, 2)


def test_an_image_with_too_few_bands_is_named(tmp_path):
    tile = make_tile(tmp_path)
    grey = raster.write(tmp_path / "PAN_img1.tif", raster.Raster(np.ones((1, 64, 64), np.uint8), grid_at()))
    for images, sentence in (((grey, None), "PAN_img1.tif has 1 bands"), ((tile.image, grey), "PAN_img1.tif has 1")):
        with pytest.raises(MissingBand, match=sentence), open_scene(*images, 4, grid_at()):
            pass
