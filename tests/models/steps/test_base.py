import numpy as np
import pytest

from core.datasets.chips import Chips
from core.datasets.samples import Sample
from core.datasets.symmetries import apply_d4
from models.registry import NETWORKS, build
from models.steps.base import metric_sums, metrics_from_sums
from models.steps.crops import crop_windows
from models.steps.factory import make_steps, optimizer_for
from tests.core.tile_factory import grid_at

FCN = NETWORKS["fcn"].heads


def _sums(truth, building, weight) -> np.ndarray:
    building = np.asarray(building, np.float32)
    guess = np.stack([1 - building, building], -1)
    target = np.asarray(truth, np.uint8)[..., None]
    return np.asarray(metric_sums(FCN, target, guess, np.asarray(weight, np.float32)), float)


def test_the_figures_count_what_the_weights_let_through():
    found = metrics_from_sums(_sums([[[1, 1, 0, 0, 1]]], [[[0.9, 0.2, 0.8, 0.1, 0.1]]], [[[1, 1, 1, 1, 0]]]), FCN)
    assert found.pop("loss") == pytest.approx(-np.log([0.9, 0.2, 0.2, 0.9]).mean(), rel=1e-5)
    assert found == pytest.approx({"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "iou": 1 / 3})


def test_a_figure_divided_by_nothing_is_not_a_number():
    found = metrics_from_sums(_sums(np.zeros((1, 1, 2)), [[[0.1, 0.1]]], np.ones((1, 1, 2))), FCN)
    assert found["accuracy"] == 1
    assert np.isnan([found["precision"], found["recall"], found["iou"]]).all()


def test_pixels_without_weight_change_nothing():
    stepping = make_steps(build("fcn", 3), optimizer_for("float32"), FCN)
    pixels = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    target, weight = np.zeros((1, 16, 16, 1), np.uint8), np.ones((1, 16, 16), np.float32)
    weight[:, 8:] = 0
    lies = target.copy()
    lies[:, 8:] = 1
    truth, lie = (stepping.evaluate((pixels, t, weight)) for t in (target, lies))
    np.testing.assert_allclose(truth, lie, rtol=1e-6)
    assert truth[1] == 128


def test_the_rate_of_a_step_is_the_one_that_is_asked_for():
    model = build("fcn", 3)
    stepping = make_steps(model, optimizer_for("float32"), FCN)
    pixels = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    batch = pixels, np.ones((1, 16, 16, 1), np.uint8), np.ones((1, 16, 16), np.float32)
    before = [w.copy() for w in model.get_weights()]
    stepping.train(batch, 0.0)
    assert all((w == b).all() for w, b in zip(model.get_weights(), before, strict=True))
    stepping.train(batch, 1e-3)
    assert any((w != b).any() for w, b in zip(model.get_weights(), before, strict=True))


HEADS = ("mask", "edge", "distance")


@pytest.mark.parametrize("symmetry", range(8))
@pytest.mark.parametrize(("side", "degrees"), [(7, 0), (5, 0), (9, 0), (7, 30), (8, -45)])
def test_the_device_cuts_turns_zooms_and_rotates_as_the_host_does(symmetry, side, degrees):
    random = np.random.default_rng(symmetry)
    scenes = [
        Sample(
            f"s{n}", random.random((20, 18, 4), np.float32), random.integers(1, 256, (20, 18, 3), np.uint8),
            random.random((20, 18)) > 0.2, grid_at(), (1.0,) * 4, np.empty(0, object),
        )
        for n in range(3)
    ]  # fmt: skip
    chips = Chips(tuple(scenes), np.zeros((0, 3), np.intp), 7, ("mask", "edge", "distance"))
    places = [[0, 4, 4, symmetry, side, degrees], [2, 8, 5, symmetry, side, degrees], [1, 6, 3, 0, 7, 0]]
    where = np.array(places, np.int32)
    for wanted, got in zip(chips.crop_windows(where), crop_windows(chips.stacked(), where, 7, HEADS), strict=True):
        np.testing.assert_array_equal(np.asarray(got), wanted)


def test_what_is_looked_at_from_nearer_is_farther_from_its_walls():
    target = np.full((16, 16, 3), 128 + 40, np.uint8)
    scene = Sample(
        "s", np.zeros((16, 16, 3), np.float32), target, np.ones((16, 16), bool), grid_at(), (1.0,) * 3,
        np.empty(0, object),
    )  # fmt: skip
    chips = Chips((scene,), np.zeros((0, 3), np.intp), 16, ("mask", "edge", "distance"))
    _, nearer, _ = chips.crop_windows(np.array([[0, 0, 0, 0, 8, 0]], np.int32))
    assert set(np.unique(nearer[..., 2])) == {128 + 80}
    assert set(np.unique(nearer[..., 0])) == {168}


def test_the_symmetries_are_eight():
    window = np.arange(9).reshape(3, 3)
    assert len({apply_d4(window, n).tobytes() for n in range(8)}) == 8


def test_several_heads_tell_their_losses_apart_and_together():
    random = np.random.default_rng(0)
    target = random.integers(0, 2, (1, 8, 8, 3)).astype(np.uint8)
    total = np.asarray(
        metric_sums(HEADS, target, random.normal(size=(1, 8, 8, 3)).astype(np.float32), np.ones((1, 8, 8)))
    )
    assert len(total) == 6 + len(HEADS)
    found = metrics_from_sums(total, HEADS)
    assert found["loss"] == pytest.approx(sum(found[f"loss_{name}"] for name in HEADS), rel=1e-5)
    assert all(found[f"loss_{name}"] > 0 for name in HEADS)


def test_the_average_of_the_weights_lags_behind_them():
    model = build("unet", 3, width=4)
    optimizer = optimizer_for("float32", weight_decay=0.01, ema_momentum=0.9)
    heads = NETWORKS["unet"].heads
    stepping = make_steps(model, optimizer, heads)
    pixels = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    batch = pixels, np.ones((2, 32, 32, 3), np.uint8), np.ones((2, 32, 32), np.float32)
    path = []
    for _ in range(3):
        stepping.train(batch, 1e-2)
        path.append(np.asarray(model.trainable_weights[0]).copy())
    expected = path[0]
    for weights in path[1:]:
        expected = 0.9 * expected + 0.1 * weights
    np.testing.assert_allclose(np.asarray(optimizer._model_variables_moving_average[0]), expected, atol=1e-6)
