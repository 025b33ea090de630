"""Distributed training with Ray Train: one process per machine, all running the same task.

The process of the job (core/jobs/runner.py) only starts them and waits. Worker 0 is the chief: only it writes the run
and the progress. If a machine goes down, Ray Train restarts the processes, and the training resumes from its last
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
from core.jobs.failures import failure_message
from core.jobs.folder import JobFolder
from core.jobs.job import Resources
from core.progress import Report, StopRequested, silent
from core.runtime.keras_backend import silent_stderr

#: Environment variable with the job ID; core.jobs.launchers.ray sets it for the processes it starts.
JOB_VARIABLE = "GROUNDPLAN_JOB"
#: Log lines of workers appear once, complete and without colors. Ray waits up to a day for busy machines; by default
#: it writes a traceback to the log every minute.
_ENVIRONMENT = {
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "86400",
}
#: Maximum number of restarts after the loss of a machine.
_RESTARTS = 3
#: Target interval between two broadcasts of the stop decision [s].
_CONSENSUS_S = 1.0


def run_distributed(task: str, params: Mapping[str, Any], report: Report, _finish: StopRequested) -> None:
    """Run a task on params["nodes"] machines with params["gpus"] GPUs each.

    Args:
        task: The task, "module:function"; it also gets strategy (a tf.distribute.Strategy) and chief (bool).
        params: Parameters of the job.
        report: Called with the progress.
        _finish: Not used: each process reads the request from the job folder.

    Raises:
        InvalidSetting: The job does not run on a Ray cluster.
        NodesFailed: The task failed, with its message.
    """
    resources = Resources.of(params)
    if JOB_VARIABLE not in os.environ:
        detail = "training on several machines needs a Ray cluster (GROUNDPLAN_LAUNCHER=ray, docs/cluster.md)"
        raise InvalidSetting(setting="the number of machines", value=resources.nodes, detail=detail)
    os.environ |= _ENVIRONMENT
    with silent_stderr():  # ray.train.tensorflow imports TensorFlow, which logs on import
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.tensorflow import TensorflowTrainer

    folder = JobFolder.of(int(os.environ[JOB_VARIABLE]))
    report(0.0, f"Waiting for {resources} of the cluster, then starting")
    ray.init(address="auto", logging_level=logging.WARNING)
    trainer = TensorflowTrainer(
        _run_on_node,
        train_loop_config={"task": task, "params": dict(params)},
        scaling_config=ScalingConfig(
            num_workers=resources.nodes, use_gpu=resources.gpus > 0,
            resources_per_worker={"CPU": 1, **({"GPU": resources.gpus} if resources.gpus else {})},
            placement_strategy="SPREAD",
        ),
        run_config=RunConfig(
            name="ray", storage_path=str(folder.path), failure_config=FailureConfig(max_failures=_RESTARTS)
        ),
    )  # fmt: skip
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise NodesFailed(detail=folder.error() or failure_message(error)) from error
    if message := folder.error():
        raise NodesFailed(detail=message)


def _run_on_node(config: dict[str, Any]) -> None:
    """Run the task in one process. An error of the task is not retried: a restart finds its message and returns."""
    folder = JobFolder.of(int(os.environ[JOB_VARIABLE]))
    if folder.error():
        return
    importlib.import_module("pyogrio")  # before TensorFlow: see core.runtime.keras_backend
    import tensorflow as tf
    from ray.train import get_context

    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    chief = get_context().get_world_rank() == 0
    # Must precede all other use of TensorFlow: collective communication is set up when the runtime initializes.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    module, function = config["task"].split(":")
    task = getattr(importlib.import_module(module), function)
    # Errors by which TensorFlow reports the loss of another process: not a failure of this one.
    collateral = tf.errors.UnavailableError | tf.errors.AbortedError | tf.errors.CancelledError
    with ExitStack() as stack:
        report = stack.enter_context(folder.reporting()) if chief else silent
        try:
            task(config["params"], report, _StopConsensus(folder, chief), strategy=strategy, chief=chief)
        except Exception as error:
            if not isinstance(error, collateral) and not folder.error():
                folder.fail(str(error) if isinstance(error, GroundplanError) else failure_message(error))
            raise


@dataclass
class _StopConsensus:
    """Stop decision that is equal in all processes at the same step; if one stopped alone, the others would hang.

    The chief decides and broadcasts the decision, together with the number of steps until the next broadcast, which
    follows about once in _CONSENSUS_S.
    """

    folder: JobFolder
    chief: bool
    stop: bool = False
    steps: int = 1  #: between two broadcasts
    steps_left: int = 1  #: until the next broadcast
    last_broadcast: float = 0.0  #: monotonic time

    def __call__(self) -> bool:
        """Decide whether to stop; called once per step."""
        self.steps_left -= 1
        if self.steps_left == 0 and not self.stop:
            self._broadcast()
        return self.stop

    def _broadcast(self) -> None:
        from ray.train.collective import broadcast_from_rank_zero

        now = time.monotonic()
        elapsed, self.last_broadcast = now - self.last_broadcast, now
        target_steps = min(max(round(self.steps * _CONSENSUS_S / max(elapsed, 1e-3)), 1), 2 * self.steps)
        self.stop, self.steps = broadcast_from_rank_zero(
            (self.folder.finish_requested(), target_steps) if self.chief else None
        )
        self.steps_left = self.steps
