import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from unittest.mock import patch

import pytest

from core.training.callbacks.base import FaultTolerantCallback
from core.training.callbacks.mlflow import MLflowCallback
from tests.core.training.callbacks.conftest import epoch, make_run
from tests.core.training.callbacks.mlflow_server import serving


@pytest.fixture(autouse=True)
def environment():
    """What the watcher sets for this process ends with the test."""
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            del os.environ[name]
        yield os.environ


@pytest.fixture
def tracking(environment):
    with serving() as found:
        environment["MLFLOW_TRACKING_URI"] = found.url
        yield found


def train(run, windows, *numbers, done=0, close=True, failed=False, **figures) -> None:
    watcher = FaultTolerantCallback(MLflowCallback())
    watcher.begin(run, windows, done)
    for number in numbers:
        watcher.end_epoch(epoch(number, **figures))
    if close:
        watcher.close(failed)


def only(tracking) -> dict:
    (found,) = tracking.runs.values()
    return found


def test_a_run_is_logged_under_its_name_with_what_was_chosen(run, windows, tracking):
    train(run, windows, 1)
    logged = only(tracking)
    assert logged["name"] == run.name == "first"
    assert list(tracking.experiments) == ["Groundplan"]
    assert logged["params"] | {
        "network": "fcn", "epochs": "4", "learning_rate": "0.001", "options.batch_norm": "True", "recipe.chip": "32",
        "train_tiles": "2", "validation_tiles": "1", "device": "CPU",
    } == logged["params"]  # fmt: skip
    assert all(logged["params"].values())


def test_the_figures_of_every_epoch_are_logged_at_its_step(run, windows, tracking):
    train(run, windows, 1, 2)
    metrics = only(tracking)["metrics"]
    assert [(step, value) for name, step, value in metrics if name == "loss"] == [(1, 1.0), (2, 0.5)]
    assert [(step, value) for name, step, value in metrics if name == "val_loss"] == [(1, 2.0), (2, 1.0)]
    assert {name for name, _step, _value in metrics} == {
        "seconds", "loss", "val_loss", "iou", "val_iou", "learning_rate", "images_s",
    }  # fmt: skip


def test_what_was_divided_by_nothing_is_left_out(run, windows, tracking):
    train(run, windows, 1, val_iou=float("nan"))
    assert "val_iou" not in {name for name, _step, _value in only(tracking)["metrics"]}
    assert run.log_text == ""


@pytest.mark.parametrize(("failed", "status"), [(False, "FINISHED"), (True, "FAILED")])
def test_how_it_ended_is_logged(run, windows, tracking, failed, status):
    train(run, windows, 1, failed=failed)
    assert only(tracking)["status"] == status


def test_a_resumed_training_goes_on_in_the_same_mlflow_run(run, windows, tracking):
    train(run, windows, 1, 2, failed=True)
    train(run, windows, 3, done=2, close=False)
    assert only(tracking)["status"] == "RUNNING"
    assert [step for name, step, _value in only(tracking)["metrics"] if name == "loss"] == [1, 2, 3]


def test_another_server_gets_a_run_of_its_own(run, windows, tracking):
    train(run, windows, 1)
    with serving() as other:
        os.environ["MLFLOW_TRACKING_URI"] = other.url
        train(run, windows, 2, done=1)
        assert [step for name, step, _value in only(other)["metrics"] if name == "loss"] == [2]
    assert run.log_text == ""


def test_a_damaged_note_of_the_mlflow_run_begins_a_new_one(run, windows, tracking):
    (run.path / "mlflow.json").write_text("[]")
    train(run, windows, 1)
    assert only(tracking)["status"] == "FINISHED"


def test_two_runs_are_in_one_experiment_of_the_name_that_was_set(tmp_path, run, windows, tracking):
    os.environ["MLFLOW_EXPERIMENT_NAME"] = "Las Vegas"
    train(run, windows, 1)
    train(make_run(tmp_path / "second"), windows, 1)
    assert list(tracking.experiments) == ["Las Vegas"]
    assert {logged["name"] for logged in tracking.runs.values()} == {"first", "second"}


@pytest.fixture
def real_store(tmp_path, environment):
    """MLflow's own store in a folder."""
    from mlflow import MlflowClient

    environment["MLFLOW_TRACKING_URI"] = (tmp_path / "mlruns").as_uri()
    environment["MLFLOW_ALLOW_FILE_STORE"] = "true"
    return MlflowClient(environment["MLFLOW_TRACKING_URI"])


def test_mlflows_own_store_takes_it(run, windows, real_store):
    client = real_store
    train(run, windows, 1, 2, failed=True)
    train(run, windows, 3, done=2)
    experiment = client.get_experiment_by_name("Groundplan")
    assert experiment is not None
    (logged,) = client.search_runs([experiment.experiment_id])
    assert (logged.info.run_name, logged.info.status) == ("first", "FINISHED")
    assert logged.data.params["recipe.size"] == "64"
    history = client.get_metric_history(logged.info.run_id, "val_loss")
    assert [(point.step, round(point.value, 3)) for point in history] == [(1, 2.0), (2, 1.0), (3, 0.667)]


def test_a_run_deleted_in_mlflow_begins_anew_there_when_its_training_goes_on(run, windows, real_store):
    train(run, windows, 1)
    experiment = real_store.get_experiment_by_name("Groundplan").experiment_id
    (first,) = real_store.search_runs([experiment])
    real_store.delete_run(first.info.run_id)
    train(run, windows, 2, done=1)
    (second,) = real_store.search_runs([experiment])
    assert second.info.run_id != first.info.run_id
    assert run.log_text == ""


def one_line(run) -> str:
    (line,) = run.log_text.splitlines()
    return line


def test_where_mlflow_is_not_installed_the_log_says_so_once(run, windows, environment, monkeypatch):
    environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    monkeypatch.setitem(sys.modules, "mlflow", None)
    train(run, windows, 1, 2)
    assert "MLflow was disabled after an error; training continues" in one_line(run)
    assert "pip install -r requirements-mlflow.txt" in one_line(run)


def test_where_nobody_answers_the_log_says_so_once(run, windows, environment):
    environment["MLFLOW_TRACKING_URI"] = "http://somebody:secret@127.0.0.1:9"
    train(run, windows, 1, 2)
    assert "MLflow at http://127.0.0.1:9 did not accept this run: no response (ConnectionError)" in one_line(run)
    assert "secret" not in one_line(run)


def test_a_server_that_takes_calls_and_never_answers_is_given_up(run, windows, environment):
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        train(run, windows, 1, 2)
    assert "MLflow was disabled after an error" in one_line(run)


def test_a_server_that_goes_away_in_the_middle_ends_nothing(run, windows, environment):
    with serving() as tracking:
        environment["MLFLOW_TRACKING_URI"] = tracking.url
        watcher = FaultTolerantCallback(MLflowCallback())
        watcher.begin(run, windows, 0)
        watcher.end_epoch(epoch(1))
    for number in (2, 3):
        watcher.end_epoch(epoch(number))
    watcher.close(False)
    assert "MLflow was disabled after an error" in one_line(run)
    assert {step for _name, step, _value in only(tracking)["metrics"]} == {1}


class Page(BaseHTTPRequestHandler):
    """Some other web server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>Hello</h1>")

    def log_message(self, *_args: object) -> None:
        """Quiet."""


def test_an_address_that_is_not_mlflow_is_told(run, windows, environment):
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        train(run, windows, 1)
        server.shutdown()
        thread.join()
    assert "MLflow was disabled after an error" in one_line(run)


@pytest.mark.parametrize("address", ["sqlite:////nowhere/mlflow.db", "nonsense://server", "http://"])
def test_an_address_mlflow_cannot_use_is_told(run, windows, environment, address):
    environment["MLFLOW_TRACKING_URI"] = address
    train(run, windows, 1)
    assert "MLflow was disabled after an error" in one_line(run)


def test_what_the_person_has_set_for_mlflow_stays(run, windows, tracking, environment):
    environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "20"
    train(run, windows)
    assert environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "20"
    assert environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
