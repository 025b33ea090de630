"""`python -m core export …`: every kind of file from the command line, exit status 0 or 2 and one sentence."""

import geopandas as gpd
import pandas as pd
import pytest

from tests.core.commands import Run, runner
from tests.core.fake_predictions import TILES, made


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the command over three tiles that two runs predicted; gives status, stdout, stderr."""
    with made(tmp_path, monkeypatch):
        yield runner(monkeypatch, capsys, "export")


def test_footprints_of_chosen_tiles(run: Run, tmp_path):
    status, out, err = run("footprints", "two", "--out", tmp_path / "a", "--format", "gpkg", "--tiles", TILES[0])
    assert (status, out.strip()) == (0, str(tmp_path / "a.gpkg"))
    assert "2 buildings" in err
    assert len(gpd.read_file(tmp_path / "a.gpkg")) == 2


def test_spacenet_s_columns_of_all_tiles_name_the_one_without_a_building(run: Run, tmp_path):
    assert run("footprints", "two", "--out", tmp_path / "a.csv")[0] == 0
    table = pd.read_csv(tmp_path / "a.csv")
    assert table.groupby("ImageId")["BuildingId"].apply(list).tolist() == [[1, 2], [1, 2], [-1]]


def test_layers_of_an_area(run: Run, tmp_path):
    status, _, err = run(
        "rasters", "one", "--out", tmp_path / "l", "--layers", "mask, probability", "--aoi", "AOI_0_Made"
    )
    assert status == 0
    assert "6 files" in err
    assert len(list((tmp_path / "l").glob("*.tif"))) == 6


def test_a_training_set(run: Run, tmp_path):
    status, _, err = run("dataset", "--out", tmp_path / "s", "--format", "yolo", "--chip-size", 32)
    assert status == 0
    assert "12 images" in err
    assert (tmp_path / "s" / "obj.names").is_file()


def test_a_report(run: Run, tmp_path):
    assert run("report", "one", "--out", tmp_path / "r.html")[0] == 0
    assert "Run one" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["footprints", "one", "--out", "a.dxf"], ".geojson"),
        (["footprints", "one", "--out", "a.csv", "--aoi", "Atlantis"], "Atlantis"),
        (["footprints", "one", "--out", "a.csv", "--which", "best"], "'best' is not one of"),
        (["dataset", "--out", "s", "--format", "pascal"], "coco"),
        (["rasters", "one", "--out", "l", "--layers", "height"], "mask"),
        (["model", "nobody", "--out", "n"], "nobody"),
        (["report", "one", "--out", "r.html", "--tiles", "img9"], "img9"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_leaves_nothing(run: Run, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    status, _, err = run(*arguments)
    assert status == 2
    assert said in err
    assert "Traceback" not in err
    assert set(tmp_path.iterdir()) == before
