"""What a run found over an area: one file of footprints, one page for people, jobs that make them."""

import re
import zipfile
from pathlib import Path

import geopandas as gpd
import pytest

from core.catalog.store import read_catalog
from core.errors import InvalidSetting, NothingAccepted, NothingPredicted
from core.exports.footprints import write_area
from core.exports.report import write_report
from core.inference.tile_prediction import tile_prediction
from core.jobs.queue import Queue
from core.progress import silent
from core.review.decisions import Review
from core.review.reviewed_labels import register_accepted
from core.settings import settings
from core.tasks.export import export_task, result_path, submit_export
from tests.core.fake_predictions import TILES, made


@pytest.fixture
def runs(tmp_path, monkeypatch):
    with made(tmp_path, monkeypatch) as both:
        yield both


def tiles():
    return read_catalog().tiles


def test_footprints_of_an_area_say_which_tile_each_is_on(runs, tmp_path):
    assert write_area(runs[1], tiles(), tmp_path / "all.gpkg") == 4
    frame = gpd.read_file(tmp_path / "all.gpkg")
    assert sorted(frame["tile"].value_counts().items()) == [(TILES[0], 2), (TILES[1], 2)]
    assert frame["id"].tolist() == [1, 2, 3, 4]
    assert set(frame["run"]) == {"two"}


def test_only_what_was_accepted_can_be_taken(runs, tmp_path):
    one = tile_prediction("two", TILES[0])
    Review.of(one.folder).decide(one.footprints(), [0], "accepted").write(one.folder)
    assert write_area(runs[1], tiles(), tmp_path / "kept.geojson", "accepted") == 1
    with pytest.raises(InvalidSetting, match="raw, square, accepted"):
        write_area(runs[1], tiles(), tmp_path / "x.geojson", "all")
    with pytest.raises(NothingPredicted, match="one"):
        write_area(runs[0], [], tmp_path / "x.geojson")


def test_a_report_is_one_page_that_fetches_nothing(runs, tmp_path):
    page = write_report(runs[0], tiles(), tmp_path / "report.html").read_text()
    assert "Of 6 labeled buildings on 3 tiles, 3 are detected and 3 are missed. False positives: 3." in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    assert page.count("data:image/webp;base64,") == 3
    assert "TopCoder scorer" in page


def test_names_from_outside_stay_text_in_a_report(runs, tmp_path):
    from core.runs.metadata import RunMetadata

    RunMetadata("<img src=x onerror=alert(1)>").write(runs[0])
    page = write_report(runs[0], tiles(), tmp_path / "report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_accepted_buildings_become_labels_of_a_tile_to_train_on(runs):
    one = tile_prediction("two", TILES[0])
    with pytest.raises(NothingAccepted, match=TILES[0]):
        register_accepted(one)
    Review.of(one.folder).decide(one.footprints(), [0, 1], "accepted").write(one.folder)
    made_of = register_accepted(one)
    assert made_of.id == f"{TILES[0]}_reviewed"
    assert made_of.buildings == 2
    assert made_of.is_labeled
    assert read_catalog().tile(made_of.id).image == one.tile.image
    assert register_accepted(one).id == made_of.id
    assert len(read_catalog().tiles) == 4


@pytest.mark.parametrize(
    ("what", "more", "file"),
    [
        ("report", {}, "r.html"), ("footprints", {"kind": "raw"}, "f.fgb"),
        ("set", {"kind": "coco", "chip": 32}, "s.zip"), ("rasters", {"layers": ["mask", "predicted"]}, "l.zip"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("runs")
def test_an_export_is_a_job_whose_file_can_be_fetched(what, more, file):
    job = submit_export(what, {"run": "one", "tiles": list(TILES), "file": file, **more}, "x", Queue(settings().queue))
    export_task(job.params, silent)
    made_file: Path = result_path(job)
    assert made_file.stat().st_size > 100
    assert [path.name for path in made_file.parent.iterdir()] == [file]
    inside = {"set": "instances_train.json", "rasters": f"{TILES[0]}_predicted.tif"}
    if what in inside:
        assert any(name.endswith(inside[what]) for name in zipfile.ZipFile(made_file).namelist())


@pytest.mark.usefixtures("runs")
def test_the_file_of_a_deleted_job_goes_with_the_next_export():
    queue = Queue(settings().queue)
    params = {"run": "one", "tiles": list(TILES), "file": "f.csv", "kind": "raw"}
    jobs = [submit_export("footprints", params, "x", queue) for _ in range(2)]
    for job in jobs:
        export_task(job.params, silent)
    queue.delete(jobs[0].id)
    submit_export("footprints", params, "x", queue)
    assert [result_path(job).is_file() for job in jobs] == [False, True]


@pytest.mark.usefixtures("runs")
def test_what_a_killed_attempt_left_is_gone_after_the_next():
    params = {"run": "one", "tiles": list(TILES), "file": "s.zip", "kind": "coco"}
    job = submit_export("set", params, "x", Queue(settings().queue))
    left = settings().exports / job.params["folder"] / ".half"
    left.mkdir(parents=True)
    (left / "picture.png").write_bytes(b"x")
    export_task(job.params, silent)
    assert [path.name for path in result_path(job).parent.iterdir()] == ["s.zip"]


@pytest.mark.usefixtures("runs")
def test_an_export_that_fails_leaves_nothing():
    params = {"what": "footprints", "run": "one", "tiles": [], "file": "x.gpkg", "folder": "abc"}
    with pytest.raises(NothingPredicted):
        export_task(params, silent)
    assert not any(settings().exports.rglob("*.gpkg"))
    with pytest.raises(InvalidSetting, match="report"):
        export_task({**params, "what": "everything"}, silent)
