"""Engines agree, and every run finds one."""

from dataclasses import replace

import numpy as np
import pytest

from core.datasets.normalization import Normalization
from core.errors import InvalidSetting, RunExists
from core.inference import engine as engines
from core.inference.engine import load_engine, with_tta
from core.inference.ensemble import are_compatible, make_ensemble
from core.postprocessing.thresholds import Thresholds, load_thresholds
from core.runs.run import Record, Run
from core.runtime.keras_backend import start_keras
from core.training.learner import Learner
from core.training.presets import recommended
from models.layers import PercentileNormalization
from models.registry import NETWORKS, build

SMALL = {"unet": {"width": 8}, "distance": {"width": 8}, "fcn": {}}


def make_run(folder, network: str = "unet", seed: int = 0, **changes) -> Run:
    """Fresh weights."""
    start_keras(seed)
    config = replace(recommended(network), options=SMALL[network])
    scaling = Normalization((0.0, 10.0, 0.0), (255.0, 200.0, 255.0))
    record = Record(config, ("a",), ("b",), scaling, 3, (0.3, 0.3), 0, "", {})
    run = Run.create(folder, replace(record, **changes))
    run.save_weights(build(network, 3, **SMALL[network]), 1)
    return run


def window(network: str, side: int = 64) -> np.ndarray:
    halo = NETWORKS[network].halo
    return np.random.default_rng(0).uniform(0, 255, (side + 2 * halo, side + 2 * halo, 3)).astype(np.float32)


@pytest.mark.parametrize("network", SMALL)
def test_openvino_says_what_keras_says(tmp_path, network):
    run, pixels = make_run(tmp_path / "run", network), window(network)
    keras, openvino = load_engine(run, "keras")(pixels), load_engine(run, "openvino")(pixels)
    assert keras.shape == openvino.shape == (64, 64, NETWORKS[network].prediction_layers)
    assert np.ptp(keras[..., 0]) > 1e-4, "otherwise nothing is compared"
    np.testing.assert_allclose(openvino, keras, atol=1e-3)


def test_half_the_bits_are_nearly_as_good(tmp_path):
    run, pixels = make_run(tmp_path / "run"), window("unet")
    exact, rough = load_engine(run, "openvino")(pixels), load_engine(run, "openvino-bf16")(pixels)
    assert np.abs(exact[..., 0] - rough[..., 0]).max() < 0.1


def test_openvino_is_picked_where_it_is_installed_and_there_is_no_gpu(monkeypatch):
    assert engines._resolve("auto") == "openvino"
    monkeypatch.setattr(engines, "_is_tensorflow_without_gpu", lambda: False)
    assert engines._resolve("auto") == "keras"
    monkeypatch.undo()
    monkeypatch.setattr(engines, "find_spec", lambda _name: None)
    assert engines._resolve("auto") == "keras"
    with pytest.raises(InvalidSetting, match="not installed"):
        engines._resolve("openvino")
    with pytest.raises(InvalidSetting, match="must be one of auto"):
        engines._resolve("abacus")


def test_eight_turns_of_a_window_are_one_answer(tmp_path):
    engine = load_engine(make_run(tmp_path / "run"), "keras", tta=True)
    pixels = window("unet")
    first = engine(pixels)
    for turned in (pixels[::-1], pixels[:, ::-1], pixels.swapaxes(0, 1)):
        back = engine(np.ascontiguousarray(turned))
        undone = {0: back[::-1], 1: back[:, ::-1], 2: back.swapaxes(0, 1)}
        assert any(np.allclose(one, first, atol=1e-5) for one in undone.values())


def test_turning_asks_eight_times_and_adds_nothing():
    asked = []
    said = with_tta(lambda pixels: asked.append(1) or pixels[..., :1])(window("fcn", 8))
    assert len(asked) == 8
    np.testing.assert_allclose(said, window("fcn", 8)[..., :1], rtol=1e-6)


def test_an_ensemble_says_the_mean_of_its_members(tmp_path):
    members = [make_run(tmp_path / f"run{n}", seed=n) for n in range(2)]
    made, halo = make_ensemble(members, tmp_path / "both"), NETWORKS["ensemble"].halo
    pixels = np.random.default_rng(0).uniform(0, 255, (64 + 2 * halo, 64 + 2 * halo, 3)).astype(np.float32)
    own = NETWORKS["unet"].halo
    inner = pixels[halo - own : own - halo, halo - own : own - halo]
    expected = np.mean([load_engine(run, "keras")(inner) for run in members], axis=0)
    blend = NETWORKS["ensemble"].blend
    assert blend > 0
    np.testing.assert_allclose(load_engine(made, "keras")(pixels), expected, atol=1e-5)


def test_members_see_the_pixels_scaled_as_in_their_own_training(tmp_path):
    first = make_run(tmp_path / "a")
    other = make_run(tmp_path / "b", normalization=Normalization((50.0, 0.0, 20.0), (100.0, 255.0, 220.0)))
    made = make_ensemble([other, first], tmp_path / "both")
    halo, own = NETWORKS["ensemble"].halo, NETWORKS["unet"].halo
    raw = np.random.default_rng(0).uniform(20, 200, (64 + 2 * halo, 64 + 2 * halo, 3)).astype(np.float32)
    inner = np.s_[halo - own : own - halo, halo - own : own - halo]
    expected = np.mean([load_engine(run, "keras")(raw[inner]) for run in (first, other)], axis=0)
    found = load_engine(made, "keras")(raw)
    clipped = np.abs(other.record.normalization.apply(raw)).max() < 2
    assert not clipped, "the scalings differ: what one clips the other does not"
    assert np.median(np.abs(found - expected)) < 1e-2


def test_an_ensemble_is_a_run_with_all_tiles_and_the_first_tuning(tmp_path):
    members = [make_run(tmp_path / f"run{n}", seed=n, train_tiles=(f"t{n}",)) for n in range(2)]
    tuning = Thresholds(load_thresholds(members[0]).vectorize.with_changes(0.4))
    members[0].save_thresholds(tuning.as_dict())
    made = make_ensemble(members, tmp_path / "both")
    assert made.is_usable
    assert made.record.train_tiles == ("t0", "t1")
    assert load_thresholds(made).vectorize == tuning.vectorize
    with pytest.raises(RunExists):
        make_ensemble(members, tmp_path / "both")


def test_runs_that_see_other_pixels_are_not_combined(tmp_path):
    fine, coarse = make_run(tmp_path / "a"), make_run(tmp_path / "b", gsd_m=(0.5, 0.5))
    assert not are_compatible(fine, coarse)
    with pytest.raises(InvalidSetting, match=r"3 channels at 0\.50 m/pixel"):
        make_ensemble([fine, coarse], tmp_path / "both")
    both = make_ensemble([fine, make_run(tmp_path / "c")], tmp_path / "mean")
    with pytest.raises(InvalidSetting, match=r"\(ensemble\)"):
        make_ensemble([fine, both], tmp_path / "both")
    with pytest.raises(InvalidSetting, match="at least two runs"):
        make_ensemble([fine], tmp_path / "both")


def test_the_engine_scales_pixels_as_training_did(tmp_path):
    """What is no number included."""
    run = make_run(tmp_path / "run")
    raw = np.random.default_rng(0).uniform(-300, 900, (4, 4, 3)).astype(np.float32)
    raw[0, 0] = np.nan, np.inf, -np.inf
    own = PercentileNormalization(run.record.normalization.low, run.record.normalization.high)
    np.testing.assert_allclose(np.asarray(own(raw)), run.record.normalization.apply(raw), atol=1e-6)


@pytest.mark.parametrize("members", ["unet", "nonsense", "unet:width", "fcn+abacus"])
def test_members_that_make_no_sense_are_a_sentence(members):
    start_keras()
    config = replace(recommended("ensemble"), options={"members": members})
    if members == "unet":
        assert Learner.build(config, 3).model.count_params()
        return
    with pytest.raises(InvalidSetting, match="the network"):
        Learner.build(config, 3)


def test_openvino_computes_an_ensemble_too(tmp_path):
    made = make_ensemble([make_run(tmp_path / f"run{n}", seed=n) for n in range(2)], tmp_path / "both")
    pixels = window("ensemble", 32)
    np.testing.assert_allclose(load_engine(made, "openvino")(pixels), load_engine(made, "keras")(pixels), atol=1e-3)
