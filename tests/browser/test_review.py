"""What a person does after a prediction, in Chromium: sliders, keys, two runs with a handle, the demo, a file."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.browser.conftest import Site
from tests.browser.test_journey import map_frame, reruns
from tests.conftest import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TILE = "AOI_2_Vegas_img225"
#: Two runs that were never trained see the tile: what they say does not matter here, that there is something does.
_PREPARE = """
import sys
import numpy as np
from core.geo import raster
from core.catalog.store import read_catalog
from core.runs.config import TrainingConfig
from core.labels.labels import Labels
from core.catalog.tile_labels import read_tile_labels
from core.inference.tile_prediction import tile_prediction
from core.runs.run import Record, Run
from core.datasets.config import DatasetConfig
from core.datasets.normalization import Normalization
from core.settings import settings
from models.registry import build
tile = read_catalog().tile(sys.argv[1])
grid, mask = raster.read_info(tile.image).grid, read_tile_labels(tile).mask > 0
for n, name in enumerate(("first", "second")):
    config = TrainingConfig(name=f"Run {name}", dataset=DatasetConfig())
    record = Record(config, ("other",), (), Normalization((0.0,) * 3, (2047.0,) * 3), 3, (0.3, 0.3), 1, "CPU", {})
    run = Run.create(settings().runs / name, record)
    run.save_weights(build("fcn", 3), 1)
    run.add_metrics({"epoch": 1, "seconds": 30.0, "loss": 1.0, "val_iou": 0.5, "images_s": 10.0})
    seen = np.where(mask, np.float32(0.9 if n else 0.6), np.float32(0))
    seen[:, : 200 if n else 450] = 0
    raster.write(tile_prediction(name, tile.id).probability, raster.Raster(seen[None].astype(np.float32), grid))
"""


@pytest.fixture(scope="module")
def reviewed(site: Site) -> Site:
    """The site with two runs that have seen the tile."""
    environment = {**os.environ, "GROUNDPLAN_DATA": str(site.data)}
    subprocess.run([sys.executable, "-c", _PREPARE, TILE], cwd=ROOT, env=environment, check=True)
    return site


def verdicts(frame: Frame) -> dict[str, int]:
    """How many shapes of each kind the map holds."""
    return frame.evaluate(
        """() => { const counts = {};
          for (const l of Object.values(map._layers)) { const v = l.feature && l.feature.properties.verdict;
            if (v) counts[v] = (counts[v] || 0) + 1; }
          return counts; }"""
    )


def open_predict(page: Page, site: Site, run: str) -> Frame:
    page.goto(f"{site.url}/predict?tile={TILE}&run={run}")
    frame = map_frame(page)
    frame.wait_for_function("Object.values(map._layers).some(l => l.feature && l.feature.properties.verdict === 'TP')")
    return frame


def test_a_slider_changes_the_polygons_and_leaves_the_map_where_it_is(page: Page, reviewed: Site) -> None:
    frame = open_predict(page, reviewed, "first")
    before = verdicts(frame)
    frame.evaluate("map.setZoom(map.getZoom() + 1, {animate: false}); window.kept = map.getZoom()")
    slider = page.get_by_role("slider", name="Probability threshold")
    for _ in range(4):
        slider.press("ArrowRight")
    frame.wait_for_function(
        "before => !Object.values(map._layers).some(l => l.feature && l.feature.properties.verdict === 'TP')",
        arg=before,
    )
    assert frame.evaluate("window.kept === map.getZoom()"), "same map, same view"


def test_buildings_are_judged_with_keys_alone(page: Page, reviewed: Site) -> None:
    frame = open_predict(page, reviewed, "second")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_text("IoU with ground truth")).to_be_visible()
    page.keyboard.press("a")
    expect(page.get_by_text("1 accepted · 0 rejected", exact=False)).to_be_visible()
    page.keyboard.press("r")
    expect(page.get_by_text("1 accepted · 1 rejected", exact=False)).to_be_visible()
    frame.wait_for_function("Object.values(map._layers).some(l => l.feature && l.feature.properties.decided)")
    kept = json.loads((reviewed.data / "predictions" / "second" / TILE / "review.json").read_text())
    assert sorted(one["verdict"] for one in kept["decisions"]) == ["accepted", "rejected"]


def test_two_runs_lie_left_and_right_of_a_handle(page: Page, reviewed: Site) -> None:
    page.goto(f"{reviewed.url}/compare?tile={TILE}")
    grid = page.locator("[data-testid=stDataFrame]").first
    expect(grid).to_be_visible()
    box = grid.bounding_box()
    assert box is not None
    for row in (1, 2):
        page.mouse.click(box["x"] + 18, box["y"] + 35 * row + 17)
        page.wait_for_timeout(1200)
    expect(page.get_by_text("Side-by-side on a tile")).to_be_visible()
    frame = map_frame(page)
    handle = frame.get_by_role("slider", name="Swipe to compare")
    expect(handle).to_be_visible()
    before = float(handle.get_attribute("aria-valuenow") or 0)
    for _ in range(10):
        handle.press("ArrowRight")
    assert float(handle.get_attribute("aria-valuenow") or 0) == before + 20
    sides = frame.evaluate("['first', 'second'].map(name => map.getPane(name).style.clip)")
    assert sides[0] != sides[1]
    expect(page.get_by_text("Differences in settings")).to_be_visible()


def test_the_demo_goes_from_a_map_to_a_file_with_clicks_alone(page: Page, reviewed: Site) -> None:
    sent: list[bytes | str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    page.goto(f"{reviewed.url}/demo?tile={TILE}")
    map_frame(page)
    for step in range(2, 5):
        page.get_by_role("button", name="Next", exact=True).click()
        expect(page.get_by_text(f"Step {step} of 6")).to_be_visible()
    look = page.get_by_role("button", name="Let it look at this tile")
    if look.is_visible():
        look.click()
        expect(page.get_by_text("Detection finished", exact=False)).to_be_visible(timeout=120_000)
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.get_by_text("Correct (TP)")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Step 5 of 6")).to_be_visible()
    page.get_by_role("button", name="Next", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="GeoPackage for QGIS").click()
    assert Path(download.value.path()).read_bytes()[:15] == b"SQLite format 3"
    assert reruns(sent)


def test_the_network_is_taken_home_as_a_job(page: Page, reviewed: Site, tmp_path: Path) -> None:
    open_predict(page, reviewed, "second")
    page.get_by_role("tab", name="Export").click()
    page.get_by_role("button", name="Model: ONNX", exact=False).click()
    fetch = page.get_by_role("button", name="Download network.zip")
    expect(fetch).to_be_visible(timeout=240_000)
    with page.expect_download() as download:
        fetch.click()
    download.value.save_as(tmp_path / "network.zip")
    names = zipfile.ZipFile(tmp_path / "network.zip").namelist()
    for wanted in ("model.onnx", "model.tflite", "saved_model/saved_model.pb", "README.md", "item.json"):
        assert any(name.endswith(wanted) for name in names)
