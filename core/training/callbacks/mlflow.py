"""Runs in MLflow too, where MLFLOW_TRACKING_URI names a server (optional: requirements-mlflow.txt).

The id MLflow gives is kept in the run's mlflow.json, so that a resumed training goes on in the same MLflow run. An
epoch that was trained twice is there twice, since MLflow forgets nothing.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from core.atomic_files import replacing
from core.errors import MLflowFailed, NoMLflow
from core.runs.prediction_film import Windows
from core.runs.run import Run
from core.training.callbacks.base import Epoch

if TYPE_CHECKING:
    from mlflow import MlflowClient


#: Where runs go, unless MLFLOW_EXPERIMENT_NAME says otherwise.
EXPERIMENT = "Groundplan"
#: By itself MLflow would try for minutes while the training stands still, and send statistics of use to its makers.
#: What a person has set wins.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
#: What MLflow says of runs it does not have, or that somebody put into its bin.
_GONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
#: Characters of a parameter's value, and of a reason in the run's log.
_LONGEST, _REASON = 6000, 300


@dataclass
class MLflow:
    """The watcher that logs a run there: parameters once, figures after every epoch, and how it ended."""

    _client: "MlflowClient | None" = field(default=None, init=False)
    _id: str = field(default="", init=False)

    def begin(self, run: Run, _windows: Windows, _done: int) -> None:
        """As `Watcher.begin`; raises NoMLflow, MLflowFailed, CannotWrite, DiskFull."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            import mlflow
        except ImportError as error:
            raise NoMLflow from error
        with self._speaking():
            self._client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
            self._id = self._known(run) or self._new(run)

    def end_epoch(self, epoch: Epoch) -> None:
        """As `Watcher.end_epoch`; raises MLflowFailed. What is no number is left out."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        figures = {name: value for name, value in epoch.figures.items() if name != "epoch" and isfinite(value)}
        with self._speaking():
            self._client.log_batch(self._id, [Metric(*figure, now, epoch.number) for figure in figures.items()])

    def close(self, failed: bool = False) -> None:
        """As `Watcher.close`; raises MLflowFailed."""
        if self._client is not None:
            with self._speaking():
                self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")
            self._client = None

    def _known(self, run: Run) -> str:
        """The MLflow run of an earlier start, going on; "" where there is none, or the server has none such."""
        from mlflow.exceptions import MlflowException

        try:
            known = str(orjson.loads(_file(run).read_bytes())["run_id"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return ""
        try:
            self._mlflow.update_run(known, status="RUNNING")
        except MlflowException as error:
            if error.error_code not in _GONE:
                raise
            return ""
        return known

    def _new(self, run: Run) -> str:
        from mlflow.entities import Param

        client = self._mlflow
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        experiment = client.get_experiment_by_name(name)
        where = experiment.experiment_id if experiment else client.create_experiment(name)
        made = str(client.create_run(where, run_name=run.name).info.run_id)
        with replacing(_file(run)) as part:
            part.write_bytes(orjson.dumps({"run_id": made}))
        client.log_batch(made, params=[Param(*one) for one in _parameters(run).items()])
        return made

    @property
    def _mlflow(self) -> "MlflowClient":
        assert self._client is not None, "begin has made one"
        return self._client

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turns what MLflow raises into MLflowFailed, and says nothing to it any more afterwards."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        # A server that is not MLflow answers what is no JSON; a database's driver may not be installed.
        except (MlflowException, ValueError, ImportError) as error:
            self._client = None
            address = _without_password(os.environ["MLFLOW_TRACKING_URI"])
            raise MLflowFailed(address=address, detail=_reason(error)) from error


def _file(run: Run) -> Path:
    return run.path / "mlflow.json"


def _reason(error: Exception) -> str:
    """Why, in short: the first sentence of what MLflow says."""
    unheard = error.__cause__ or error.__context__
    if isinstance(unheard, OSError):  # as all of requests' exceptions are
        return f"it does not answer ({type(unheard).__name__})"
    return _without_password(str(error)).split(". ")[0][:_REASON].rstrip(".")


def _without_password(text: str) -> str:
    return re.sub(r"//[^@/\s]*@", "//", " ".join(text.split()))


def _parameters(run: Run) -> dict[str, str]:
    """What the person chose, flat, and what it met: MLflow takes texts, none of them empty."""
    record = run.record
    facts = {
        **asdict(record.config),
        "train_tiles": len(record.train_tiles),
        "validation_tiles": len(record.validation_tiles),
        "device": record.device,
        "weights": record.parameters,
        "continues": record.continues,
    }
    return {name: text[:_LONGEST] for name, value in _flat(facts) if (text := str(value))}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
