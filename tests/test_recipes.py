"""The recipes of CONTRIBUTING.md: their code blocks are executed, and what they add works."""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from PIL import Image

from core.catalog.store import Catalog, write_catalog
from core.errors import InvalidSetting, UnknownFootprintFormat, UnknownTask
from core.exports.datasets import writer
from core.exports.datasets.samples import ExportSample
from core.geo import vector_writers
from core.geo.vector import Footprints
from core.jobs import registry
from core.jobs.folder import JobSpec
from core.jobs.queue import Job, State
from core.settings import settings
from tests.conftest import ROOT
from tests.core.tile_factory import HOUSES, UTM, grid_at, make_tile

RECIPES = ROOT / "CONTRIBUTING.md"
HOUSE = shapely.box(4, 6, 20, 16)


def blocks(recipe: str) -> dict[str, list[str]]:
    """The code blocks of a recipe by the path in their first line, "" where it has none."""
    text = RECIPES.read_text("utf-8").partition(f"### {recipe}\n")[2].partition("\n### ")[0]
    by_path: dict[str, list[str]] = {}
    for block in re.findall(r"^ *```python\n.*?^ *```$", text, re.DOTALL | re.MULTILINE):
        code = "".join(dedent(block).splitlines(keepends=True)[1:-1])
        path = re.match(r"# (\S+\.py)\n", code)
        by_path.setdefault(path[1] if path else "", []).append(code)
    return by_path


AddModule = Callable[[str, str], ModuleType]


@pytest.fixture
def add_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddModule:
    """Import a new file of the recipe under the name it would have in the repository."""

    def add(path: str, code: str) -> ModuleType:
        assert (ROOT / path).parent.is_dir()
        assert not (ROOT / path).exists()
        name, file = path.removesuffix(".py").replace("/", "."), tmp_path / Path(path).name
        file.write_text(code, "utf-8")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return add


def entry(code: str, module: ModuleType, **names: Any) -> dict[str, Any]:
    """The `key: value,` of a block, as it would stand in a table of that module."""
    return eval(f"{{\n{code}}}", {**vars(module), **names})


# A network


@pytest.fixture
def network(add_module: AddModule, monkeypatch: pytest.MonkeyPatch) -> str:
    """The network of the recipe, in the registry; its name."""
    from models import registry as networks

    recipe = blocks("Add a network")
    [added] = eval(f"(\n{recipe['models/registry.py'][0]})", vars(networks))
    assert added.name not in networks.NETWORKS
    before, extended = networks.NETWORKS, MappingProxyType({**networks.NETWORKS, added.name: added})
    for module in [module for module in sys.modules.values() if getattr(module, "NETWORKS", None) is before]:
        monkeypatch.setattr(module, "NETWORKS", extended)
    [path] = [path for path in recipe if path.startswith("models/networks/")]
    assert added.module == path.removesuffix(".py").replace("/", ".")
    add_module(path, recipe[path][0])
    return str(added.name)


def test_the_network_predicts_the_same_in_windows_as_on_the_whole_image(network: str):
    import keras

    from models.heads import decode
    from models.registry import NETWORKS, build, build_inference

    of_registry = NETWORKS[network]
    model, windowed = build(network, 3), build_inference(network, 3)
    windowed.set_weights(model.get_weights())
    size, halo = 64, of_registry.halo
    pixels = np.random.default_rng(0).random((1, size, size, 3), np.float32)
    whole = keras.ops.convert_to_numpy(decode(of_registry.heads, model(pixels)))
    window = keras.ops.convert_to_numpy(windowed(pixels))
    inner = slice(halo, size - halo)
    assert window.shape == (1, size - 2 * halo, size - 2 * halo, of_registry.prediction_layers)
    assert np.ptp(window) > 1e-5
    np.testing.assert_allclose(window, whole[:, inner, inner], atol=1e-5)


def test_the_halo_of_the_network_is_its_receptive_radius(network: str):
    import keras

    from models.registry import NETWORKS, build

    model, halo, side = build(network, 3), NETWORKS[network].halo, 64
    dark, bright = np.zeros((2, 1, side, side, 3), np.float32)
    bright[:, side // 2, side // 2] = 100
    change = keras.ops.convert_to_numpy(model(bright) - model(dark))
    rows = np.flatnonzero(np.abs(change).max(axis=(0, 2, 3)))
    assert (rows.min(), rows.max()) == (side // 2 - halo, side // 2 + halo)


def test_the_network_is_trained_and_predicts(network: str, tmp_path: Path):
    from core.datasets.config import DatasetConfig
    from core.inference.predict import predict
    from core.runs.config import TrainingConfig
    from core.training.train import train

    tiles = [make_tile(tmp_path / "tiles", f"img{n}", grid_at(column=200 * n)) for n in range(3)]
    config = TrainingConfig(
        network, {"width": 4}, epochs=2, dataset=DatasetConfig(size=64, chip=32, step=16, border_px=0.0)
    )
    run = train(tiles, config, tmp_path / "run")
    assert run.is_usable
    assert len(run.metrics()) == 2
    probability = predict(run, (tiles[0].image, None), tmp_path / "probability.tif")
    assert probability.path.is_file()


# A dataset format


@pytest.fixture
def dataset_format(add_module: AddModule, monkeypatch: pytest.MonkeyPatch) -> str:
    recipe = blocks("Add an export format for datasets")
    [path] = [path for path in recipe if path != "core/exports/datasets/writer.py"]
    module = add_module(path, recipe[path][0])
    added = entry(recipe["core/exports/datasets/writer.py"][0], writer, **vars(module))
    [name] = added
    assert name not in writer.FORMATS
    monkeypatch.setattr(writer, "FORMATS", MappingProxyType({**writer.FORMATS, **added}))
    return name


def sample(name: str, side: str, *buildings: shapely.Polygon) -> ExportSample:
    return ExportSample(name, side, np.full((48, 64, 3), 7, np.uint8), np.array(buildings, object), "Owner, CC BY 4.0")


def test_the_dataset_format_writes_images_boxes_and_the_split(dataset_format: str, tmp_path: Path):
    samples = [
        sample("a", "train", HOUSE, shapely.box(30, 30, 40, 44)),
        sample("b", "train"),
        sample("c", "val", HOUSE),
    ]
    assert writer.write_set(samples, dataset_format, tmp_path / "set") == 3
    columns = ["image", "x1", "y1", "x2", "y2", "class"]
    train, validation = (pd.read_csv(tmp_path / "set" / f"{side}.csv", names=columns) for side in ("train", "val"))
    assert train.image.tolist() == ["images/train/a.png", "images/train/a.png", "images/train/b.png"]
    assert train[["x1", "y1", "x2", "y2"]].iloc[:2].values.tolist() == [[4, 6, 20, 16], [30, 30, 40, 44]]
    assert train.iloc[2].isna().tolist() == [False, True, True, True, True, True]
    assert validation["class"].tolist() == ["building"]
    for image in [*train.image, *validation.image]:
        assert np.asarray(Image.open(tmp_path / "set" / image)).shape == (48, 64, 3)
    assert "Owner, CC BY 4.0" in (tmp_path / "set" / "README.txt").read_text("utf-8")


def test_without_the_recipe_the_dataset_format_is_unknown(tmp_path: Path):
    with pytest.raises(InvalidSetting, match="retinanet"):
        writer.write_set([], "retinanet", tmp_path / "set")


# A footprint format


def test_the_footprint_format_is_written_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UnknownFootprintFormat):
        vector_writers.with_format_suffix(tmp_path / "found", "geojsonl")
    function, added = blocks("Add an export format for footprints")["core/geo/vector_writers.py"]
    names = dict(vars(vector_writers))
    exec(function, names)
    [(suffix, write)] = entry(added, vector_writers, **names).items()
    monkeypatch.setitem(vector_writers._WRITERS, suffix, write)
    monkeypatch.setattr(vector_writers, "FORMATS", (*vector_writers.FORMATS, suffix))

    footprints = Footprints.of(np.array(HOUSES, object), None)
    path = vector_writers.with_format_suffix(tmp_path / "found", "geojsonl")
    vector_writers.write_footprints(footprints, path, grid_at(), vector_writers.Provenance(tile="img1", run="first"))
    assert len(path.read_text("utf-8").splitlines()) == len(HOUSES)
    frame = pyogrio.read_dataframe(path)
    assert frame["run"].tolist() == ["first"] * len(HOUSES)
    assert frame.crs == "EPSG:4326"
    expected = [house.area * 0.5**2 for house in HOUSES]
    assert frame.to_crs(UTM).area.tolist() == pytest.approx(expected, rel=1e-3)  # 7 decimals of a degree


# A task


@pytest.fixture
def job(tmp_path: Path, add_module: AddModule, monkeypatch: pytest.MonkeyPatch):
    """The job that the recipe submits, in a data folder of its own; its task is in the registry."""
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    tiles = [make_tile(tmp_path / "tiles", f"img{n}", grid_at(column=64 * n)) for n in (1, 2)]
    write_catalog(Catalog(tuple(tiles)))
    recipe = blocks("Add a task")
    [path] = [path for path in recipe if path.startswith("core/tasks/")]
    add_module(path, recipe[path][0])
    monkeypatch.setattr(registry, "TASKS", registry.TASKS | entry(recipe["core/jobs/registry.py"][0], registry))
    names: dict[str, Any] = {}
    exec(recipe[""][0], names)
    yield names["job"]
    settings.cache_clear()


def test_the_task_is_queued_and_runs(job: Job, capsys: pytest.CaptureFixture[str]):
    reports: list[str] = []
    assert job.state is State.QUEUED
    registry.run_task(JobSpec(job.task, dict(job.params), 1), lambda _share, step: reports.append(step))
    assert capsys.readouterr().out == "img1: 2 buildings\nimg2: 2 buildings\n"
    assert reports == ["Tile 1 of 2, img1", "Tile 2 of 2, img2"]


def test_the_task_finishes_early_when_asked(job: Job, capsys: pytest.CaptureFixture[str]):
    registry.run_task(JobSpec(job.task, dict(job.params), 1), lambda _share, _step: None, lambda: True)
    assert capsys.readouterr().out == ""


def test_a_task_that_is_not_listed_never_runs(job: Job, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    with pytest.raises(UnknownTask, match=job.task):
        registry.run_task(JobSpec(job.task, dict(job.params), 1), lambda _share, _step: None)


def test_every_block_of_the_recipes_is_used():
    paths = {
        path
        for recipe in re.findall(r"^### (.+)$", RECIPES.read_text("utf-8"), re.MULTILINE)
        for path in blocks(recipe)
    }
    assert paths == {
        "models/networks/dilated.py", "models/registry.py", "core/exports/datasets/retinanet.py",
        "core/exports/datasets/writer.py", "core/geo/vector_writers.py", "core/tasks/count_buildings.py",
        "core/jobs/registry.py", "",
    }  # fmt: skip
