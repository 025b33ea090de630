"""Files of version 0.6.2 beside runs and jobs: catalog, review, uploads; and that files of today have the same keys."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from app.routes import ROUTES
from core.review.decisions import Review
from core.settings import settings
from tests.compatibility.conftest import STARTER, TILES, image_of
from tests.conftest import ROOT
from tests.core.commands import Run as Command
from tests.core.commands import runner


@pytest.fixture
def command(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(monkeypatch, capsys)


def open_page(page: str) -> AppTest:
    test = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    test.switch_page(f"app/pages/{page}.py")
    test.run()
    assert not test.exception
    return test


def keys_of(values: Any, prefix: str = "") -> set[str]:
    """Names in nested values, each with those it lies under; what lies in lists counts as one."""
    if isinstance(values, list):
        return {name for item in values for name in keys_of(item, prefix)}
    if not isinstance(values, dict):
        return set()
    return {name for key, item in values.items() for name in (f"{prefix}{key}", *keys_of(item, f"{prefix}{key}."))}


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_the_catalog_has_its_tiles(command, expected):
    listed = json.loads(command("catalog", "list", "--json")[1])
    tiles = {row["id"]: [row["buildings"], len(row["products"]), row["name"], row["offset_m"]] for row in listed}
    assert tiles == expected["tiles"]
    assert sorted({key for row in listed for key in row}) == expected["listed keys"]
    for row in listed:
        files = [*row["products"].values(), *([row["footprints"]] if row["footprints"] else [])]
        assert all(Path(file).is_file() for file in files)


def test_a_catalog_written_today_has_the_columns_of_then(command, data):
    """The labels of one tile stay moved when its folder is registered again."""
    path = data / "catalog.parquet"
    before = pq.read_schema(path).names
    assert command("catalog", "sample")[0] == 0
    assert pq.read_schema(path).names == before
    listed = {row["id"]: row for row in json.loads(command("catalog", "list", "--json")[1])}
    assert listed[TILES[3]]["offset_m"] == [0.3, -0.3]


def test_decisions_of_a_review_are_read(data):
    decisions = read(data / "predictions" / "starter" / TILES[0] / "review.json")["decisions"]
    assert [row["verdict"] for row in decisions] == ["accepted", "accepted", "rejected"]
    client = TestClient(Starlette(routes=ROUTES))
    place = f"/layers/predictions/starter/{TILES[0]}"
    verdicts = [row["properties"] for row in client.get(f"{place}/verdicts.geojson").json()["features"]]
    assert sorted(row["decided"] for row in verdicts if "decided" in row) == ["accepted", "accepted", "rejected"]
    accepted = client.get(f"{place}/accepted.geojson").json()["features"]
    assert len(accepted) == 2
    assert sum("Has a new wing" in row["properties"]["words"] for row in accepted) == 1


def test_labels_made_of_a_review_are_those_of_a_tile(command, data):
    tile = f"{TILES[0]}_reviewed"
    out = data.parent / "set"
    status, _, err = command("export", "set", "--tiles", tile, "--out", out)
    assert status == 0, err
    labels = [read(file) for file in out.rglob("*.json")]
    assert sum(len(values.get("annotations", [])) for values in labels) == 2


def test_a_score_is_printed_as_it_was(command, data, expected):
    [labels] = data.rglob(f"buildings_{TILES[0]}.geojson")
    proposals = data / "predictions" / "starter" / TILES[0] / "footprints.geojson"
    status, out, err = command("score", "--truth", labels, "--proposals", proposals, "--json")
    assert status == 0, err
    assert json.loads(out) == expected["printed score"]


def test_footprints_have_the_properties_they_had(command, data, unpacked, tmp_path):
    out = tmp_path / "now.geojson"
    files = ("--run", data / "runs" / "starter", "--image", image_of(data, TILES[0]), "--out", out, "--engine", "keras")
    assert command("predict", *files)[0] == 0
    then = read(unpacked / "predictions" / "starter" / TILES[0] / "footprints.geojson")["features"]
    now = read(out)["features"]
    assert [row["properties"].keys() for row in now] == [row["properties"].keys() for row in then]


@pytest.mark.parametrize("which", ["raw", "square", "accepted"])
def test_footprints_of_an_area_are_exported_as_they_were(which, command, expected, tmp_path):
    out = tmp_path / "area.geojson"
    status, _, err = command("export", "footprints", "starter", "--out", out, "--tiles", TILES[0], "--which", which)
    assert status == 0, err
    features = read(out)["features"]
    vertices = sum(len(row["geometry"]["coordinates"][0]) for row in features)
    assert [len(features), vertices] == expected["exported"][which]


def test_uploads_are_listed_by_their_names(data):
    text = " ".join(element.proto.body for element in open_page("upload").get("html"))
    assert "Harbor" in text
    for file in data.glob("uploads/*/upload.json"):
        assert read(file)["source"]


def test_runs_have_the_names_that_were_given_to_them():
    """And an archived one is offered nowhere else than in the table of all."""
    frames = [str(frame.value.to_dict()) for frame in open_page("compare").dataframe]
    assert any("Old town" in frame and "sample" in frame for frame in frames)
    options = [option for box in open_page("predict").selectbox for option in box.options]
    assert any("U-Net" in option for option in options)
    assert not any("Thesis" in option for option in options)


def test_a_run_of_today_has_the_files_and_keys_of_then(command, data, unpacked, tmp_path):
    """An ensemble is a run that takes a second to make."""
    then = unpacked / "runs" / "ensemble"
    now = tmp_path / "ensemble"
    assert command("ensemble", data / "runs" / "unet", data / "runs" / "distance", "--out", now)[0] == 0
    assert {file.name for file in now.iterdir()} == {file.name for file in then.iterdir()}
    for name in ("config.json", "tuning.json", "weights.json"):
        assert keys_of(read(now / name)) == keys_of(read(then / name)), name
    assert read(now / "config.json")["config"] == read(then / "config.json")["config"]


def test_thresholds_of_the_starter_are_those_of_its_file(data):
    """The page of a prediction begins with them."""
    stored = read(STARTER / "tuning.json")["shaping"]
    client = TestClient(Starlette(routes=ROUTES))
    place = f"/layers/predictions/starter/{TILES[0]}/verdicts.geojson"
    query = (
        f"t={stored['threshold']}&seed={stored['seed']}&area={stored['min_area_m2']}&simplify={stored['simplify_px']}"
    )
    flags = f"square={stored['square']:d}&judged={stored['judged']:d}"
    assert client.get(f"{place}?{query}&{flags}").json() == client.get(place).json()


def test_every_variable_of_the_environment_is_obeyed(expected, monkeypatch, tmp_path):
    values: dict[str, Any] = {}
    for n, name in enumerate(expected["environment"]):
        values[name] = 1000 + n
        if name.endswith(("_DATA", "_PROJECT", "_PYTHON")):
            values[name] = str(tmp_path / name)
    values |= {"GROUNDPLAN_LAUNCHER": "ray", "GROUNDPLAN_WEBHOOK": "http://localhost:1/job"}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    settings.cache_clear()
    obeyed = {str(value) for value in dataclasses.astuple(settings())}
    monkeypatch.undo()
    settings.cache_clear()
    assert {str(value) for value in values.values()} <= obeyed


def test_a_review_written_today_is_the_one_of_then(data, tmp_path):
    folder = data / "predictions" / "starter" / TILES[0]
    Review.of(folder).write(tmp_path)
    assert read(tmp_path / "review.json") == read(folder / "review.json")
