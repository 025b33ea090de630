"""The tasks a worker runs. Only what is listed here can ever be started from the queue."""

from importlib import import_module

from core.errors import UnknownTask
from core.jobs.folder import Order
from core.jobs.job import Resources
from core.progress import Finish, Report, never

#: Task name to "module:function", imported only when it runs; a task is called with (params, report, finish).
TASKS: dict[str, str] = {
    "sample": "core.tasks.data:sample_task",
    "fetch": "core.tasks.data:fetch_task",
    "upload": "core.tasks.data:upload_task",
    "train": "core.tasks.train:train_task",
    "combine": "core.tasks.predict:combine_task",
    "export": "core.tasks.export:export_task",
    "predict": "core.tasks.predict:predict_task",
    "predict_tiles": "core.tasks.predict:predict_tiles_task",
}


def run_task(order: Order, report: Report, finish: Finish = never) -> None:
    """Does the job's work in this process; raises UnknownTask, and what the task raises."""
    if order.task not in TASKS:
        raise UnknownTask(task=order.task, known=", ".join(sorted(TASKS)))
    if Resources.of(order.params).nodes > 1:
        from core.jobs.distributed import on_nodes

        return on_nodes(TASKS[order.task], order.params, report, finish)
    module, function = TASKS[order.task].split(":")
    getattr(import_module(module), function)(order.params, report, finish)
