import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from core import training
from core.backend import start_keras
from core.catalog.store import Catalog
from core.errors import Diverged, InvalidSetting, RunExists, TooFewTiles, UnknownNetwork
from core.prediction import load_network
from core.progress import silent
from core.runs import Run, TrainingConfig
from core.settings import settings
from core.training import train, train_task
from tests.core.made_up import HOUSES, SMALL, grid_at, make_real_tile, make_tile

QUICK = TrainingConfig(epochs=2, batch=8, seed=7, recipe=SMALL)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    return [make_tile(folder, f"img{n}", grid_at(100 * n), eight=True) for n in range(3)]


def test_a_run_tells_everything_that_was_trained(tiles, tmp_path):
    said = []
    run = train(tiles, replace(QUICK, name="first"), tmp_path / "run", lambda share, doing: said.append((share, doing)))
    assert run.is_finished
    assert run.config.name == "first"
    assert run.record.bands == 4
    assert run.record.parameters == 3_761_858
    assert run.record.gsd_m == pytest.approx((0.5, 0.5), rel=1e-3)
    assert sorted(run.record.train_tiles + run.record.validation_tiles) == ["img0", "img1", "img2"]
    assert "keras" in run.record.versions
    assert run.record.device
    table = run.metrics()
    assert list(table["epoch"]) == [1, 2]
    assert np.isfinite(table[["loss", "val_loss", "accuracy", "val_accuracy", "seconds"]]).all(axis=None)
    assert "Epoch 2 of 2" in run.log_text
    shares = [share for share, _ in said]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert said[-1][1].startswith("epoch 2 of 2, batch 3 of 3, loss ")


def test_the_same_seed_gives_the_same_losses(tiles, tmp_path):
    once, again = (train(tiles, QUICK, tmp_path / name).metrics() for name in ("once", "again"))
    np.testing.assert_allclose(once["loss"], again["loss"], rtol=1e-5)
    np.testing.assert_allclose(once["val_loss"], again["val_loss"], rtol=1e-5)


@pytest.mark.slow
def test_the_network_learns_what_bright_houses_look_like(tiles, tmp_path):
    run = train(tiles, replace(QUICK, epochs=30), tmp_path / "run")
    table = run.metrics()
    assert table["val_loss"].iloc[-1] < table["val_loss"].iloc[0]
    assert table["val_iou"].iloc[-1] > 0.5


def test_stopping_between_epochs_leaves_a_usable_run(tiles, tmp_path):
    class Stop(Exception):
        pass

    def stop(_share: float, doing: str) -> None:
        if doing.startswith("epoch 2"):
            raise Stop

    with pytest.raises(Stop):
        train(tiles, QUICK, tmp_path / "run", stop)
    run = Run(tmp_path / "run")
    assert run.is_usable
    assert not run.is_finished
    assert len(run.metrics()) == 1


def test_a_loss_that_is_no_number_stops_training_and_leaves_no_weights(tiles, tmp_path, monkeypatch):
    def broken(name, bands, **options):
        model = real(name, bands, **options)
        model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
        return model

    real = training.build
    monkeypatch.setattr(training, "build", broken)
    with pytest.raises(Diverged, match="In epoch 1"):
        train(tiles, QUICK, tmp_path / "run")
    assert not Run(tmp_path / "run").is_usable


def test_a_weight_that_is_no_number_stops_training_though_the_loss_is_one(tiles, tmp_path, monkeypatch):
    def broken(model, *_):
        first, *others = model.get_weights()
        first[..., 0] = np.nan
        model.set_weights([first, *others])

    real = training.Journal.end_epoch
    monkeypatch.setattr(
        training.Journal, "end_epoch", lambda self, model, logs: (broken(model), real(self, model, logs))
    )
    with pytest.raises(Diverged, match="In epoch 1 the loss or a weight"):
        train(tiles, QUICK, tmp_path / "run")
    run = Run(tmp_path / "run")
    assert not run.is_usable
    assert "a weight is no number any more" in run.log_text


def test_images_of_real_numbers_with_a_corner_of_nan_are_learnt(tmp_path):
    tiles = [make_real_tile(tmp_path, f"img{n}", grid_at(100 * n)) for n in range(2)]
    run = train(tiles, replace(QUICK, epochs=1), tmp_path / "run")
    assert run.is_finished
    assert np.isfinite([*run.record.scaling.low, *run.record.scaling.high]).all()
    assert all(np.isfinite(weight).all() for weight in load_network(run).get_weights())


def test_what_cannot_be_trained_is_refused_before_anything_is_written(tiles, tmp_path):
    for config, error in (
        (replace(QUICK, network="unet9"), UnknownNetwork),
        (replace(QUICK, options={"depth": 3}), InvalidSetting),
        (replace(QUICK, options={"batch_norm": "yes"}), InvalidSetting),
    ):
        with pytest.raises(error):
            train(tiles, config, tmp_path / "run")
    with pytest.raises(TooFewTiles):
        train([replace(tile, footprints=None) for tile in tiles], QUICK, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_trained_over(tiles, tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(RunExists):
        train(tiles, QUICK, tmp_path)


def test_tiles_without_houses_train_without_a_fuss(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(100 * n), houses=()) for n in range(2)]
    run = train(tiles, replace(QUICK, epochs=1), tmp_path / "run")
    assert run.is_finished
    assert run.metrics()["val_accuracy"].between(0, 1).all()


def test_ground_without_a_picture_does_not_count(tmp_path):
    whole = [make_tile(tmp_path, f"img{n}", grid_at(100 * n), houses=HOUSES, empty_columns=32) for n in range(2)]
    run = train(whole, replace(QUICK, epochs=1), tmp_path / "run")
    assert run.metrics()["accuracy"].between(0, 1).all()


@pytest.fixture
def queued(tiles, tmp_path, monkeypatch) -> dict:
    """A job's parameters in an installation whose catalogue has the tiles."""
    monkeypatch.setattr(training, "settings", lambda: replace(settings(), data=tmp_path))
    monkeypatch.setattr(training, "read_catalog", lambda: Catalog(tuple(tiles)))
    config = {"epochs": 1, "batch": 8, "recipe": {"size": 64, "chip": 32, "step": 32}}
    return {"run": "mine", "tiles": ["img0", "img1"], "config": config}


def test_a_job_trains_the_named_tiles_into_the_named_folder(queued, tmp_path):
    train_task(queued, silent)
    run = Run(tmp_path / "runs" / "mine")
    assert run.is_finished
    assert sorted(run.record.train_tiles + run.record.validation_tiles) == ["img0", "img1"]
    with pytest.raises(RunExists):
        train_task(queued, silent)


def test_a_job_that_was_interrupted_starts_again(queued, tmp_path):
    def die(_share: float, doing: str) -> None:
        if doing.startswith("epoch"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_task(queued, die)
    assert not Run(tmp_path / "runs" / "mine").is_usable
    train_task(queued, silent)
    assert Run(tmp_path / "runs" / "mine").is_finished


def test_importing_training_and_prediction_does_not_import_keras():
    code = (
        "import sys, core.training, core.prediction, core.runs;"
        " sys.exit(bool({'keras', 'tensorflow'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_seed_reaches_keras():
    start_keras(5)
    import keras

    first = keras.random.uniform((3,)).numpy().tolist()
    start_keras(5)
    assert keras.random.uniform((3,)).numpy().tolist() == first
