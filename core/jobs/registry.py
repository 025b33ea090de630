"""Task registry: only the tasks listed here can be started from the queue."""

from importlib import import_module

from core.errors import UnknownTask
from core.jobs.folder import JobSpec
from core.jobs.job import Resources
from core.progress import Report, StopRequested, never

#: Task name to "module:function", imported when the task runs; its arguments are (params, report, finish).
TASKS: dict[str, str] = {
    "sample": "core.tasks.data:sample_task",
    "fetch": "core.tasks.data:fetch_task",
    "upload": "core.tasks.data:upload_task",
    "train": "core.tasks.train:train_task",
    "combine": "core.tasks.predict:ensemble_task",
    "export": "core.tasks.export:export_task",
    "predict": "core.tasks.predict:predict_task",
    "predict_tiles": "core.tasks.predict:predict_tiles_task",
}


def run_task(order: JobSpec, report: Report, finish: StopRequested = never) -> None:
    """Run the task of a job in this process.

    Args:
        order: Specification of the job.
        report: Called with the progress.
        finish: Tells whether the job is to end early.

    Raises:
        UnknownTask: No such task is registered.
    """
    if order.task not in TASKS:
        raise UnknownTask(task=order.task, known=", ".join(sorted(TASKS)))
    if Resources.of(order.params).nodes > 1:
        from core.jobs.distributed import run_distributed

        return run_distributed(TASKS[order.task], order.params, report, finish)
    module, function = TASKS[order.task].split(":")
    getattr(import_module(module), function)(order.params, report, finish)
