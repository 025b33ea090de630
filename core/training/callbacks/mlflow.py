"""MLflow callback: logs a run to the server that MLFLOW_TRACKING_URI names (optional: requirements-mlflow.txt).

The id of the MLflow run is kept in mlflow.json of the run, so that a resumed training continues the same MLflow run. An
epoch that was trained twice is there twice, because MLflow deletes no metrics.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from core.atomic_files import atomic_write
from core.compat import to_stored
from core.errors import MLflowFailed, NoMLflow
from core.runs.prediction_film import PreviewBatch
from core.runs.run import Run
from core.training.callbacks.base import Epoch

if TYPE_CHECKING:
    from mlflow import MlflowClient


#: Default experiment, without MLFLOW_EXPERIMENT_NAME.
EXPERIMENT = "Groundplan"
#: Environment variables, unless set: by default MLflow retries for minutes while the training waits, and sends usage
#: statistics.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
#: Error codes of MLflow for runs that do not exist or were deleted.
_MISSING_RUN_CODES = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
#: Maximum length of the value of a parameter, and of a reason in the log of the run.
_MAX_VALUE, _MAX_REASON = 6000, 300


@dataclass
class MLflowCallback:
    """Logs parameters, metrics after every epoch, and the final status to MLflow."""

    _client: "MlflowClient | None" = field(default=None, init=False)
    _id: str = field(default="", init=False)

    def begin(self, run: Run, _preview: PreviewBatch, _epochs_done: int) -> None:
        """Start an MLflow run, or continue that of an earlier start.

        Args:
            run: The run.
            _preview: Not used.
            _epochs_done: Not used.

        Raises:
            NoMLflow: MLflow is not installed.
            MLflowFailed: The server refuses or does not respond.
            CannotWrite: The id of the run cannot be written.
            DiskFull: The disk is full.
        """
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            import mlflow
        except ImportError as error:
            raise NoMLflow from error
        with self._converting_errors():
            self._client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
            self._id = self._continue(run) or self._create(run)

    def end_epoch(self, epoch: Epoch) -> None:
        """Log the finite metrics of the epoch; raises MLflowFailed."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        time_ms = int(time.time() * 1000)
        metrics = {name: value for name, value in epoch.metrics.items() if name != "epoch" and isfinite(value)}
        with self._converting_errors():
            self._client.log_batch(self._id, [Metric(*metric, time_ms, epoch.number) for metric in metrics.items()])

    def close(self, failed: bool = False) -> None:
        """Set the final status of the MLflow run; raises MLflowFailed."""
        if self._client is not None:
            with self._converting_errors():
                self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")
            self._client = None

    def _continue(self, run: Run) -> str:
        """Continue the MLflow run of an earlier start; "" if there is none, or the server does not have it."""
        from mlflow.exceptions import MlflowException

        try:
            run_id = str(orjson.loads(_file(run).read_bytes())["run_id"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return ""
        try:
            self._mlflow.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code not in _MISSING_RUN_CODES:
                raise
            return ""
        return run_id

    def _create(self, run: Run) -> str:
        from mlflow.entities import Param

        client = self._mlflow
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        experiment = client.get_experiment_by_name(name)
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
        run_id = str(client.create_run(experiment_id, run_name=run.name).info.run_id)
        with atomic_write(_file(run)) as temporary:
            temporary.write_bytes(orjson.dumps({"run_id": run_id}))
        client.log_batch(run_id, params=[Param(*parameter) for parameter in _parameters(run).items()])
        return run_id

    @property
    def _mlflow(self) -> "MlflowClient":
        assert self._client is not None, "begin creates it"
        return self._client

    @contextmanager
    def _converting_errors(self) -> Iterator[None]:
        """Convert errors of MLflow to MLflowFailed, after which nothing is sent any more."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        # Another server may answer something other than JSON; the driver of a database may not be installed.
        except (MlflowException, ValueError, ImportError) as error:
            self._client = None
            address = _without_password(os.environ["MLFLOW_TRACKING_URI"])
            raise MLflowFailed(address=address, detail=_reason(error)) from error


def _file(run: Run) -> Path:
    return run.path / "mlflow.json"


def _reason(error: Exception) -> str:
    """Short reason of an error: the first sentence of its message."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError):  # so are all exceptions of requests
        return f"no response ({type(cause).__name__})"
    return _without_password(str(error)).split(". ")[0][:_MAX_REASON].rstrip(".")


def _without_password(text: str) -> str:
    return re.sub(r"//[^@/\s]*@", "//", " ".join(text.split()))


def _parameters(run: Run) -> dict[str, str]:
    """Flatten the configuration and facts of a run: MLflow takes strings, none of them empty."""
    record = run.record
    values = {
        **to_stored(record.config),
        "train_tiles": len(record.train_tiles),
        "validation_tiles": len(record.validation_tiles),
        "device": record.device,
        "weights": record.parameters,
        "continues": record.continues,
    }
    return {name: text[:_MAX_VALUE] for name, value in _flatten(values) if (text := str(value))}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
