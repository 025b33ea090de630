"""The queue of version 0.6.2: every job is read, and those that wait are run by their stored tasks and parameters."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.jobs.queue import Job, Queue, State
from core.jobs.registry import run_task
from core.progress import silent
from core.settings import settings
from tests.compatibility.conftest import TILES, data_at
from tests.conftest import ROOT
from tests.core.commands import Run as Command
from tests.core.commands import runner
from tests.core.spacenet_bucket import VEGAS, FakeBucket

WORKER = "a worker of today"


@pytest.fixture
def data(unpacked: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy for each test, since most change the queue."""
    with data_at(tmp_path / "data", unpacked) as folder:
        yield folder


@pytest.fixture
def queue(data: Path) -> Queue:
    return Queue(settings().queue)


@pytest.fixture
def command(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(monkeypatch, capsys)


@pytest.fixture(scope="session")
def rows(unpacked: Path) -> list[dict[str, Any]]:
    """The jobs as they stand in the file, in the order of their numbers."""
    database = sqlite3.connect(f"file:{unpacked / 'jobs.sqlite'}?immutable=1", uri=True)
    database.row_factory = sqlite3.Row
    values = [dict(row) for row in database.execute("SELECT * FROM jobs ORDER BY id")]
    database.close()
    return [row | {"params": json.loads(row["params"])} for row in values]


@pytest.fixture
def run(queue: Queue, command: Command) -> Callable[..., Job]:
    """Moves a job to the front, claims it, and does its work in this process."""

    def run(job: Job, finish: bool = False) -> Job:
        assert command("jobs", "move", job.id, 0)[0] == 0
        claimed = queue.claim(WORKER)
        assert claimed is not None
        assert claimed.id == job.id
        spec = SimpleNamespace(task=claimed.task, params=claimed.params, attempt=claimed.attempt)
        with redirect_stdout(StringIO()):
            run_task(spec, silent, lambda: finish)
        return queue.finish(job.id, WORKER, State.DONE)

    return run


def waiting(queue: Queue, task: str) -> list[Job]:
    return [job for job in queue.waiting() if job.task == task]


def test_every_task_and_state_is_among_the_jobs(rows):
    """The fixture has one of each: what is queued, what is over, and what was running when the machine went away."""
    tasks = {"sample", "fetch", "upload", "train", "combine", "export", "predict", "predict_tiles"}
    assert {row["task"] for row in rows if row["state"] == "queued"} == tasks
    assert {row["task"] for row in rows if row["state"] != "queued"} == tasks
    assert {row["state"] for row in rows} == {"queued", "running", "done", "failed", "stopped"}


def test_every_job_is_read_as_it_was_written(queue, rows):
    for row in rows:
        job = queue.get(row["id"])
        for name in ("task", "params", "title", "state", "priority", "attempt", "worker", "error"):
            assert getattr(job, name) == row[name], (row["id"], name)


def test_the_command_lists_and_shows_them(command, rows):
    status, out, err = command("jobs", "list")
    assert status == 0, err
    assert all(row["task"] in out and row["title"] in out for row in rows)
    status, out, _ = command("jobs", "show", 2)
    assert status == 0
    assert "gone" in out


def test_they_wait_in_the_order_they_were_in(queue, rows):
    waiting = sorted(
        (row for row in rows if row["state"] == "queued"), key=lambda row: (-row["priority"], row["place"])
    )
    assert [job.id for job in queue.waiting()] == [row["id"] for row in waiting]


def test_a_cluster_starts_a_job_by_the_module_it_knows(data):
    """Ray was told `python -m core.jobs.child NUMBER ATTEMPT`; the job's folder says what to do."""
    done = subprocess.run(
        [sys.executable, "-m", "core.jobs.child", "3", "1"], cwd=ROOT, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_worker_takes_over_what_was_running_and_runs_the_first_that_waits(queue, rows):
    [running] = [row for row in rows if row["state"] == "running"]
    [first, *_] = queue.waiting()
    done = subprocess.run(
        [sys.executable, "-m", "core", "worker", "--once"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert queue.get(first.id).state is State.DONE
    job = queue.get(running["id"])
    assert (job.state, job.attempt, job.worker) == (State.QUEUED, 1, None)


def test_tiles_come_by_jobs_that_wait(queue, run, command, bucket: FakeBucket, data):
    bucket.put_tile(VEGAS, 9)
    before = {tile["id"]: tile for tile in json.loads(command("catalog", "list", "--json")[1])}
    [fetch] = waiting(queue, "fetch")
    uploads = waiting(queue, "upload")
    for job in (fetch, *uploads):
        run(job)
    after = {tile["id"]: tile for tile in json.loads(command("catalog", "list", "--json")[1])}
    assert not before[f"{VEGAS}_img9"]["products"]
    assert list(after[f"{VEGAS}_img9"]["products"]) == fetch.params["products"]
    added = after.keys() - before.keys()
    assert {after[tile]["name"] for tile in added} == {"quay", "pier"}
    assert uploads[0].params["upload"] in added


def test_an_ensemble_comes_by_a_job_that_waits(queue, run, data):
    [job] = waiting(queue, "combine")
    run(job)
    folder = data / "runs" / job.params["out"]
    weights = json.loads((folder / "weights.json").read_bytes())
    assert (folder / weights["file"]).is_file()


def test_exports_come_by_jobs_that_wait(queue, run, data):
    jobs = waiting(queue, "export")
    assert [job.params["what"] for job in jobs] == ["footprints", "report", "rasters", "set"]
    for job in jobs:
        run(job)
        assert (data / "exports" / job.params["folder"] / job.params["file"]).stat().st_size > 500


def test_predictions_come_by_jobs_that_wait(queue, run, data, expected):
    """A tile under all its symmetries, and the tiles of an area that have no prediction of these weights yet."""
    predictions = data / "predictions" / "starter"
    before = (predictions / TILES[0] / "probability.tif").stat().st_mtime_ns
    [tile], [area] = waiting(queue, "predict"), waiting(queue, "predict_tiles")
    assert tile.params["turned"]
    assert area.params["tiles"] == [*TILES[:3]]
    run(tile)
    turned = (predictions / TILES[1] / "probability.tif").stat().st_mtime_ns
    run(area)
    for name in TILES[:3]:
        score = json.loads((predictions / name / "score.json").read_bytes())
        assert score.keys() == expected["score"].keys()
    # `weights.sha256` beside a prediction says which weights made it.
    assert (predictions / TILES[0] / "probability.tif").stat().st_mtime_ns == before
    assert (predictions / TILES[1] / "probability.tif").stat().st_mtime_ns == turned


@pytest.mark.slow
def test_trainings_that_wait_are_trained(queue, run, data):
    """A new one, which is asked to end early, and one that goes on from a run."""
    jobs = {job.params["config"]["name"]: job for job in waiting(queue, "train")}
    new, more = jobs["New"], next(job for job in jobs.values() if job.params.get("from") == "distance")
    run(new, finish=True)
    run(more)
    lines = {job.id: epoch_lines(data / "runs" / job.params["run"]) for job in (new, more)}
    assert len(lines[new.id]) == 1
    assert len(lines[more.id]) == 2
    assert lines[more.id][:1] == epoch_lines(data / "runs" / "distance")


def epoch_lines(run: Path) -> list[str]:
    return (run / "metrics.jsonl").read_text().splitlines()


def test_what_failed_and_what_was_stopped_can_be_tried_again(queue, command, rows):
    for row in rows:
        if row["state"] in ("failed", "stopped"):
            status, _, err = command("jobs", "retry", row["id"])
            assert status == 0, err
            job = queue.get(row["id"])
            assert (job.state, job.params) == (State.QUEUED, row["params"])


def test_a_job_of_today_has_the_parameters_of_then(queue, command, data, rows):
    [then] = [row for row in rows if row["task"] == "predict_tiles" and row["state"] == "queued"]
    shutil.rmtree(data / "predictions")
    assert command("predict-area", "starter", "Uploads")[0] == 0
    [job] = queue.jobs(1)
    assert (job.task, job.params.keys()) == ("predict_tiles", then["params"].keys())
