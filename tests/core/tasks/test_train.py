"""Trainings as pages ask for them: submitted, gone on with, deleted."""

from pathlib import Path

import pytest

from core.datasets.normalization import Normalization
from core.errors import DamagedRun, JobRunning, NoSuchJob, RunInUse
from core.jobs.folder import JobFolder
from core.jobs.job import Resources
from core.jobs.queue import Queue, State
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run, run_name
from core.settings import settings
from core.tasks.train import can_continue, delete_job, ends_together, run_of, submit_more_epochs, submit_training


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield Queue(settings().queue)
    settings.cache_clear()


def trained(folder: str, epochs: int = 3, **config) -> Run:
    """A run with so many whole epochs, without weights."""
    chosen = TrainingConfig(**{"epochs": max(epochs, 1), "name": "Mine", **config})
    record = Record(
        chosen, ("a", "b"), ("b", "c"), Normalization((0.0,), (1.0,)), 3, (0.5, 0.5), 1, "CPU", {}, buffer_tiles=("d",)
    )
    run = Run.create(settings().runs / folder, record)
    for epoch in range(1, epochs + 1):
        run.add_metrics({"epoch": epoch, "seconds": 1.0})
    return run


def finished(queue: Queue, run: str = "old"):
    """A training that is over, with its log and a prediction."""
    job = queue.submit("train", {"run": run, "tiles": [], "config": {}})
    queue.claim("w")
    queue.finish(job.id, "w", State.DONE)
    JobFolder.of(job.id).path.mkdir(parents=True)
    JobFolder.of(job.id).log.write_text("said")
    (settings().predictions / run / "a").mkdir(parents=True)
    return queue.get(job.id)


def test_two_runs_of_the_same_words_have_different_names_that_are_plain():
    first, second = run_name("Las Vegas / ../größer"), run_name("Las Vegas / ../größer")
    assert first != second
    assert first.startswith("Las-Vegas-..-gr-er-")
    assert Path(first).name == first


@pytest.mark.parametrize("words", ["", "..", "/", "ß"])
def test_words_without_a_letter_still_make_a_name(words):
    assert run_name(words).startswith("run-")


def test_a_training_carries_its_configuration_and_what_it_asks_a_cluster_for(queue):
    job = submit_training(queue, ["a"], TrainingConfig(name="Mine", epochs=2), "area", Resources(gpus=1, nodes=3))
    assert (job.task, job.title, job.params["tiles"], job.params["gpus"], job.params["nodes"]) == (
        "train", "Mine", ["a"], 1, 3,
    )  # fmt: skip
    assert TrainingConfig.of(job.params["config"]) == TrainingConfig(name="Mine", epochs=2)
    assert "gpus" not in submit_training(queue, ["a"], TrainingConfig(), "area").params


def test_more_epochs_are_a_new_run_on_the_same_tiles_that_names_the_old_one(queue):
    job = submit_more_epochs(trained("old", 3, learning_rate=0.01), 5, queue)
    assert job.params["from"] == "old"
    assert job.params["run"] != "old"
    assert job.params["tiles"] == ["a", "b", "c", "d"]  # or they would be divided anew
    config = TrainingConfig.of(job.params["config"])
    assert (config.epochs, config.learning_rate, config.name) == (8, 0.01, "Mine (continued)")


def test_more_epochs_are_trained_however_patient_the_run_was(queue):
    job = submit_more_epochs(trained("old", 8, patience=3), 5, queue)
    assert TrainingConfig.of(job.params["config"]).patience == 0


def test_more_epochs_are_trained_however_many_minutes_the_run_had(queue):
    config = TrainingConfig.of(submit_more_epochs(trained("old", 60, minutes=4.0), 5, queue).params["config"])
    assert (config.epochs, config.minutes) == (65, 0.0)


def test_a_run_with_a_damaged_file_is_not_gone_on_with(queue):
    run = trained("old")
    (run.path / "metrics.jsonl").write_text("{\n")
    assert not can_continue(run)


def test_what_a_job_asked_a_cluster_for_is_known(queue):
    asked = Resources(gpus=1, nodes=3)
    assert Resources.of(submit_training(queue, ["a"], TrainingConfig(), "area", asked).params) == asked
    assert Resources.of(submit_training(queue, ["a"], TrainingConfig(), "area").params) == Resources()


def test_a_run_gone_on_with_twice_is_called_continued_once(queue):
    config = TrainingConfig.of(submit_more_epochs(trained("old"), 1, queue).params["config"])
    assert submit_more_epochs(trained("again", name=config.name), 1, queue).title == "Mine (continued)"


def test_nothing_goes_on_from_a_run_without_a_whole_epoch(queue):
    with pytest.raises(DamagedRun, match="before its first epoch was complete"):
        submit_more_epochs(trained("old", 0), 1, queue)
    assert queue.jobs() == []


def test_deleting_a_job_takes_its_log_and_leaves_the_run(queue):
    run, job = trained("old"), finished(queue)
    delete_job(job, queue)
    with pytest.raises(NoSuchJob):
        queue.get(job.id)
    assert not JobFolder.of(job.id).path.exists()
    assert run.exists


def test_deleting_a_job_with_its_run_takes_the_predictions_too(queue):
    run, other, job = trained("old"), trained("other"), finished(queue)
    delete_job(job, queue, with_run=True)
    assert not run.path.exists()
    assert not (settings().predictions / "old").exists()
    assert other.exists


def test_a_running_job_is_not_deleted(queue):
    trained("old")
    queue.submit("train", {"run": "old", "tiles": [], "config": {}})
    running = queue.claim("w")
    with pytest.raises(JobRunning):
        delete_job(running, queue, with_run=True)
    assert Run(settings().runs / "old").exists


@pytest.mark.parametrize("params", [{"run": "old", "tile": "a"}, {"run": "new", "from": "old"}])
def test_a_run_that_another_job_needs_is_not_deleted(queue, params):
    run, job = trained("old"), finished(queue)
    other = queue.submit("predict", params, "needs it")
    with pytest.raises(RunInUse, match=f"job {other.id} \\(needs it\\)"):
        delete_job(job, queue, with_run=True)
    assert run.exists
    assert queue.get(job.id)


@pytest.mark.parametrize("name", ["", ".", "..", "../..", "a/.."])
def test_a_run_without_a_plain_name_leads_nowhere(queue, name):
    keep = settings().runs / "keep"
    keep.mkdir(parents=True)
    job = queue.submit("train", {"run": name, "tiles": [], "config": {}})
    assert run_of(job) is None
    delete_job(job, queue, with_run=True)
    assert keep.is_dir()


@pytest.mark.parametrize(("minutes", "nodes", "together"), [(2.0, 1, True), (0.0, 3, True), (2.0, 3, False)])
def test_several_machines_end_together_by_epochs_only(minutes, nodes, together):
    assert ends_together(minutes, Resources(0, nodes)) == together
