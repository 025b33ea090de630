"""What the pages offer beside the thesis's network: thresholds, a second look, means of runs, the starter."""

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.catalog.store import Catalog
from core.datasets.normalization import Normalization
from core.geo import raster
from core.inference.predict import prediction_folder
from core.jobs.queue import Queue, State
from core.metrics.calibration import Bin, Calibration
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.thresholds import Thresholds
from core.runs.run import Record, Run
from core.settings import settings
from core.training.presets import recommended
from tests.app.conftest import OpenPage
from tests.app.test_jobs import TRAINING, html, labels, trained
from tests.core.postprocessing.test_rescoring import examples
from tests.core.tile_factory import HOUSES, grid_at

TUNING = Thresholds(
    VectorizeConfig(threshold=0.4, saddle_ratio=1.5, min_area_m2=10), 0.75, Calibration(2.0, 0.5), (Bin(0.6, 0.5, 10),),
    (Bin(0.5, 0.5, 10),), examples(), 0.3, 0.78,
)  # fmt: skip


def modern(name: str, tuning: Thresholds | None = TUNING) -> Run:
    config = replace(recommended("unet"), name=name.title())
    record = Record(
        config,
        ("AOI_0_Made_img1",),
        ("AOI_0_Made_img2",),
        Normalization((0.0,) * 3, (1.0,) * 3),
        3,
        (0.3, 0.3),
        7,
        "CPU",
        {},
    )
    run = Run.create(settings().runs / name, record)
    old = trained(2, f"{name}-w")
    for file in ("w.h5", "weights.json", "metrics.jsonl"):
        (old.path / file).rename(run.path / file)
    (old.path / "config.json").unlink()
    if tuning:
        run.save_thresholds(tuning.as_dict())
    return run


def predict_by(run: Run, tile: str) -> None:
    """The files of a prediction that knows the houses."""
    folder = prediction_folder(run, tile)
    layers = np.zeros((2, 64, 64), np.float32)
    for house in HOUSES:
        left, top, right, bottom = map(int, house.bounds)
        layers[:, top:bottom, left:right] = np.array([0.9, 3.0])[:, None, None]
    raster.write(folder / "probability.tif", raster.Raster(layers, grid_at(column=64)))


def slider(page: AppTest) -> float:
    return float(next(one for one in page.slider if one.label == "Probability threshold").value)


@pytest.mark.usefixtures("city")
def test_predict_begins_at_the_thresholds_of_the_run(open_page: OpenPage) -> None:
    run = modern("mine")
    predict_by(run, "AOI_0_Made_img1")
    page = open_page("predict", tile="AOI_0_Made_img1")
    assert not page.exception
    assert slider(page) == 0.4
    assert "Filter likely false positives" in [one.label for one in page.toggle]
    assert "1.000" in html(page), "both houses are found"


@pytest.mark.usefixtures("city")
def test_a_second_look_is_offered_only_where_there_is_one(open_page: OpenPage) -> None:
    run = modern("mine", replace(TUNING, samples=examples(10)))
    predict_by(run, "AOI_0_Made_img1")
    page = open_page("predict", tile="AOI_0_Made_img1")
    assert "Filter likely false positives" not in [one.label for one in page.toggle]
    assert "Regularize footprints (right angles)" in [one.label for one in page.toggle]


@pytest.mark.usefixtures("city")
def test_right_angles_are_scored_as_well(open_page: OpenPage) -> None:
    run = modern("mine")
    predict_by(run, "AOI_0_Made_img1")
    page = open_page("predict", tile="AOI_0_Made_img1")
    next(one for one in page.toggle if one.label == "Regularize footprints (right angles)").set_value(True).run()
    assert not page.exception
    assert "Correct (TP)" in html(page)
    assert "Before regularization: F1 1.000" in [one.value for one in page.caption]


@pytest.mark.usefixtures("city")
def test_eight_turns_are_asked_of_the_job(open_page: OpenPage) -> None:
    modern("mine")
    page = open_page("predict", tile="AOI_0_Made_img1")
    next(one for one in page.toggle if one.label == "Test-time augmentation (8×, slower)").set_value(True).run()
    next(one for one in page.button if one.label == "Predict").click().run()
    [job] = Queue(settings().queue).jobs()
    assert job.params == {"run": "mine", "tile": "AOI_0_Made_img1", "turned": True}
    assert "Predict" not in labels(open_page("predict", tile="AOI_0_Made_img1")), "it is on its way"


@pytest.mark.usefixtures("city")
def test_runs_of_the_same_pixels_are_combined(open_page: OpenPage) -> None:
    trained(2, "coarse")
    for name in ("mine", "yours"):
        modern(name)
    page = open_page("predict", tile="AOI_0_Made_img1")
    [others] = [box for box in page.multiselect if box.label == "Other runs"]
    assert others.options in (["Mine"], ["Yours"])
    others.select(others.options[0]).run()
    next(one for one in page.button if one.label == "Create ensemble").click().run()
    [job] = Queue(settings().queue).jobs()
    assert job.task == "combine"
    assert sorted(job.params["runs"]) == ["mine", "yours"]


@pytest.mark.usefixtures("city")
def test_whoever_predicts_with_the_starter_is_told_what_it_is(open_page: OpenPage) -> None:
    modern("starter")
    page = open_page("predict", tile="AOI_0_Made_img1")
    assert "trained only on synthetic data" in page.info[0].value
    assert "Train on real tiles" in labels(page)


def test_a_training_shows_its_thresholds_and_how_far_to_believe_it(open_page: OpenPage, city: Catalog) -> None:
    modern("mine")
    queue = Queue(settings().queue)
    queue.submit("train", TRAINING, "Made")
    job = queue.claim("w")
    assert job is not None
    queue.finish(job.id, "w", State.DONE)
    page = open_page("train")
    assert not page.exception
    shown = html(page)
    assert "Split ratio (watershed)" in shown
    assert "0.750" in shown
    assert "0.780" in shown
    titles = [chart.proto.spec for chart in page.get("vega_lite_chart")]
    assert any("Calibration (reliability diagram)" in spec for spec in titles)


@pytest.mark.usefixtures("city")
def test_near_infrared_is_a_choice_of_every_network(open_page: OpenPage) -> None:
    page = open_page("train")
    page.selectbox(key="preset").select("own").run()
    page.checkbox(key="infrared of unet").check().run()
    next(one for one in page.button if one.label == "Train").click().run()
    [job] = Queue(settings().queue).jobs(task="train")
    assert job.params["config"]["recipe"]["bands"] == 0
    assert not page.exception
