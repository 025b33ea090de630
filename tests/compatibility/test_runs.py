"""Runs of version 0.6.2: they predict what they did, are continued and resumed."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from safetensors import safe_open

from tests.compatibility.conftest import TILES, image_of, stored
from tests.core.commands import Run as Command
from tests.core.commands import runner

PREDICTIONS = stored("expected.json")["predict"]
#: Probabilities are stored as 16 bits, and processors differ in the last digits.
TOLERANCE = 1e-4


@pytest.fixture
def command(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(monkeypatch, capsys)


def epochs_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def newest_checkpoint(run: Path) -> tuple[dict, list[np.ndarray]]:
    """Where training stands, and the arrays of the optimizer."""
    with safe_open(max(run.glob("checkpoint-*")), "numpy") as file:
        names = sorted(name for name in file.keys() if name.startswith("optimizer/"))  # noqa: SIM118  not a dict
        return json.loads(file.metadata()["standing"]), [file.get_tensor(name) for name in names]


@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_run_predicts_what_it_did_and_old_options_mean_what_they_did(name, command, data, probabilities, tmp_path):
    run, *_ = name.split()
    options = PREDICTIONS[name]["options"]
    out, raster = tmp_path / "footprints.geojson", tmp_path / "probability.tif"
    files = ("--run", data / "runs" / run, "--image", image_of(data, TILES[1]), "--out", out, "--probability", raster)
    status, _, err = command("predict", *files, "--engine", "keras", *options)
    assert status == 0, err
    features = json.loads(out.read_bytes())["features"]
    assert len(features) == PREDICTIONS[name]["footprints"]
    vertices = sum(len(ring) for feature in features for ring in feature["geometry"]["coordinates"])
    assert vertices == pytest.approx(PREDICTIONS[name]["vertices"], rel=0.03)
    if "--tta" not in options:
        with rasterio.open(raster) as file:
            np.testing.assert_allclose(file.read(1)[::2, ::2], probabilities(run), atol=TOLERANCE)


def test_four_channels_are_wanted_of_a_run_that_has_them(command, data, tmp_path):
    """The thesis network takes the eighth band from the tile's other file; alone, an image is not enough."""
    alone = tmp_path / "alone.tif"
    alone.write_bytes(image_of(data, TILES[1]).read_bytes())
    status, _, err = command("predict", "--run", data / "runs" / "fcn", "--image", alone, "--out", tmp_path / "a.json")
    assert status == 2
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_training_is_continued_from_the_checkpoint_of_its_run(command, data):
    parent, out = data / "runs" / "unet", data / "runs" / "continued"
    status, _, err = command("train", "--from", parent, "--out", out, "--epochs", 1)
    assert status == 0, err
    assert epochs_of(out)[:2] == epochs_of(parent)
    assert [row["epoch"] for row in epochs_of(out)] == [1, 2, 3]
    before, after = (newest_checkpoint(run) for run in (parent, out))
    assert after[0]["epoch"] == 3
    steps, continued_steps = (int(optimizer[0]) for _, optimizer in (before, after))
    assert steps < continued_steps < 2 * steps  # what the optimizer had learned was not thrown away
    config = json.loads((out / "config.json").read_bytes())
    assert config["continues"] == "unet"
    assert (out / "film" / "epoch-00001.png").read_bytes() == (parent / "film" / "epoch-00001.png").read_bytes()


@pytest.mark.slow
def test_a_killed_training_is_resumed_from_its_checkpoint(command, data):
    [run] = data.glob("runs/Killed-*")
    before = epochs_of(run)
    early = json.loads((run / "refit-tuning.json").read_bytes())
    status, _, err = command("train", "--resume", "--out", run)
    assert status == 0, err
    assert epochs_of(run)[:3] == before
    assert [row["epoch"] for row in epochs_of(run)] == [1, 2, 3, 4]
    assert newest_checkpoint(run)[0]["epoch"] == 4
    assert json.loads((run / "weights.json").read_bytes())["epoch"] == 4
    # It was learning from all tiles already: the thresholds found before stay.
    assert json.loads((run / "tuning.json").read_bytes()) == early
    assert not (run / "live.json").exists()


def test_a_finished_training_is_not_trained_again(command, data):
    run = data / "runs" / "unet"
    before = (run / "metrics.jsonl").read_bytes()
    status, _, err = command("train", "--resume", "--out", run)
    assert status == 0, err
    assert (run / "metrics.jsonl").read_bytes() == before
