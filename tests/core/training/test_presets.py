"""Ready-made choices, and what `train` makes of words beside them."""

import pytest

from core.cli.train import training_config
from core.errors import InvalidSetting
from core.runs.config import TrainingConfig
from core.training.presets import PRESETS, UNLIMITED_EPOCHS, preset, recommended
from core.training.train import check_network
from models.registry import NETWORKS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_trained_and_says_what_it_costs(name):
    config = preset(name).config
    check_network(config)
    assert config.minutes == preset(name).minutes > 0
    assert f"{config.minutes:g} min" in preset(name).title


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_settings_it_is_trained_with(name):
    check_network(recommended(name))
    assert recommended(name).network == name


def test_the_baseline_is_the_thesis_as_it_stands():
    assert recommended("fcn") == TrainingConfig()


def test_an_unknown_preset_is_refused_by_name():
    with pytest.raises(InvalidSetting, match="quick, good, best"):
        preset("perfect")


def test_what_is_named_beside_a_preset_wins():
    found = training_config({"preset": "quick", "seed": 7, "gsd_m": 0.5, "options": {"width": 8}, "minutes": None})
    assert (found.seed, found.dataset.gsd_m, found.options["width"]) == (7, 0.5, 8)
    assert found.minutes == preset("quick").minutes


def test_near_infrared_comes_and_goes_with_a_word():
    assert training_config({"network": "unet", "bands": 0}).dataset.bands == 0
    assert training_config({"network": "fcn", "bands": 3}).dataset.bands == 3
    assert training_config({"preset": "quick", "bands": None}).dataset.bands == 3


def test_epochs_instead_of_minutes_and_minutes_instead_of_epochs():
    assert training_config({"preset": "quick", "epochs": 3}).minutes == 0
    assert training_config({"preset": "quick", "epochs": 3}).epochs == 3
    assert training_config({"network": "fcn", "minutes": 2.0}).epochs == UNLIMITED_EPOCHS


def test_another_network_keeps_the_minutes_of_the_preset_and_none_of_its_options():
    found = training_config({"preset": "good", "network": "distance"})
    assert (found.network, found.minutes, dict(found.options)) == ("distance", preset("good").minutes, {})


def test_what_is_for_a_fast_machine_is_checked_more_seldom():
    assert preset("best").config.epoch_crops > preset("good").config.epoch_crops == TrainingConfig().epoch_crops
    assert training_config({"preset": "best", "network": "unet"}).epoch_crops == preset("best").epoch_crops
    assert training_config({"preset": "best", "epoch_crops": 900}).epoch_crops == 900


def test_nothing_named_is_the_default_network():
    assert training_config({}) == recommended("unet")


def test_a_resolution_that_is_named_is_kept_whatever_the_tiles_have():
    found = training_config({"preset": "good", "gsd_m": 0.5}).dataset
    assert found.for_gsd(0.1) == found
    assert found.gsd_m == 0.5
