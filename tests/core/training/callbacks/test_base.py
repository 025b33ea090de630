import errno

import pytest

from core.errors import DiskFull
from core.runs.run import Run
from core.training.callbacks.base import FaultTolerantCallback
from core.training.callbacks.defaults import default_callbacks
from core.training.callbacks.film import FilmCallback
from core.training.callbacks.mlflow import MLflowCallback
from core.training.callbacks.tensorboard import TensorBoardCallback
from tests.core.training.callbacks.conftest import epoch


class Broken:
    """Fails at one of its calls, and writes all of them down."""

    def __init__(self, at: str, error: Exception) -> None:
        self.at, self.error, self.calls = at, error, []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.at:
            raise self.error

    def begin(self, _run, _windows, _done):
        self._called("begin")

    def end_epoch(self, _epoch):
        self._called("end_epoch")

    def close(self, _failed=False):
        self._called("close")


def train(watcher, run, windows) -> None:
    watcher.begin(run, windows, 0)
    for number in (1, 2):
        watcher.end_epoch(epoch(number))
    watcher.close(False)


@pytest.mark.parametrize(
    ("at", "calls"),
    [
        ("begin", ["begin", "close"]),
        ("end_epoch", ["begin", "end_epoch", "close"]),
        ("close", ["begin", "end_epoch", "end_epoch", "close", "close"]),
    ],
)
@pytest.mark.parametrize("error", [OSError(errno.EIO, "input/output error"), DiskFull(name="film")])
def test_a_watcher_that_fails_is_closed_and_switched_off_with_one_line(run, windows, at, calls, error):
    broken = Broken(at, error)
    train(FaultTolerantCallback(broken), run, windows)
    assert broken.calls == calls
    assert len(run.log_text.splitlines()) == 1
    assert f"Broken was disabled after an error; training continues: {error}" in run.log_text


def test_a_mistake_of_the_program_is_not_hidden(run, windows):
    with pytest.raises(KeyError):
        train(FaultTolerantCallback(Broken("end_epoch", KeyError("loss"))), run, windows)


def test_a_full_disk_does_not_end_a_training_not_even_through_the_line_about_it(run, windows, monkeypatch):
    def full(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Run, "log", full)
    broken = Broken("end_epoch", DiskFull(name="film"))
    train(FaultTolerantCallback(broken), run, windows)
    assert broken.calls == ["begin", "end_epoch", "close"]


def kinds() -> list[type]:
    return [type(watcher.callback) for watcher in default_callbacks()]


def test_film_and_tensorboard_always_look_on_and_mlflow_where_it_has_an_address(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert kinds() == [FilmCallback, TensorBoardCallback]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert kinds() == [FilmCallback, TensorBoardCallback, MLflowCallback]


def test_all_of_them_leave_a_film_and_events_and_no_complaint(run, windows, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for watcher in default_callbacks():
        train(watcher, run, windows)
    assert run.film.frames == [1, 2]
    assert len(list(run.path.glob("events.out.tfevents.*"))) == 1
    assert run.log_text == ""
