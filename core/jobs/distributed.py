"""One training on several machines: Ray Train starts a process on each, and all of them do the task together.

The job's own process (core/jobs/runner.py) only starts them and waits. Worker 0 is the chief: it alone writes the run
and the progress. Should a machine go down, Ray Train starts the processes again, and the training goes on from its last
checkpoint. Ray and TensorFlow are imported inside functions.
"""

import importlib
import logging
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from core.errors import GroundplanError, InvalidSetting, NodesFailed
from core.jobs.failures import sentence_for
from core.jobs.folder import JobFolder
from core.jobs.job import Resources
from core.progress import Finish, Report, silent
from core.runtime.keras_backend import silent_stderr

#: The job's number, in the environment of whatever core.jobs.launchers.ray starts.
JOB = "GROUNDPLAN_JOB"
#: A line of a worker's log comes once, whole, and without colours; machines that are not free yet are waited for, where
#: Ray would write a traceback into the log every minute.
_ENVIRONMENT = {
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "86400",
}
#: How often the processes are started again after a machine was lost.
_RESTARTS = 3
#: Seconds between two agreements on whether to finish.
_AGREE_S = 1.0


def on_nodes(work: str, params: Mapping[str, Any], report: Report, _finish: Finish) -> None:
    """Does a task, "module:function", on params["nodes"] machines with params["gpus"] GPUs each.

    The function is called with strategy (a tf.distribute.Strategy) and chief (bool) besides the usual.
    Raises InvalidSetting where this is no job of a Ray cluster, NodesFailed with what the task itself says of it.
    """
    asked = Resources.of(params)
    if JOB not in os.environ:
        detail = "several machines need a Ray cluster (GROUNDPLAN_LAUNCHER=ray, docs/CLUSTER.md)"
        raise InvalidSetting(setting="the number of machines", value=asked.nodes, detail=detail)
    os.environ |= _ENVIRONMENT
    with silent_stderr():  # it imports TensorFlow
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.tensorflow import TensorflowTrainer

    folder = JobFolder.of(int(os.environ[JOB]))
    report(0.0, f"waiting for {asked} of the cluster, and starting there")
    ray.init(address="auto", logging_level=logging.WARNING)
    trainer = TensorflowTrainer(
        _on_one,
        train_loop_config={"work": work, "params": dict(params)},
        scaling_config=ScalingConfig(
            num_workers=asked.nodes, use_gpu=asked.gpus > 0,
            resources_per_worker={"CPU": 1, **({"GPU": asked.gpus} if asked.gpus else {})},
            placement_strategy="SPREAD",
        ),
        run_config=RunConfig(
            name="ray", storage_path=str(folder.path), failure_config=FailureConfig(max_failures=_RESTARTS)
        ),
    )  # fmt: skip
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise NodesFailed(detail=folder.error() or sentence_for(error)) from error
    if said := folder.error():
        raise NodesFailed(detail=said)


def _on_one(order: dict[str, Any]) -> None:
    """What each process does. An error of the task's own is not tried again: the next start sees its sentence."""
    folder = JobFolder.of(int(os.environ[JOB]))
    if folder.error():
        return
    importlib.import_module("pyogrio")  # before TensorFlow: see core.runtime.keras_backend
    import tensorflow as tf
    from ray.train import get_context

    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    chief = get_context().get_world_rank() == 0
    # First of all that TensorFlow does: how processes reach each other is settled when it wakes.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    module, function = order["work"].split(":")
    work = getattr(importlib.import_module(module), function)
    with ExitStack() as stack:
        report = stack.enter_context(folder.reporting()) if chief else silent
        try:
            work(order["params"], report, _Agreement(folder, chief), strategy=strategy, chief=chief)
        except Exception as error:
            if not _is_of_others(error) and not folder.error():
                folder.fail(str(error) if isinstance(error, GroundplanError) else sentence_for(error))
            raise


@dataclass
class _Agreement:
    """A Finish that says the same in all processes at the same step: were one to end alone, the others would wait.

    The chief's word counts. It also says after how many steps they ask again, so that it is about once in _AGREE_S.
    """

    folder: JobFolder
    chief: bool
    said: bool = False
    steps: int = 1  #: between two agreements
    left: int = 1  #: steps until the next
    since: float = 0.0  #: monotonic time of the last

    def __call__(self) -> bool:
        """Asked once a step."""
        self.left -= 1
        if self.left == 0 and not self.said:
            self._agree()
        return self.said

    def _agree(self) -> None:
        from ray.train.collective import broadcast_from_rank_zero

        now = time.monotonic()
        passed, self.since = now - self.since, now
        wanted = min(max(round(self.steps * _AGREE_S / max(passed, 1e-3)), 1), 2 * self.steps)
        self.said, self.steps = broadcast_from_rank_zero((self.folder.is_to_finish(), wanted) if self.chief else None)
        self.left = self.steps


def _is_of_others(error: Exception) -> bool:
    """Whether TensorFlow says that another process is gone, which is no fault of this one's."""
    import tensorflow as tf

    return isinstance(error, tf.errors.UnavailableError | tf.errors.AbortedError | tf.errors.CancelledError)
