from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from core.datasets.config import DatasetConfig
from core.datasets.normalization import Normalization
from core.errors import DamagedRun, InvalidSetting, NoSuchRun, RunExists
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run, damaged, runs


class Weights:
    """What a keras model does when its weights are saved."""

    def __init__(self, content: bytes = b"weights", fails: bool = False) -> None:
        self.content, self.fails = content, fails

    def save_weights(self, path: Path) -> None:
        assert path.name.endswith(".weights.h5"), "keras insists on this"
        path.write_bytes(self.content)
        if self.fails:
            raise KeyboardInterrupt


def record(**changes) -> Record:
    basis = Record(
        TrainingConfig(dataset=DatasetConfig(size=64, chip=32, step=16), options={"batch_norm": True}, name="a run"),
        ("img1",), ("img2",), Normalization((0.0, 1.0, 2.0), (3.0, 4.0, 5.0)), 3, (0.5, 0.4), 12, "CPU", {"keras": "3"},
    )  # fmt: skip
    return replace(basis, **changes)


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(tmp_path / "first", record())


def test_a_run_says_again_what_it_was_created_with(run):
    assert Run(run.path).record == run.record == record(created=run.record.created)
    assert Run(run.path).config.dataset.chip == 32


def test_a_run_from_before_tiles_were_left_out_between_can_be_read(run):
    values = orjson.loads((run.path / "config.json").read_bytes())
    del values["between_tiles"]
    (run.path / "config.json").write_bytes(orjson.dumps(values))
    assert Run(run.path).record == record(created=run.record.created)


def test_a_folder_that_holds_a_run_is_never_overwritten(run):
    with pytest.raises(RunExists, match="first already contains a run"):
        Run.create(run.path, record())


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batch", 0), ("learning_rate", 0.0), ("learning_rate", float("nan")), ("seed", -1)],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(InvalidSetting, match=rf"Invalid value \S+ for {name}: "):
        TrainingConfig(**{name: value})


def test_a_configuration_of_plain_values_is_read_and_checked():
    assert TrainingConfig.of({"epochs": 2, "recipe": {"size": 64, "chip": 64}}).dataset.chip == 64
    with pytest.raises(InvalidSetting, match="depth"):
        TrainingConfig.of({"depth": 2})
    with pytest.raises(InvalidSetting, match="Invalid value 0 for epochs"):
        TrainingConfig.of({"epochs": 0})


def test_metrics_grow_by_an_epoch_and_know_what_is_not_a_number(run):
    assert run.metrics().empty
    run.add_metrics({"epoch": 1, "seconds": 2.5, "loss": 0.5, "iou": float("nan")})
    run.add_metrics({"epoch": 2, "seconds": 2.5, "loss": 0.25, "val_iou": 0.75})
    table = run.metrics()
    assert list(table["epoch"]) == [1, 2]
    assert list(table["loss"]) == [0.5, 0.25]
    assert np.isnan(table["iou"]).all()
    assert table["val_iou"].iloc[1] == 0.75


def test_a_line_that_is_still_being_written_is_left_out(run):
    run.add_metrics({"epoch": 1, "loss": 0.5})
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"epoch": 2, "lo')
    assert list(run.metrics()["epoch"]) == [1]


def test_the_log_keeps_its_lines(run):
    assert run.log_text == ""
    run.log("one")
    run.log("two")
    assert [line.split(" ", 2)[2] for line in run.log_text.splitlines()] == ["one", "two"]


def test_a_run_is_usable_after_its_first_epoch_and_finished_after_its_last(tmp_path):
    run = Run.create(tmp_path / "run", record(config=TrainingConfig(epochs=2)))
    assert not run.is_usable
    with pytest.raises(DamagedRun, match="stopped before its first epoch"):
        run.weights()
    run.save_weights(Weights(), 1)
    assert run.is_usable
    assert not run.is_finished
    run.save_weights(Weights(b"better"), 2)
    assert not run.is_finished  # as long as its figures are not there
    run.add_metrics({"epoch": 2, "seconds": 1.0})
    assert run.is_finished
    assert run.weights().read_bytes() == b"better"
    assert [file.name for file in run.path.glob("*.h5")] == ["epoch-2.weights.h5"]


def test_stopping_while_weights_are_saved_leaves_those_of_the_epoch_before(run):
    run.save_weights(Weights(b"whole"), 1)
    with pytest.raises(KeyboardInterrupt):
        run.save_weights(Weights(b"ha", fails=True), 2)
    assert run.weights().read_bytes() == b"whole"
    assert [file.name for file in run.path.glob("*.h5")] == ["epoch-1.weights.h5"]


def test_changed_or_missing_weights_are_never_loaded(run):
    run.save_weights(Weights(), 1)
    file = run.weights()
    file.write_bytes(b"weightz")
    with pytest.raises(DamagedRun, match="missing or damaged"):
        run.weights()
    file.unlink()
    assert not run.is_usable
    with pytest.raises(DamagedRun, match="missing"):
        run.weights()


def test_weights_outside_the_folder_are_never_loaded(run, tmp_path):
    run.save_weights(Weights(), 1)
    (tmp_path / "other.h5").write_bytes(b"weights")
    said = orjson.loads((run.path / "weights.json").read_bytes())
    (run.path / "weights.json").write_bytes(orjson.dumps({**said, "file": "../other.h5"}))
    with pytest.raises(DamagedRun):
        run.weights()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"config": {}}', b'{"config": {"epochs": 0}}', b"\xff"])
def test_a_config_that_cannot_be_read_is_a_damaged_run(run, content):
    (run.path / "config.json").write_bytes(content)
    with pytest.raises(DamagedRun, match=r"config\.json is damaged"):
        _ = Run(run.path).record
    assert not Run(run.path).is_usable


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"file": 1, "sha256": 2, "epoch": "x"}'])
def test_a_weights_json_that_cannot_be_read_is_a_damaged_run(run, content):
    run.save_weights(Weights(), 1)
    (run.path / "weights.json").write_bytes(content)
    with pytest.raises(DamagedRun):
        run.weights()
    assert not run.is_usable


def test_runs_come_newest_first_and_broken_folders_are_told_apart(tmp_path):
    for name, created in (("old", "2026-01-01T00:00:00+00:00"), ("new", "2026-01-02T00:00:00"), ("odd", "yesterday")):
        Run.create(tmp_path / name, record(created=created))
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").touch()
    assert [run.name for run in runs(tmp_path)] == ["new", "old"]
    assert [type(problem) for problem in damaged(tmp_path)] == [NoSuchRun, DamagedRun]
    assert [problem.facts["name"].name for problem in damaged(tmp_path)] == ["empty", "odd"]


def test_no_folder_has_no_runs(tmp_path):
    assert runs(tmp_path / "nowhere") == []
    with pytest.raises(NoSuchRun, match="no run at nowhere"):
        _ = Run(tmp_path / "nowhere").record
