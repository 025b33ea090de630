from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.catalog.scan import scan
from core.datasets.config import DatasetConfig
from core.datasets.samples import read_sample
from core.errors import DiskFull, NoSuchFrame
from core.rendering import colors
from core.runs import prediction_film as film_module
from core.runs.prediction_film import GAP_PX, WINDOW_PX, Film, PreviewBatch
from core.training.callbacks.film import FilmCallback
from tests.core.training.callbacks.conftest import SIDE, epoch

SCALE = WINDOW_PX // SIDE
STEP = WINDOW_PX + GAP_PX


def filmed(run, windows, *epochs, done=0) -> Film:
    strip = FilmCallback()
    strip.begin(run, windows, done)
    for one in epochs:
        strip.end_epoch(one)
    strip.close()
    return run.film


def table(film: Film, number: int) -> np.ndarray:
    """(rows, columns, WINDOW_PX, WINDOW_PX, 4) of a picture."""
    pixels = np.asarray(Image.open(film.image_file(number)))
    rows, columns = (round((length + GAP_PX) / STEP) for length in pixels.shape[:2])
    assert pixels.shape == (rows * STEP - GAP_PX, columns * STEP - GAP_PX, 4)
    starts = [[(row * STEP, column * STEP) for column in range(columns)] for row in range(rows)]
    return np.array([[pixels[y : y + WINDOW_PX, x : x + WINDOW_PX] for y, x in row] for row in starts])


def middle(window: np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in window[WINDOW_PX // 2, WINDOW_PX // 2, :3])


def test_a_run_without_a_film_has_no_frames(run):
    assert run.film.frames == []


def test_a_frame_is_added_after_every_epoch(run, windows):
    film = filmed(run, windows, *(epoch(number) for number in (1, 2, 10)))
    assert film.frames == [1, 2, 10]


def test_frames_of_other_windows_go_since_they_would_stand_beside_the_wrong_truth(run, windows):
    filmed(run, windows, *(epoch(number) for number in (1, 2)))
    assert filmed(run, windows, done=2).frames == [1, 2]
    assert filmed(run, replace(windows, target=1 - windows.target), done=2).frames == []


def test_a_picture_has_a_row_for_each_of_image_truth_and_prediction_and_a_column_for_each_window(run, windows):
    film = filmed(run, windows, epoch(1, probability=1.0))
    shown = table(film, 1)
    assert shown.shape[:2] == (len(film.rows), len(windows.target)) == (3, 2)
    assert middle(shown[1, 0]) == colors.rgb(colors.TRUTH)
    assert middle(shown[2, 0]) == middle(shown[2, 1]) == colors.rgb(colors.PREDICTION)
    assert middle(shown[1, 1]) not in (colors.rgb(colors.TRUTH), colors.rgb(colors.HALO))


def test_the_image_row_is_the_windows_own_red_green_and_blue(run, windows):
    pixels = windows.pixels.copy()
    pixels[..., :3] = 0
    pixels[0, :16, :, 0] = pixels[1, 16:, :, 2] = 1
    shown = table(filmed(run, replace(windows, pixels=pixels), epoch(1)), 1)[0]
    assert middle(shown[0, : WINDOW_PX // 2].repeat(2, axis=0)) == (255, 0, 0)
    assert tuple(shown[1, -1, -1]) == (0, 0, 255, 255)
    assert tuple(shown[1, 0, 0]) == (0, 0, 0, 255)


def test_the_walls_of_the_truth_lie_over_the_prediction(run, windows):
    shown = table(filmed(run, windows, epoch(1, probability=0.9)), 1)[2, 0, ..., :3]
    wall = shown[WINDOW_PX // 2, 8 * SCALE]
    halo = shown[WINDOW_PX // 2, 8 * SCALE - 1]
    assert tuple(wall) == colors.rgb(colors.TRUTH)
    assert tuple(halo) == colors.rgb(colors.HALO)


def test_a_house_cut_by_the_windows_edge_has_no_wall_there_and_none_in_the_next_window(run, windows):
    target = windows.target.copy()
    target[0, 8:24, 20:] = 1
    shown = table(filmed(run, replace(windows, target=target), epoch(1, probability=0.9)), 1)[2, ..., :3]
    assert tuple(shown[0, WINDOW_PX // 2, -1]) == tuple(shown[1, 0, 0])
    assert len(np.unique(shown[1].reshape(-1, 3), axis=0)) == 1


def test_every_pixel_is_a_square(run, windows):
    grown = table(filmed(run, windows, epoch(1)), 1)[0, 0]
    squares = grown.reshape(SIDE, SCALE, SIDE, SCALE, 4)
    assert (squares == squares[:, :1, :, :1]).all()


def test_the_page_shines_through_between_the_windows_only(run, windows):
    alpha = np.asarray(Image.open(filmed(run, windows, epoch(1)).image_file(1)))[..., 3]
    assert (alpha[WINDOW_PX:STEP] == 0).all()
    assert (alpha[:, WINDOW_PX:STEP] == 0).all()
    assert (alpha == 255).sum() == 6 * WINDOW_PX**2


def test_the_more_probable_a_building_the_bluer(run, windows):
    film = filmed(run, windows, *(epoch(number, probability=number / 4) for number in (1, 2, 3)))
    blues = [middle(table(film, number)[2, 1])[2] for number in film.frames]
    assert blues == sorted(set(blues))


def test_ground_without_a_picture_is_grey_in_every_row(run, windows):
    valid = windows.valid.copy()
    valid[1] = False
    shown = table(filmed(run, replace(windows, valid=valid), epoch(1)), 1)
    assert {middle(row[1]) for row in shown} == {colors.rgb(colors.EXCLUDED)}
    assert {middle(row[0]) for row in shown}.isdisjoint({colors.rgb(colors.EXCLUDED)})


def test_a_probability_that_is_no_number_is_drawn_as_none(run, windows):
    film = filmed(run, windows, epoch(1, probability=float("nan")), epoch(2, probability=0.0))
    assert film.image_file(1).read_bytes() == film.image_file(2).read_bytes()


def test_a_resumed_training_drops_what_lies_beyond_its_whole_epochs(run, windows):
    film = filmed(run, windows, *(epoch(number, probability=0.1) for number in (1, 2, 3)))
    first, third = (film.image_file(number).read_bytes() for number in (1, 3))
    filmed(run, windows, done=2)
    assert film.frames == [1, 2]
    with pytest.raises(NoSuchFrame, match="run first has no validation preview of epoch 3"):
        film.image_file(3)
    filmed(run, windows, epoch(3, probability=0.9), done=2)
    assert film.image_file(1).read_bytes() == first
    assert film.image_file(3).read_bytes() != third


def test_only_the_pictures_looked_at_last_are_kept(run, windows, monkeypatch):
    monkeypatch.setattr(film_module, "MAX_FRAMES", 2)
    film = filmed(run, windows, *(epoch(number) for number in range(1, 6)))
    paths = [film.image_file(number) for number in film.frames]
    assert [path.is_file() for path in paths] == [False, False, False, True, True]
    assert film.image_file(1).is_file()


def test_a_film_is_small(run, windows):
    """Image and truth lie there once: an epoch more is one small file."""
    film = filmed(run, windows, epoch(1))
    before = {path.name for path in film.path.iterdir()}
    film.add(2, epoch(2).probability)
    assert {path.name for path in film.path.iterdir()} - before == {"epoch-00002.png"}
    assert (film.path / "epoch-00002.png").stat().st_size < 2 * SIDE * SIDE


def test_a_frame_that_cannot_be_written_leaves_the_others(run, windows, monkeypatch):
    film = filmed(run, windows, epoch(1))

    def full(*_args, **_named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(DiskFull):
        film.add(2, epoch(2).probability)
    monkeypatch.undo()
    assert film.frames == [1]
    assert film.image_file(1).is_file()
    assert not [path for path in film.path.iterdir() if path.name.startswith(".")]


def test_real_windows_make_a_picture(run, shared):
    tile = scan(shared / "spacenet" / "SN2_buildings" / "AOI_2_Vegas_Train").tiles[0]
    scene = read_sample(tile, DatasetConfig(), 3)
    cut = (slice(128, 256), slice(128, 256))
    real = PreviewBatch(scene.pixels[cut][None] / 2047, scene.target[cut][None, ..., 0], scene.valid[cut][None])
    film = Film(run.path / "film")
    film.begin(real, 0)
    film.add(1, real.target.astype(np.float32))
    shown = table(film, 1)
    assert len(np.unique(shown[0].reshape(-1, 4), axis=0)) > 1000, "a photograph has many colours"
    assert film.image_file(1).stat().st_size < 200_000
