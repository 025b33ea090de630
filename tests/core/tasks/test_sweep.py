"""Sweeps over a queue on disk, with runs that are written by hand."""

import re
from math import isnan
from pathlib import Path

import pytest

from core.catalog.store import Catalog, write_catalog
from core.cli import main
from core.datasets.normalization import Normalization
from core.errors import InvalidSetting, UnknownNetwork
from core.jobs.job import Resources
from core.jobs.queue import HIGH, LOW, Queue, State
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.settings import settings
from core.tasks.sweep import MAX_TRAININGS, Sweep, results, stop, submit, sweep_names
from core.tasks.train import run_of
from tests.core.tile_factory import grid_at, make_tile


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield Queue(settings().queue)
    settings.cache_clear()


def sweep(**changes) -> Sweep:
    facts = {"name": "Rates", "tiles": ("a", "b"), "base": TrainingConfig(epochs=3), "rates": (1e-3, 3e-4)}
    return Sweep(**{**facts, "networks": ("fcn",), "seeds": (0, 1), **changes})


def trained(job, *ious: float) -> Run:
    """What training would have left behind."""
    run = run_of(job)
    config = TrainingConfig.of(job.params["config"])
    record = Record(config, ("a",), ("b",), Normalization((0.0,), (1.0,)), 3, (0.5, 0.5), 1, "CPU", {})
    Run.create(run.path, record)
    for epoch, iou in enumerate(ious, 1):
        run.add_metrics({"epoch": epoch, "seconds": 2.0, "val_iou": iou})
    return run


def test_a_sweep_is_every_combination_and_says_so_in_the_names():
    configs = sweep().configs()
    assert [(config.learning_rate, config.seed, config.epochs) for config in configs] == [
        (1e-3, 0, 3), (1e-3, 1, 3), (3e-4, 0, 3), (3e-4, 1, 3),
    ]  # fmt: skip
    assert configs[2].name == "Rates · fcn · rate 0.0003 · seed 0"


def test_a_network_gets_only_the_options_it_has(monkeypatch):
    configs = sweep(base=TrainingConfig(options={"batch_norm": True, "unheard_of": 1})).configs()
    assert all(config.options == {"batch_norm": True} for config in configs)


def test_submit_puts_all_of_it_behind_what_people_wait_for(queue):
    jobs = submit(sweep(resources=Resources(gpus=2)), queue)
    waited_for = queue.submit("predict", {}, "single", HIGH)
    assert [job.id for job in queue.waiting()] == [waited_for.id, *(job.id for job in jobs)]
    assert {job.priority for job in jobs} == {LOW}
    assert all((job.task, job.params["sweep"], job.params["gpus"]) == ("train", "Rates", 2) for job in jobs)
    assert jobs[0].params["tiles"] == ["a", "b"]
    assert jobs[0].title == jobs[0].params["config"]["name"]


def test_every_run_has_a_folder_of_its_own_that_tells_what_it_is(queue):
    jobs = submit(sweep(), queue) + submit(sweep(), queue)
    names = [job.params["run"] for job in jobs]
    assert len(set(names)) == len(jobs)
    assert names[0].startswith("Rates-fcn-rate-0.001-seed-0-")
    assert all(re.fullmatch(r"[\w.-]+", name, re.ASCII) for name in names)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": " "}, InvalidSetting),
        ({"seeds": ()}, InvalidSetting),
        ({"seeds": tuple(range(MAX_TRAININGS))}, InvalidSetting),
        ({"rates": (2.0,)}, InvalidSetting),
        ({"networks": ("fcn", "unheard_of")}, UnknownNetwork),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_submitted(queue, changes, error):
    with pytest.raises(error):
        submit(sweep(**changes), queue)
    assert queue.jobs() == []


def test_words_of_a_command_line_become_numbers_or_a_sentence():
    parsed = Sweep.parse("s", ["a"], TrainingConfig(), ["1e-3", "0.1"], ["fcn"], ["4"])
    assert (parsed.rates, parsed.seeds, len(parsed)) == ((1e-3, 0.1), (4,), 2)
    with pytest.raises(InvalidSetting, match='Invalid value "x" for the seed: must be a number'):
        Sweep.parse("s", ["a"], TrainingConfig(), ["1e-3"], ["fcn"], ["x"])


def test_results_have_a_row_a_run_with_the_best_first(queue):
    jobs = submit(sweep(), queue)
    trained(jobs[1], 0.2, 0.5, 0.4)
    trained(jobs[3], 0.6)
    claimed = queue.claim("w")
    queue.finish(claimed.id, "w", State.FAILED, "no")
    queue.submit("train", {"run": "of no sweep", "config": {}, "tiles": []})
    found = results("Rates", queue)
    assert list(found["job"]) == [jobs[3].id, jobs[1].id, jobs[0].id, jobs[2].id]
    best, second = found.iloc[0], found.iloc[1]
    assert (best["rate"], best["network"], best["seed"], best["iou"]) == (3e-4, "fcn", 1, 0.6)
    assert (second["epochs"], second["iou"], second["seconds"]) == (3, 0.5, 6.0)
    assert isnan(found.iloc[2]["iou"])
    assert list(found["state"]) == ["queued", "queued", "failed", "queued"]


def test_results_of_a_sweep_nobody_made_are_an_empty_table(queue):
    assert results("unheard of", queue).empty
    assert sweep_names(queue) == []


def test_sweeps_are_listed_by_name_the_latest_first(queue):
    for name in ("One", "Two", "One"):
        submit(sweep(name=name), queue)
    assert sweep_names(queue) == ["One", "Two"]
    assert len(results("One", queue)) == 8


def test_stop_ends_what_is_left_of_one_sweep(queue):
    jobs, others = submit(sweep(), queue), submit(sweep(name="Other"), queue)
    for _ in others:
        queue.claim("w")
    running = [job for job in jobs if queue.get(job.id).state is State.RUNNING]
    stop("Rates", queue)
    assert running
    assert all(queue.get(job.id).stop_requested and queue.get(job.id).keep for job in running)
    assert not any(queue.get(job.id).stop_requested for job in others)


def test_the_command_line_submits_a_sweep(queue, tmp_path, monkeypatch, capsys):
    write_catalog(Catalog(tuple(make_tile(tmp_path / "city", f"img{n}", grid_at(column=64 * n)) for n in (1, 2))))
    options = ("--aoi", "AOI_0_Made", "--rates", "0.001,0.01", "--seeds", "1,2", "--epochs", "3")
    monkeypatch.setattr("sys.argv", ["core", "sweep", "Mine", *options])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert not left.value.code
    jobs = queue.waiting()
    assert capsys.readouterr().out.splitlines() == [f"{job.id}\t{job.params['run']}" for job in jobs]
    assert len(jobs) == 4
    assert jobs[0].params["tiles"] == ["img1", "img2"]
    assert {job.params["config"]["epochs"] for job in jobs} == {3}


@pytest.mark.parametrize(
    ("words", "asked"),
    [((), {}), (("--gpus", "2"), {"gpus": 2}), (("--gpus", "1", "--nodes", "3"), {"gpus": 1, "nodes": 3})],
)
def test_the_command_line_asks_for_gpus_and_machines(queue, tmp_path, monkeypatch, words, asked):
    write_catalog(Catalog((make_tile(tmp_path / "city", "img1"),)))
    monkeypatch.setattr("sys.argv", ["core", "sweep", "Mine", "--aoi", "AOI_0_Made", *words])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert not left.value.code
    [job] = queue.jobs()
    assert {key: value for key, value in job.params.items() if key in ("gpus", "nodes")} == asked


def test_the_command_line_wants_tiles_for_a_sweep(queue, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["core", "sweep", "Mine"])
    with pytest.raises(SystemExit, match="2"):
        main.main()
    assert "--tiles" in capsys.readouterr().err
