"""A network says the same wherever it is taken."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import orjson
import pytest

from core.datasets.config import DatasetConfig
from core.errors import CannotWrite
from core.exports.model import SIDE, deepness_metadata, export_network
from core.exports.model_card import model_card, stac_item
from core.inference.engine import load_network
from core.inference.ensemble import make_ensemble
from core.runs.run import Run
from core.training.presets import recommended
from core.training.train import train
from models.heads import decode
from models.registry import NETWORKS
from tests.core.tile_factory import grid_at, make_tile

ENCODERS = [name for name in NETWORKS if name.startswith("unet-")]
RECIPE = DatasetConfig(chip=32, step=16, border_px=0, gsd_m=0.5, crops="drawn", bands=3)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    return [make_tile(folder, f"img{n}", grid_at(100 * n)) for n in range(3)]


@pytest.fixture(scope="module", params=["unet", "fcn", "distance", "ensemble", *ENCODERS])
def run(request, tiles, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("runs")
    if request.param == "ensemble":
        return make_ensemble([trained("unet", tiles, folder / f"{seed}", seed) for seed in (0, 1)], folder / "ensemble")
    return trained(request.param, tiles, folder / request.param)


def trained(network: str, tiles, folder: Path, seed: int = 0) -> Run:
    """One epoch: what counts here is that all programs say the same."""
    small = {"width": 4} if network == "unet" else {"imagenet": False} if network in ENCODERS else {}
    config = replace(recommended(network), options=small, epochs=1, batch=64, refit=0.0, seed=seed)
    config = replace(config, dataset=RECIPE) if network != "fcn" else config
    return train(tiles, config, folder)


@pytest.fixture(scope="module")
def folder(run, tiles, tmp_path_factory) -> Path:
    return export_network(run, tmp_path_factory.mktemp("out") / run.name, tiles)


@pytest.fixture(scope="module")
def pixels(run) -> np.ndarray:
    """In the image's own values."""
    low, high = np.array(run.record.normalization.low), np.array(run.record.normalization.high)
    noise = np.random.default_rng(0).random((1, SIDE, SIDE, run.record.bands))
    return (low + noise * (high - low)).astype(np.float32)


@pytest.fixture(scope="module")
def said(run, pixels) -> np.ndarray:
    """By the network here."""
    heads = NETWORKS[run.config.network].heads
    return np.asarray(decode(heads, load_network(run)(run.record.normalization.apply(pixels))))


def test_onnx_says_the_same_under_onnxruntime_fed_as_deepness_does(run, folder, pixels, said):
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    told = session.get_modelmeta().custom_metadata_map
    mean, deviation = (np.array(orjson.loads(told[f"standardization_{name}"])) for name in ("mean", "std"))
    fed = (pixels / 255 - mean) / deviation
    planes = np.ascontiguousarray(np.moveaxis(fed.astype(np.float32), -1, 1))
    [found] = session.run(None, {session.get_inputs()[0].name: planes})
    assert found.shape == (1, 1, SIDE, SIDE)
    np.testing.assert_allclose(found[0, 0], said[0, ..., 0], atol=1e-4)


def test_onnx_tells_deepness_what_it_asks_for(run, folder):
    props = {one.key: one.value for one in onnx.load(folder / "model.onnx").metadata_props}
    assert props == {name: str(value) for name, value in deepness_metadata(run).items()}
    assert props["model_type"] == "Segmentor"
    assert orjson.loads(props["class_names"])["1"] == "building"
    assert float(props["resolution"]) == pytest.approx(100 * run.record.gsd_m[0], rel=0.01)
    assert {"tiles_size", "tiles_overlap", "seg_thresh", "seg_small_segment"} <= set(props)


def test_litert_says_the_same(folder, pixels, said):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(folder / "model.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, said, atol=1e-4)


def test_the_saved_model_says_the_same_at_any_size(folder, pixels, said):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder / "saved_model"))
    np.testing.assert_allclose(np.asarray(loaded.serve(pixels)), said, atol=1e-4)
    assert loaded.serve(pixels[:, :96, :160]).shape[1:3] == (96, 160)


def test_the_card_and_the_item_say_what_it_is(run, folder, tiles):
    card = (folder / "README.md").read_text()
    assert f"{run.record.parameters:,} parameters" in card
    assert "| Validation tiles |" in card
    assert "| Initial weights | random |" in card
    item = orjson.loads((folder / "item.json").read_bytes())
    assert item["bbox"] == pytest.approx(
        [f(t.footprint.bounds[n] for t in tiles) for n, f in enumerate((min, min, max, max))]
    )
    assert set(item["assets"]) == {"model.onnx", "model.tflite", "saved_model/saved_model.pb"}
    for name, asset in item["assets"].items():
        assert asset["file:size"] == (folder / name).stat().st_size


def test_card_and_item_say_whose_weights_it_began_with(run, tmp_path):
    pretrained = replace(run.record, pretrained="ImageNet (somebody's, Apache 2.0)")
    begun = Run.create(tmp_path / "begun", pretrained)
    assert "| Initial weights | ImageNet (somebody's, Apache 2.0) |" in model_card(begun)
    said = stac_item(begun, tmp_path)["properties"]
    assert (said["mlm:pretrained"], said["mlm:pretrained_source"]) == (True, pretrained.pretrained)


def test_the_item_holds_what_stac_and_its_extension_ask_for(folder):
    from pystac import Item
    from stac_model.schema import MLModelProperties

    item = Item.from_file(str(folder / "item.json"))
    assert item.datetime is not None
    MLModelProperties.model_validate(item.properties)


def test_a_failed_export_leaves_nothing_and_overwrites_nothing(run, folder, tmp_path, monkeypatch):
    with pytest.raises(CannotWrite, match="already"):
        export_network(run, folder)

    def half(_run, path: Path) -> None:
        """A folder with something in it; the converters themselves take a minute."""
        path.mkdir()
        (path / "part").write_bytes(b"half")

    for name in ("save_onnx", "save_litert", "save_saved_model"):  # what has been written by then
        monkeypatch.setattr(f"core.exports.model.{name}", half)
    monkeypatch.setattr("core.exports.model.model_card", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        export_network(run, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
