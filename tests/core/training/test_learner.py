"""A network with its optimiser: what it computes in, and that its state fits on another machine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import DamagedCheckpoint
from core.runs.checkpoints import TrainerState
from core.runs.config import TrainingConfig
from core.runtime.device import Device
from core.runtime.keras_backend import start_keras
from core.training.learner import Learner

HERE = Path("run")


@pytest.fixture(autouse=True, scope="module")
def _keras():
    start_keras()


@pytest.mark.parametrize(
    ("device", "alone", "found"),
    [
        (Device(False), True, "float32"), (Device(True, 6), True, "float32"), (Device(True, 7), True, "float16"),
        (Device(True, 9), True, "bfloat16"), (Device(True, 9), False, "bfloat16"), (Device(True, 7), False, "float32"),
    ],
)  # fmt: skip
def test_half_the_bits_are_taken_where_the_devices_are_made_for_them(device, alone, found):
    assert device.precision("auto", alone) == found
    assert device.precision("float16", alone) == "float16"


def stepped(config: TrainingConfig) -> Learner:
    learner = Learner.build(config, 3)
    shape = (2, 16, 16)
    target = np.zeros((*shape, 1), np.uint8)
    learner.steps.train((np.ones((*shape, 3), np.float32), target, np.ones(shape, np.float32)), 1e-4)
    return learner


@pytest.mark.parametrize(("before", "after"), [("float16", "float32"), ("float32", "float16")])
def test_a_training_goes_on_where_the_arithmetic_is_another(before, after):
    config = TrainingConfig(precision=before)
    kept = stepped(config).checkpoint(TrainerState(1), config)
    learner = Learner.build(replace(config, precision=after, seed=1), 3)
    learner.restore(kept, HERE)
    again = learner.checkpoint(TrainerState(1), config)
    for saved, found in zip((*kept.weights, *kept.optimizer), (*again.weights, *again.optimizer), strict=True):
        np.testing.assert_array_equal(saved, found)


def test_the_state_of_another_network_is_refused():
    config = TrainingConfig()
    kept = Learner.build(config, 4).checkpoint(TrainerState(), config)
    with pytest.raises(DamagedCheckpoint):
        Learner.build(config, 3).restore(kept, HERE)
