import numpy as np
import pytest

from core.chips import turned
from models.fitting import cut, figures, optimizer_for, steps, sums
from models.registry import build


def _sums(truth, building, weight) -> np.ndarray:
    building = np.asarray(building, np.float32)
    guess = np.stack([1 - building, building], -1)
    return np.asarray(sums(np.asarray(truth, np.uint8), guess, np.asarray(weight, np.float32)), float)


def test_the_figures_count_what_the_weights_let_through():
    found = figures(_sums([[[1, 1, 0, 0, 1]]], [[[0.9, 0.2, 0.8, 0.1, 0.1]]], [[[1, 1, 1, 1, 0]]]))
    assert found.pop("loss") == pytest.approx(-np.log([0.9, 0.2, 0.2, 0.9]).mean(), rel=1e-5)
    assert found == pytest.approx({"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "iou": 1 / 3})


def test_a_figure_divided_by_nothing_is_not_a_number():
    found = figures(_sums(np.zeros((1, 1, 2)), [[[0.1, 0.1]]], np.ones((1, 1, 2))))
    assert found["accuracy"] == 1
    assert np.isnan([found["precision"], found["recall"], found["iou"]]).all()


def test_pixels_without_weight_change_nothing():
    stepping = steps(build("fcn", 3), optimizer_for("float32"))
    pixels = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    target, weight = np.zeros((1, 16, 16), np.uint8), np.ones((1, 16, 16), np.float32)
    weight[:, 8:] = 0
    lies = target.copy()
    lies[:, 8:] = 1
    truth, lie = (stepping.check((pixels, t, weight)) for t in (target, lies))
    np.testing.assert_allclose(truth, lie, rtol=1e-6)
    assert truth[1] == 128


def test_the_rate_of_a_step_is_the_one_that_is_asked_for():
    model = build("fcn", 3)
    stepping = steps(model, optimizer_for("float32"))
    pixels = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    batch = pixels, np.ones((1, 16, 16), np.uint8), np.ones((1, 16, 16), np.float32)
    before = [w.copy() for w in model.get_weights()]
    stepping.train(batch, 0.0)
    assert all((w == b).all() for w, b in zip(model.get_weights(), before, strict=True))
    stepping.train(batch, 1e-3)
    assert any((w != b).any() for w, b in zip(model.get_weights(), before, strict=True))


@pytest.mark.parametrize("symmetry", range(8))
def test_the_device_cuts_and_turns_as_the_host_does(symmetry):
    random = np.random.default_rng(symmetry)
    scenes = random.random((3, 12, 10, 4), np.float32), random.integers(0, 2, (3, 12, 10), np.uint8)
    scenes = (*scenes, random.random((3, 12, 10), np.float32))
    places = np.array([[0, 0, 0, symmetry], [2, 5, 3, symmetry], [1, 4, 2, 0]], np.int32)
    for scene, got in zip(scenes, cut(scenes, places, 7), strict=True):
        wanted = np.stack([turned(scene[n, r : r + 7, c : c + 7], turn) for n, r, c, turn in places])
        np.testing.assert_array_equal(np.asarray(got), wanted)


def test_the_symmetries_are_eight():
    window = np.arange(9).reshape(3, 3)
    assert len({turned(window, n).tobytes() for n in range(8)}) == 8
