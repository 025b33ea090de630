"""The ground kept for validation is learned from in the end, once it has told the thresholds."""

from dataclasses import replace

import numpy as np
import pytest
from shapely import box

from core.datasets.config import DatasetConfig
from core.datasets.dataset import read_dataset
from core.errors import InvalidSetting
from core.inference.ensemble import make_ensemble
from core.postprocessing.thresholds import DETACHED_RATIO
from core.runs.config import TrainingConfig
from core.runs.run import Run
from core.training.learner import Learner
from core.training.presets import recommended
from core.training.train import train
from core.training.trainer import Trainer
from tests.core.tile_factory import grid_at, make_tile
from tests.core.training.test_train import interrupting

RECIPE = DatasetConfig(chip=32, step=16, border_px=0, gsd_m=0.5, crops="drawn", bands=3)
FOUR = replace(recommended("unet"), options={"width": 4}, dataset=RECIPE, epochs=4, refit=0.5, batch=64)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    return [make_tile(folder, f"img{n}", grid_at(100 * n)) for n in range(3)]


@pytest.fixture(scope="module")
def run(tiles, tmp_path_factory) -> Run:
    return train(tiles, FOUR, tmp_path_factory.mktemp("refit") / "run")


def test_the_second_half_is_not_checked_and_its_last_epoch_predicts(run):
    checked = run.metrics()[["val_loss", "val_iou"]].notna().all(axis=1)
    assert checked.tolist() == [True, True, False, False]
    assert np.isfinite(run.metrics()["loss"]).all()
    assert run.best_epoch == 4
    assert run.is_finished


def test_the_thresholds_are_those_found_before(run):
    assert run.stored_thresholds is not None
    assert run.stored_thresholds["refitted"]
    assert run.refit_thresholds is None
    assert run.log_text.index("Thresholds tuned on validation data") < run.log_text.index("Epoch 3")


def test_where_buildings_stand_apart_a_training_says_so_and_parts_them_at_narrow_necks_only(run):
    assert run.log_text.count("Touching buildings are separated with default settings") == 1
    assert run.stored_thresholds["shaping"]["seed"] == DETACHED_RATIO


def test_where_houses_share_a_wall_it_says_nothing(tmp_path):
    """A terrace of five."""
    terrace = [box(8 + 9 * n, 20, 17 + 9 * n, 40) for n in range(5)]
    tiles = [make_tile(tmp_path, f"row{n}", grid_at(100 * n), houses=terrace) for n in range(2)]
    row = train(tiles, replace(FOUR, epochs=1, refit=0.0), tmp_path / "run")
    assert "Touching buildings" not in row.log_text


def test_every_tile_counts_as_trained_on(run, tiles):
    assert len(run.record.validation_tiles) == 1
    assert {run.role_of(tile.id) for tile in tiles} == {"train"}
    assert run.role_of("another") == "new"


def test_a_mean_with_one_of_them_has_seen_all_their_ground(run, tmp_path):
    mean = make_ensemble([run, run], tmp_path / "mean")
    assert {mean.role_of(tile) for tile in run.record.tiles} == {"train"}


def test_without_it_validation_ground_stays_unseen(tiles, tmp_path):
    run = train(tiles, replace(FOUR, epochs=2, refit=0.0), tmp_path / "run")
    assert run.metrics()["val_loss"].notna().all()
    assert sorted(run.role_of(tile.id) for tile in tiles) == ["train", "train", "validation"]
    assert run.stored_thresholds is not None
    assert not run.stored_thresholds["refitted"]


def test_interrupted_in_the_second_half_it_goes_on_there_with_the_same_thresholds(run, tiles, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tiles, FOUR, tmp_path / "run", interrupting("Epoch 4 of 4, batch 2 "))
    stopped = Run(tmp_path / "run")
    assert not stopped.is_finished
    assert stopped.refitted
    assert {stopped.role_of(tile.id) for tile in tiles} == {"train"}
    again = train(tiles, FOUR, tmp_path / "run", resume=True)
    np.testing.assert_allclose(again.metrics()["loss"], run.metrics()["loss"], rtol=1e-4)
    assert again.stored_thresholds == run.stored_thresholds


def test_what_a_parent_has_learned_from_does_not_check_its_child(run, tiles, tmp_path):
    child = train(tiles, replace(FOUR, epochs=6, refit=0.1), tmp_path / "child", parent=run)
    assert child.metrics()["val_loss"].notna().tolist() == [True, True, False, False, False, False]
    assert child.stored_thresholds == run.stored_thresholds
    assert "no validation data" in child.log_text


def test_tiles_between_both_sides_are_read_for_it_and_learned_from_in_the_end_only(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(64 * n)) for n in range(8)]
    plain, refit = (read_dataset(tiles, RECIPE, 0, refit=wanted) for wanted in (False, True))
    assert plain.buffer_tiles == refit.buffer_tiles != ()
    read, all_read = ({data.whole.samples[n].tile for n in data.whole.extents} for data in (plain, refit))
    assert all_read - read == set(refit.buffer_tiles)
    assert refit.train_tiles == plain.train_tiles
    assert refit.validation_tiles == plain.validation_tiles
    assert any("training continues on training and validation tiles" in note for note in refit.notes)


def test_only_drawn_crops_can_be_drawn_from_other_ground():
    with pytest.raises(InvalidSetting, match="drawn"):
        TrainingConfig(refit=0.5)


def test_several_machines_have_several_clocks_and_end_by_epochs(tiles, tmp_path):
    with pytest.raises(InvalidSetting, match="need epochs"):
        train(tiles, replace(FOUR, minutes=1.0), tmp_path / "run", strategy=object())
    assert not (tmp_path / "run").exists()


def test_other_machines_know_that_the_refit_had_begun(tiles, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        train(tiles, FOUR, tmp_path / "run", interrupting("Epoch 4 of 4, batch 2 "))
    checked: list[int] = []
    monkeypatch.setattr(Trainer, "_validate", lambda _self: checked.append(1))
    again = train(tiles, FOUR, tmp_path / "run", resume=True, chief=False)
    assert not checked, "the chief, which does not check either, would wait for it"
    assert again.refit_thresholds, "what is not the chief leaves nothing behind"


def test_tiles_that_lie_on_the_device_teach_the_same(run, tiles, tmp_path, monkeypatch):
    """As on a GPU, where crops are cut; what is checked comes from the processor's memory."""
    monkeypatch.setattr(Learner, "cache_on_device", lambda self, chips: self.steps.cache(chips.stacked(), chips.chip))
    held = train(tiles, FOUR, tmp_path / "held")
    figures = ["loss", "iou", "val_loss", "val_iou"]
    np.testing.assert_allclose(held.metrics()[figures], run.metrics()[figures], rtol=0.02)
