"""A host without TensorFlow trains and predicts with the same commands: KERAS_BACKEND=jax."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.runs.run import Run
from tests.conftest import ROOT
from tests.core.tile_factory import grid_at, make_tile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three labelled tiles in SN1's layout, apart from each other."""
    for n in range(3):
        tile = make_tile(tmp_path / "city", f"AOI_0_Made_img{n}", grid_at(column=300 * n))
        assert tile.footprints is not None
        tile.footprints.rename(tmp_path / "city" / f"Geo_AOI_0_Made_img{n}.geojson")
    return tmp_path / "city"


@pytest.mark.slow
def test_the_default_network_trains_and_predicts_with_jax(folder: Path, tmp_path: Path) -> None:
    without = tmp_path / "no tensorflow"
    without.mkdir()
    (without / "tensorflow.py").write_text("raise ImportError('there is none on this machine')\n")
    there = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": f"{without}{os.pathsep}{ROOT}"}

    def core(*words: object) -> str:
        command = [sys.executable, "-m", "core", *map(str, words)]
        return subprocess.run(command, cwd=ROOT, env=there, stdout=subprocess.PIPE, text=True, check=True).stdout

    core("train", "--data", folder, "--option", "width=4", "--epochs", 2, "--batch", 32, "--out", tmp_path / "run")
    run = Run(tmp_path / "run")
    assert run.config.network == "unet"
    assert run.is_finished
    assert run.metrics()["loss"].iloc[1] < run.metrics()["loss"].iloc[0]
    assert run.metrics()["val_f1"].notna().tolist() == [True, False], "the second half learns from the kept ground, too"
    assert run.refitted
    image = folder / "3band_AOI_0_Made_img0.tif"
    core("predict", "--run", run.path, "--image", image, "--out", tmp_path / "found.geojson", "--threshold", "0.05")
    assert (tmp_path / "found.geojson").is_file()
