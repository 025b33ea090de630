import numpy as np
import pytest

from models.fitting import Batches, PixelScore, compile_for_pixels
from models.registry import build


def test_pixel_scores_count_what_the_weights_let_through():
    score = PixelScore()
    truth = np.array([[[1, 1, 0, 0, 1]]])
    building = np.array([[[0.9, 0.2, 0.8, 0.1, 0.1]]])
    weight = np.array([[[1, 1, 1, 1, 0]]])
    score.update_state(truth, np.stack([1 - building, building], -1), weight)
    figures = {name: float(value) for name, value in score.result().items()}
    assert figures == pytest.approx({"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "iou": 1 / 3})


def test_a_score_divided_by_nothing_is_not_a_number():
    score = PixelScore()
    score.update_state(np.zeros((1, 1, 2)), np.array([[[[0.9, 0.1]] * 2]]))
    figures = {name: float(value) for name, value in score.result().items()}
    assert figures["accuracy"] == 1
    assert np.isnan([figures["precision"], figures["recall"], figures["iou"]]).all()


def test_pixels_without_weight_do_not_change_the_loss():
    model = compile_for_pixels(build("fcn", 3), 1e-3)
    pixels = np.random.default_rng(0).random((1, 16, 16, 3), np.float32)
    target, weight = np.zeros((1, 16, 16), np.uint8), np.ones((1, 16, 16), np.float32)
    weight[:, 8:] = 0
    lies = target.copy()
    lies[:, 8:] = 1
    losses = [model.test_on_batch(pixels, t, weight, return_dict=True)["loss"] for t in (target, lies)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    halved = model.test_on_batch(pixels[:, :8], target[:, :8], weight[:, :8], return_dict=True)["loss"]
    assert losses[0] == pytest.approx(halved, rel=0.05)


def test_an_epoch_gives_every_crop_once_and_the_next_another_order():
    batches = Batches(lambda chosen: (chosen, chosen, chosen), count=10, batch=4, seed=3)

    def epoch() -> list[int]:
        return [int(n) for i in range(len(batches)) for n in batches[i][0]]

    first = epoch()
    batches.on_epoch_end()
    assert len(batches) == 3
    assert sorted(first) == list(range(10))
    assert sorted(epoch()) == list(range(10))
    assert epoch() != first
