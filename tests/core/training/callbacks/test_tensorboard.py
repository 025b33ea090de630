import errno
import json
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX.record_writer import RecordWriter

from core.training.callbacks import tensorboard as module
from core.training.callbacks.base import FaultTolerantCallback
from core.training.callbacks.film import FilmCallback
from core.training.callbacks.tensorboard import TensorBoardCallback
from tests.core.training.callbacks.conftest import epoch, make_run


def train(run, windows, *numbers, done=0, close=True, film=False, **figures) -> None:
    looking_on = [FilmCallback(), TensorBoardCallback()] if film else [TensorBoardCallback()]
    for watcher in looking_on:
        watcher.begin(run, windows, done)
    for number in numbers:
        for watcher in looking_on:
            watcher.end_epoch(epoch(number, **figures))
    for watcher in looking_on if close else []:
        watcher.close()


def read(run) -> EventAccumulator:
    return EventAccumulator(str(run.path), size_guidance={"images": 0}).Reload()


def scalar(run, tag: str) -> dict[int, float]:
    return {event.step: round(event.value, 4) for event in read(run).Scalars(tag)}


def test_every_figure_of_an_epoch_is_there_for_train_and_validation(run, windows):
    train(run, windows, 1, 2)
    assert set(read(run).Tags()["scalars"]) == {
        "loss/train", "loss/validation", "iou/train", "iou/validation", "learning_rate", "images_s", "seconds",
    }  # fmt: skip
    assert scalar(run, "loss/train") == {1: 1.0, 2: 0.5}
    assert scalar(run, "loss/validation") == {1: 2.0, 2: 1.0}
    assert scalar(run, "learning_rate") == {1: 0.001, 2: 0.001}


def test_figures_can_be_read_while_training_goes_on(run, windows):
    watcher = TensorBoardCallback()
    watcher.begin(run, windows, 0)
    watcher.end_epoch(epoch(1))
    assert scalar(run, "loss/train") == {1: 1.0}
    watcher.close()


def test_a_resumed_training_goes_on_where_the_whole_epochs_end(run, windows):
    train(run, windows, 1, 2, 3, loss=9.0)
    train(run, windows, 3, 4, done=2)
    assert len(list(run.path.glob("events.out.tfevents.*"))) == 2, "also within one second"
    assert scalar(run, "loss/train") == {1: 9.0, 2: 9.0, 3: 0.3333, 4: 0.25}
    assert scalar(run, "loss/validation") == {1: 2.0, 2: 1.0, 3: 0.6667, 4: 0.5}


def test_what_was_trained_after_the_last_whole_epoch_is_gone_before_the_next_is_over(run, windows):
    train(run, windows, 1, 2, 3)
    train(run, windows, done=2)
    assert list(scalar(run, "loss/train")) == [1, 2]


def test_a_file_that_ends_in_the_middle_of_an_event_hides_nothing_that_follows(run, windows):
    train(run, windows, 1, 2)
    killed = next(run.path.glob("events.out.tfevents.*"))
    killed.write_bytes(killed.read_bytes()[:-7])
    train(run, windows, 2, 3, done=1)
    assert list(scalar(run, "loss/train")) == [1, 2, 3]


def test_a_clock_set_back_does_not_put_the_new_file_before_the_old_one(run, windows, monkeypatch):
    train(run, windows, 1, 2)
    monkeypatch.setattr(module.time, "time", lambda: 1_000.0)
    train(run, windows, 3, done=2)
    monkeypatch.undo()
    assert list(scalar(run, "loss/train")) == [1, 2, 3]


def test_the_picture_of_the_film_is_there(run, windows):
    train(run, windows, 1, 2, film=True)
    images = read(run).Images("film")
    assert [image.step for image in images] == [1, 2]
    assert images[0].encoded_image_string == run.film.image_file(1).read_bytes()
    assert (images[0].width, images[0].height) == (518, 780)


def test_a_long_training_has_some_pictures_not_hundreds(tmp_path, windows):
    run = make_run(tmp_path / "long", epochs=100)
    train(run, windows, *range(1, 101), film=True)
    assert len(read(run).Images("film")) == module.MAX_IMAGES


def test_without_a_film_the_figures_are_there_all_the_same(run, windows):
    train(run, windows, 1)
    assert read(run).Tags()["images"] == []
    assert scalar(run, "iou/train") == {1: 0.5}


def test_a_full_disk_switches_it_off_and_leaves_no_file_open(run, windows, monkeypatch):
    """An open file would be a ResourceWarning, which fails the test."""
    watcher = FaultTolerantCallback(TensorBoardCallback())
    watcher.begin(run, windows, 0)

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    watcher.end_epoch(epoch(1))
    watcher.end_epoch(epoch(2))
    watcher.close()
    assert run.log_text.count("TensorBoard was disabled after an error") == 1


def asked(url: str, within_s: float) -> object:
    """The JSON at an address, once somebody answers there."""
    end = time.monotonic() + within_s
    while True:
        try:
            with urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except (URLError, ConnectionError, TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


@pytest.mark.slow
def test_tensorboard_on_the_runs_folder_shows_every_run(tmp_path, windows):
    runs = tmp_path / "runs"
    first, second = make_run(runs / "first"), make_run(runs / "second")
    train(first, windows, 1, 2, 3, film=True)
    train(first, windows, 3, 4, done=2, film=True)
    train(second, windows, 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            at = f"http://127.0.0.1:{port}/data"
            end = time.monotonic() + 60
            while asked(f"{at}/runs", within_s=60) != ["first", "second"]:
                assert time.monotonic() < end
                time.sleep(0.5)
            wanted = urlencode({"run": "first", "tag": "loss/train"})
            points = asked(f"{at}/plugin/scalars/scalars?{wanted}", within_s=5)
            assert [(step, round(value, 4)) for _time, step, value in points] == [
                (1, 1.0), (2, 0.5), (3, 0.3333), (4, 0.25),
            ]  # fmt: skip
            assert len(asked(f"{at}/plugin/images/tags", within_s=5)["first"]["film"]) > 0
        finally:
            server.terminate()
