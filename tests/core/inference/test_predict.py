import time
from dataclasses import replace

import numpy as np
import orjson
import pytest
import rasterio

from core.catalog.store import Catalog
from core.datasets.normalization import Normalization
from core.errors import DamagedRun, ExtentMismatch, TooFewBands, TruncatedRaster
from core.geo import raster
from core.inference import predict as predict_module
from core.inference import sliding_window
from core.inference.engine import load_network
from core.inference.predict import predict, predict_tile, score_tile, vectorize_prediction
from core.postprocessing.config import VectorizeConfig
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.runtime.keras_backend import start_keras
from core.settings import settings
from core.tasks import predict as predict_tasks
from core.tasks.predict import predict_task
from models.registry import DISTANCE_RANGE_M, NETWORKS, build
from tests.core.inference.test_engine import make_run as make_modern_run
from tests.core.tile_factory import SMALL, grid_at, make_real_tile, make_tile

HALO = NETWORKS["fcn"].halo


def make_run(folder, bands: int = 3, gsd_m: tuple[float, float] = (0.5, 0.5)) -> Run:
    """Fresh weights, sharpened so that answers differ from pixel to pixel."""
    start_keras(bands)
    scaling = Normalization((0.0,) * bands, (255.0, 255.0, 255.0, 2000.0)[:bands])
    config = TrainingConfig(dataset=SMALL)
    run = Run.create(folder, Record(config, ("img1",), (), scaling, bands, gsd_m, 0, "", {}))
    model = build("fcn", bands)
    model.set_weights([weight * 1.5 for weight in model.get_weights()])
    run.save_weights(model, 1)
    return run


def small_windows(monkeypatch) -> None:
    """Windows of 32 pixels."""
    monkeypatch.setattr(predict_module, "NETWORKS", {"fcn": replace(NETWORKS["fcn"], max_window=32)})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("data") / "runs" / "three")


@pytest.fixture(scope="module")
def run_of_four(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "four", bands=4)


def one_pass(run: Run, tile, out) -> np.ndarray:
    """The network over the whole image at once, in memory."""
    parts = [raster.read(tile.image, (1, 2, 3), out.grid.shape).pixels.astype(np.float32)]
    if run.record.bands == 4:
        parts.append(raster.read(tile.eight_bands, (8,), out.grid.shape).pixels.astype(np.float32))
    pixels = run.record.normalization.apply(np.moveaxis(np.concatenate(parts), 0, -1))
    rows, columns = out.grid.shape
    around = (0, -rows % 8), (0, -columns % 8), (0, 0)
    return load_network(run).predict_on_batch(np.pad(pixels, around)[None])[0, :rows, :columns, 1]


@pytest.mark.parametrize("side", [120, 157])
@pytest.mark.parametrize("bands", [3, 4])
def test_windows_give_what_one_pass_gives(run, run_of_four, tmp_path, monkeypatch, side, bands):
    small_windows(monkeypatch)
    run = run if bands == 3 else run_of_four
    tile = make_tile(tmp_path, grid=grid_at(size=side), eight=True)
    out = predict(run, (tile.image, tile.eight_bands), tmp_path / "out.tif")
    got, inner = raster.read(out.path), slice(HALO, side - HALO)
    expected = one_pass(run, tile, out)
    assert got.grid == out.grid
    assert np.std(expected[inner, inner]) > 0.001, "otherwise nothing is compared"
    np.testing.assert_allclose(got.pixels[0][inner, inner], expected[inner, inner], atol=1e-3)


@pytest.mark.parametrize("size", [(40, 40), (41, 77), (131, 50)])
def test_any_size_from_40_pixels_is_predicted(run, tmp_path, size):
    tile = make_tile(tmp_path, grid=replace(grid_at(), width=size[0], height=size[1]))
    out = predict(run, (tile.image, None), tmp_path / "out.tif")
    got = raster.read(out.path)
    assert got.pixels.shape == (1, size[1], size[0])
    assert got.pixels.dtype == np.float32
    assert ((got.pixels > 0) & (got.pixels < 1)).all()


def test_the_image_is_resampled_to_the_runs_pixels_in_each_axis():
    grid = grid_at().at_gsd((0.25, 1.0))
    assert grid.shape == (32, 128)
    assert grid.footprint.equals_exact(grid_at().footprint, 1e-9)


def test_where_there_is_no_picture_there_is_no_building(run, tmp_path, monkeypatch):
    small_windows(monkeypatch)
    tile = make_tile(tmp_path, empty_columns=40)
    pixels = raster.read(predict(run, (tile.image, None), tmp_path / "out.tif").path).pixels[0]
    assert not pixels[:, :40].any()
    assert (pixels[:, 40:] > 0).all()


def test_a_band_that_is_no_number_is_predicted_as_black(run, tmp_path, monkeypatch):
    small_windows(monkeypatch)
    lost = make_real_tile(tmp_path).image
    image = raster.read(lost)
    black = raster.write(tmp_path / "black.tif", replace(image, pixels=np.nan_to_num(image.pixels), nodata=None))
    found, expected = (
        raster.read(predict(run, (path, None), tmp_path / "out.tif").path).pixels[0] for path in (lost, black)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not found[:12, :12].any(), "no picture"
    assert (found[40:50, 40:50] > 0).all(), "a picture without its green"


def test_progress_counts_the_windows(run, tmp_path, monkeypatch):
    small_windows(monkeypatch)
    said = []
    predict(run, (make_tile(tmp_path).image, None), tmp_path / "out.tif", lambda *now: said.append(now[1]))
    assert said == ["Loading the model", *(f"Predicting window {n} of 4" for n in range(1, 5))]


def test_stopping_leaves_no_half_written_file(run, tmp_path):
    def stop(_share: float, doing: str) -> None:
        if doing.startswith("Predicting window"):
            raise KeyboardInterrupt

    tile = make_tile(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        predict(run, (tile.image, None), tmp_path / "out" / "p.tif", stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_of_four_channels_refuses_images_without_the_fourth(run_of_four, tmp_path):
    tile = make_tile(tmp_path)
    with pytest.raises(TooFewBands, match="has 3 channels, but the run four needs 4"):
        predict(run_of_four, (tile.image, None), tmp_path / "out.tif")
    other = make_tile(tmp_path, "other", grid_at(64), eight=True)
    with pytest.raises(ExtentMismatch):
        predict(run_of_four, (tile.image, other.eight_bands), tmp_path / "out.tif")


@pytest.mark.parametrize("change", [{"bands": 4}, {"config": {"options": {"batch_norm": True}}}])
def test_weights_of_another_network_are_a_damaged_run(tmp_path, change):
    run = make_run(tmp_path / "run")
    config = orjson.loads((run.path / "config.json").read_bytes())
    (run.path / "config.json").write_bytes(orjson.dumps({**config, **change}))
    with pytest.raises(DamagedRun, match="do not match"):
        load_network(Run(run.path))


def test_a_tile_gives_probability_footprints_and_a_score(run, tmp_path, monkeypatch):
    def bright(_engine, pixels, valid, _layers):
        """As if the network knew: houses are bright."""
        return ((pixels[HALO:-HALO, HALO:-HALO, 0] > 100) & valid).astype(np.float32)[..., None]

    monkeypatch.setattr(predict_module, "_predict_window", bright)
    tile = make_tile(tmp_path)
    found = predict_tile(run, tile, tmp_path / "found")
    assert sorted(file.name for file in (tmp_path / "found").iterdir()) == [
        "footprints.geojson", "footprints.gpkg", "probability.tif", "score.json", "weights.sha256",
    ]  # fmt: skip
    assert len(found.footprints) == 2
    said = orjson.loads((tmp_path / "found" / "score.json").read_bytes())
    assert (said["tp"], said["fp"], said["fn"], said["tile_was"]) == (2, 0, 0, "train")
    assert found.score is not None
    assert found.score.f1 == 1
    assert (found.footprints.area_m2 > 16 * 16 * 0.25).all(), "grown by the border of the recipe"
    assert score_tile(vectorize_prediction(found.prediction, VectorizeConfig(threshold=1.1)), tile).fn == 2


def test_the_probability_carries_who_made_the_picture(run, tmp_path):
    predict_tile(run, replace(make_tile(tmp_path), attribution="SpaceNet, CC BY-SA 4.0"), tmp_path / "found")
    with rasterio.open(tmp_path / "found" / "probability.tif", driver="GTiff") as dataset:
        assert dataset.tags()["TIFFTAG_COPYRIGHT"] == "SpaceNet, CC BY-SA 4.0"


def test_a_tile_without_labels_gives_no_score(run, tmp_path):
    found = predict_tile(run, replace(make_tile(tmp_path), footprints=None), tmp_path / "found")
    assert found.score is None
    assert not (tmp_path / "found" / "score.json").exists()


def test_a_job_leaves_its_files_where_the_pages_look(run, tmp_path, monkeypatch):
    tile = make_tile(tmp_path)
    for module in (predict_module, predict_tasks):
        monkeypatch.setattr(module, "settings", lambda: replace(settings(), data=run.path.parents[1]))
    monkeypatch.setattr(predict_tasks, "read_catalog", lambda: Catalog((tile,)))
    said = []
    predict_task({"run": run.name, "tile": "img1"}, lambda *now: said.append(now[0]))
    folder = predict_module.prediction_folder(run, "img1")
    assert folder.parts[-3:] == ("predictions", "three", "img1")
    assert (folder / "probability.tif").is_file()
    assert said == sorted(said)
    assert said[-1] == 1


def test_a_damaged_image_is_named_and_nothing_is_written(run, tmp_path):
    tile = make_tile(tmp_path)
    tile.image.write_bytes(tile.image.read_bytes()[:-2000])
    with pytest.raises(TruncatedRaster, match=r"3band_img1\.tif is damaged"):
        predict(run, (tile.image, None), tmp_path / "found" / "out.tif")
    assert list((tmp_path / "found").iterdir()) == []


def test_an_image_stays_open_until_the_reader_has_ended(run, tmp_path, monkeypatch):
    def slowly(picture, dataset, bands, box):
        part = read(picture, dataset, bands, box)
        time.sleep(0.3)
        closed.append(dataset.closed)
        return part

    def stop(_share: float, doing: str) -> None:
        if doing.startswith("Predicting window 1 "):
            raise KeyboardInterrupt

    read, closed = sliding_window.SceneReader._read_bands, []
    small_windows(monkeypatch)
    monkeypatch.setattr(sliding_window.SceneReader, "_read_bands", slowly)
    tile = make_tile(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        predict(run, (tile.image, None), tmp_path / "out.tif", stop)
    assert closed == [False, False], "the window it was stopped at, and the one read ahead"


@pytest.mark.parametrize("network", ["unet", "distance"])
def test_a_scene_in_windows_is_the_scene_in_one_big_pass(tmp_path, monkeypatch, network):
    run = make_modern_run(tmp_path / "run", network)
    tile = make_tile(tmp_path, grid=grid_at(size=400, pixel_m=0.3))
    whole = raster.read(predict(run, (tile.image, None), tmp_path / "whole.tif").path).pixels
    monkeypatch.setattr(predict_module, "NETWORKS", {network: replace(NETWORKS[network], max_window=96)})
    said = []
    windowed = predict(run, (tile.image, None), tmp_path / "windows.tif", lambda *now: said.append(now[1]))
    assert len(said) == 1 + 5 * 5
    assert np.ptp(whole[0]) > 1e-3, "otherwise nothing is compared"
    np.testing.assert_allclose(raster.read(windowed.path).pixels, whole, atol=1e-3)
    assert not list(tmp_path.glob(".*")), "no strips are left"


def test_the_second_layer_is_the_distance_in_metres(tmp_path):
    run = make_modern_run(tmp_path / "run", "unet")
    out = predict(run, (make_tile(tmp_path).image, None), tmp_path / "out.tif")
    layers = raster.read(out.path).pixels
    assert layers.shape[0] == NETWORKS["unet"].prediction_layers == 2
    assert np.abs(layers[1]).max() <= DISTANCE_RANGE_M
    assert ((layers[0] >= 0) & (layers[0] <= 1)).all()


@pytest.mark.parametrize("bands", [3, 4])
def test_a_labelled_tile_is_predicted_with_its_image_opened_twice(tmp_path, monkeypatch, run, run_of_four, bands):
    tile, opened, real = make_tile(tmp_path, "counted", eight=bands == 4), [], rasterio.open
    monkeypatch.setattr("rasterio.open", lambda path, *rest, **named: opened.append(path) or real(path, *rest, **named))
    assert predict_tile(run if bands == 3 else run_of_four, tile, tmp_path / "out").score is not None
    assert opened.count(tile.image) == 2
    assert opened.count(tile.labels) == 0
