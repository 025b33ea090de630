"""What networks are told of a pixel, and what a mistake costs."""

import numpy as np
import pytest

from core.labels.targets import encode_distance
from models.heads import HEADS, building_probability, building_truth, channels, decode, losses, split_heads
from models.losses import decode_distance
from models.registry import DISTANCE_RANGE_M, NETWORKS, TARGETS

THREE = ("mask", "edge", "distance")


def test_every_head_has_a_truth_and_every_network_only_heads_there_are():
    assert set(HEADS) == set(TARGETS)
    for network in NETWORKS.values():
        assert set(network.heads) <= set(HEADS)
        assert network.prediction_layers == 1 + network.predicts_distance


def test_a_distance_survives_its_byte():
    metres = np.linspace(-8, 8, 200, dtype=np.float32)
    back = np.asarray(decode_distance(encode_distance(metres)))
    np.testing.assert_allclose(back, np.clip(metres, -DISTANCE_RANGE_M, DISTANCE_RANGE_M), atol=0.024)
    assert encode_distance(np.zeros(1, np.float32)) == 128


@pytest.mark.parametrize("name", HEADS)
def test_being_right_costs_less_than_being_wrong(name):
    head = HEADS[name]
    truth = np.array([[128 + 60.0, 128 - 60.0]] if TARGETS[name] == "distance" else [[1.0, 0.0]], np.float32)
    right = {
        "classes": [[[0.1, 0.9], [0.9, 0.1]]],
        "bins": [[np.eye(32)[23] * 9, np.eye(32)[8] * 9]],
        "distance": [[[np.arctanh(60 / 127)], [np.arctanh(-60 / 127)]]],
    }.get(name, [[[4.0], [-4.0]]])
    good = np.asarray(head.loss(truth, np.array(right, np.float32)))
    bad = np.asarray(head.loss(truth, np.array(right, np.float32)[:, ::-1]))
    assert good.shape == (1, 2)
    assert (good < bad / 3).all()


def test_a_logit_that_is_very_wrong_costs_a_number():
    for logit in (-1e4, 1e4):
        [cost] = np.asarray(HEADS["mask"].loss(np.array([1.0], np.float32), np.array([[logit]], np.float32)))
        assert np.isfinite(cost)


def test_heads_lie_side_by_side_in_their_order():
    output = np.arange(3, dtype=np.float32).reshape(1, 1, 1, 3)
    assert {name: float(np.asarray(part).item()) for name, part in split_heads(THREE, output).items()} == {
        "mask": 0, "edge": 1, "distance": 2,
    }  # fmt: skip
    assert channels(THREE) == 3
    assert channels(("bins",)) == 32


def test_what_people_are_told_is_a_probability_and_metres():
    output = np.zeros((1, 2, 2, 3), np.float32)
    output[..., 0], output[..., 2] = 100, 100
    told = np.asarray(decode(THREE, output))
    assert told.shape == (1, 2, 2, 2)
    np.testing.assert_allclose(told[..., 0], 1)
    np.testing.assert_allclose(told[..., 1], DISTANCE_RANGE_M)
    intervals = np.zeros((1, 1, 1, 32), np.float32)
    intervals[..., 20] = 50
    [[[told]]] = np.asarray(decode(("bins",), intervals))
    assert told[0] == pytest.approx(1)
    assert told[1] == pytest.approx((20.5 / 32 * 2 - 1) * DISTANCE_RANGE_M, abs=1e-3)


def test_a_building_is_told_by_the_first_truth():
    assert np.asarray(building_truth(THREE, np.array([[1, 0, 0]], np.uint8))) == 1
    assert np.asarray(building_truth(("bins",), np.array([[127], [129]], np.uint8))).tolist() == [0, 1]


def test_losses_are_weighed_and_one_a_head():
    target = np.ones((1, 4, 4, 3), np.uint8)
    found = losses(THREE, target, np.zeros((1, 4, 4, 3), np.float32))
    assert len(found) == 3
    np.testing.assert_allclose(np.asarray(found[1]), 0.5 * np.log(2), rtol=1e-5)


def test_the_probability_of_the_thesis_is_its_second_class():
    softmax = np.array([[[[0.3, 0.7]]]], np.float32)
    assert np.asarray(building_probability(("classes",), softmax)).item() == pytest.approx(0.7)


def test_copies_are_asked_for_their_mean_and_learn_each_by_itself():
    heads = ("mask", "distance")
    one, other = (np.random.default_rng(n).normal(size=(2, 8, 8, 2)).astype(np.float32) for n in (0, 1))
    both = np.concatenate([one, other], axis=-1)
    told = [np.array(decode(heads, output)) for output in (one, other, both)]
    np.testing.assert_allclose(told[2], (told[0] + told[1]) / 2, atol=1e-6)
    target = np.stack([np.ones((2, 8, 8)), np.full((2, 8, 8), 150)], axis=-1).astype(np.uint8)
    costs = [np.array(losses(heads, target, output)) for output in (one, other, both)]
    np.testing.assert_allclose(costs[2], (costs[0] + costs[1]) / 2, atol=1e-6)
