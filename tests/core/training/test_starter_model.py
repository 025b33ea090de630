"""The network that comes along."""

from pathlib import Path

import pytest

from core.postprocessing.thresholds import load_thresholds
from core.runs.run import Run
from core.settings import settings
from core.training import starter_model
from core.training.starter_model import FOLDER, NAME, install, is_starter, starter_card
from tests.core.inference.test_engine import make_run

MOST_BYTES = 5_000_000


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    return tmp_path / "data"


def test_it_is_small_whole_and_says_what_it_is():
    run = Run(FOLDER)
    assert run.is_usable
    assert run.weights().stat().st_size < MOST_BYTES, "verified against its SHA-256"
    assert not list(FOLDER.glob("checkpoint-*")), "weights only"
    assert run.record.bands == 3, "any picture has three colours"
    said = (FOLDER / "README.md").read_text("utf-8")
    assert said == starter_card(run)
    for word in ("License", "Limitations", "split", "SHA-256", run.weights().name, f"F1 {load_thresholds(run).f1:.2f}"):
        assert word in said


def test_it_lies_among_the_runs_where_there_is_none_yet(data: Path):
    run = install()
    assert run is not None
    assert run.path == data / "runs" / NAME
    assert run.is_usable
    assert is_starter(run)
    assert install() is None, "not a second time"


def test_it_does_not_come_back_beside_runs_of_ones_own(data: Path):
    make_run(data / "runs" / "mine")
    assert install() is None
    assert not (data / "runs" / NAME).exists()


def test_it_is_made_by_one_command_and_replaces_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = {}

    def train(tiles, config, folder, _report):
        made.update(tiles=len(tiles), minutes=config.minutes)
        run = make_run(folder)
        run.save_thresholds(load_thresholds(run).as_dict())
        run.add_metrics({"epoch": 1})
        return run

    monkeypatch.setattr(starter_model, "train", train)
    monkeypatch.setattr(starter_model, "make_sample_city", lambda folder: folder)
    monkeypatch.setattr(starter_model, "scan", lambda _folder: type("Found", (), {"tiles": (1, 2, 3)}))
    old = tmp_path / "kept"
    old.mkdir()
    (old / "epoch-9.weights.h5").write_bytes(b"old")
    run = starter_model.train_starter(0.5, folder=old)
    assert made == {"tiles": 3, "minutes": 0.5}
    assert run.is_usable
    assert not (old / "epoch-9.weights.h5").exists()
    assert (old / "README.md").read_text("utf-8") == starter_card(run)
