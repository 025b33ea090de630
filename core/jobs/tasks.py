"""The tasks a worker runs. Only what is listed here can ever be started from the queue."""

from importlib import import_module

from core.errors import UnknownTask
from core.jobs.store import Job
from core.progress import Report

#: Task name to "module:function", imported only when it runs; a task is called with (params, report).
TASKS: dict[str, str] = {
    "sample": "core.catalog.register:sample_task",
    "fetch": "core.catalog.fetch:fetch_task",
    "upload": "core.catalog.take_in:upload_task",
    "train": "core.training:train_task",
    "predict": "core.prediction:predict_task",
}


def run_task(job: Job, report: Report) -> None:
    """Does the job's work in this process; raises UnknownTask, and what the task raises."""
    if job.task not in TASKS:
        raise UnknownTask(task=job.task, known=", ".join(sorted(TASKS)))
    module, function = TASKS[job.task].split(":")
    getattr(import_module(module), function)(job.params, report)
