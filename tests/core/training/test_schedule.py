"""How far a training is, by its epochs or by the clock."""

import time
from dataclasses import replace

import pytest

from core.datasets.config import DatasetConfig
from core.runs.checkpoints import TrainerState
from core.runs.config import TrainingConfig
from core.training.schedule import FINAL_RATE, Schedule, rate_at

CLOCK = TrainingConfig(epochs=100_000, minutes=1, schedule="cosine", learning_rate=1.0)


def at(seconds: float, config: TrainingConfig = CLOCK, check_s: float = 0.0) -> Schedule:
    return Schedule(config, 100, seconds, check_s, time.monotonic())


def test_by_the_clock_the_rate_ends_with_the_minutes_however_many_epochs_that_was():
    standing = TrainerState(epoch=3, crops_seen=50)
    assert at(0).rate(standing) == pytest.approx(FINAL_RATE, abs=0.01)
    assert at(3).rate(standing) == pytest.approx(1.0, abs=0.01)
    assert at(60).rate(standing) == pytest.approx(FINAL_RATE, abs=0.01)
    assert at(30).share(standing) == pytest.approx(0.5, abs=0.01)


def test_the_time_is_up_so_early_that_one_more_check_fits_in():
    assert not at(50).time_is_up
    assert at(50, check_s=11).time_is_up
    assert not at(1e9, replace(CLOCK, minutes=0)).time_is_up


def test_what_a_check_takes_is_not_kept_back_from_a_refit_that_is_to_come():
    refit = replace(CLOCK, refit=0.5, dataset=DatasetConfig(crops="drawn", gsd_m=0.5))
    assert at(50, check_s=11).is_over(False)
    assert not at(50, refit, check_s=11).is_over(False)
    assert at(50, refit, check_s=11).is_over(True)
    assert at(61, refit).is_over(False)
    assert not at(1e9, replace(refit, minutes=0)).is_over(False)


def test_by_epochs_the_rate_does_not_know_the_clock():
    config = replace(CLOCK, minutes=0.0, epochs=10)
    assert at(1e6, config).rate(TrainerState(epoch=5)) == rate_at(config, 0.5)
    assert at(0, config).describe(TrainerState(epoch=5)) == "Epoch 6 of 10"


def test_words_tell_minutes_instead_of_a_number_of_epochs_that_nobody_meant():
    assert at(30).describe(TrainerState(epoch=5)) == "Epoch 6, 0.5 of 1 min"


def test_a_refit_begins_with_the_epoch_that_begins_in_its_share():
    by_epochs = TrainingConfig(epochs=4, refit=0.5, dataset=DatasetConfig(crops="drawn", gsd_m=0.5))
    assert [at(0, by_epochs).refits(TrainerState(epoch=n)) for n in range(4)] == [False, False, True, True]
    assert not at(0, by_epochs).refits(TrainerState(epoch=1, crops_seen=99))
    by_clock = replace(by_epochs, minutes=1)
    assert not at(29, by_clock).refits(TrainerState())
    assert at(31, by_clock).refits(TrainerState())
    assert not at(59).refits(TrainerState()), "none was asked for"
