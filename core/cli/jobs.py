"""`python -m core jobs …`: the queue without a browser."""

from typing import Annotated

import pandas as pd
import typer

from core.cli.console import PLAIN
from core.jobs.folder import JobFolder
from core.jobs.job import Job, State
from core.jobs.queue import Queue
from core.settings import settings

NO_WORKER = "No worker is running, so nothing will start. Start one: python -m core worker"

jobs = typer.Typer(help="The queue of jobs: what waits, runs and is over.", **PLAIN)
Number = Annotated[int, typer.Argument(help="The job's number, as `jobs list` shows it.")]


def _queue() -> Queue:
    return Queue(settings().queue)


def _say(job: Job) -> None:
    typer.echo(f"job {job.id} ({job.title}): {_words(job)}")


def _words(job: Job) -> str:
    if job.stop_requested and not job.state.is_over:
        return f"{job.state}, stopping"
    return f"{job.state}"


@jobs.command("list")
def jobs_list(limit: Annotated[int, typer.Option(min=1, help="How many of the latest.")] = 50) -> None:
    """The latest jobs, newest first, with the place of those that wait."""
    queue = _queue()
    places = {job.id: place for place, job in enumerate(queue.waiting())}
    rows = [
        {
            "job": job.id,
            "state": _words(job),
            "place": places.get(job.id, ""),
            "starts": job.attempt,
            "task": job.task,
            "title": job.title,
        }
        for job in queue.jobs(limit)
    ]
    typer.echo(pd.DataFrame(rows).to_string(index=False) if rows else "No jobs yet.")
    if places and not any(worker.alive for worker in queue.workers()):
        typer.echo(NO_WORKER, err=True)


@jobs.command("show")
def jobs_show(
    job_id: Number, lines: Annotated[int, typer.Option(min=0, help="How many lines of its log.")] = 20
) -> None:
    """One job: how far it is, why it failed, and the last lines of its log."""
    job, folder = _queue().get(job_id), JobFolder.of(job_id)
    _say(job)
    progress = folder.progress()
    if job.state is State.RUNNING and progress:
        typer.echo(f"{progress.share:.0%} {progress.doing}")
    if job.error:
        typer.echo(job.error)
    for line in folder.tail(lines) if lines else []:
        typer.echo(f"  {line}")


@jobs.command("stop")
def jobs_stop(
    job_id: Number, keep: Annotated[bool, typer.Option("--keep", help="End soon, and keep what there is.")] = False
) -> None:
    """Stops a job: at once, or with what it has."""
    _say(_queue().request_stop(job_id, keep))


@jobs.command("retry")
def jobs_retry(job_id: Number) -> None:
    """Queues a job that failed or was stopped once more; a training goes on from its last checkpoint."""
    _say(_queue().retry(job_id))


@jobs.command("move")
def jobs_move(job_id: Number, place: Annotated[int, typer.Argument(min=0, help="0 starts next.")]) -> None:
    """Gives a waiting job another place in the queue."""
    queue = _queue()
    queue.move(job_id, place)
    typer.echo("\n".join(f"{place}  job {job.id} ({job.title})" for place, job in enumerate(queue.waiting())))


@jobs.command("delete")
def jobs_delete(job_id: Number) -> None:
    """Deletes a job that is not running, with its log; a run it has trained stays."""
    _queue().delete(job_id)
    JobFolder.of(job_id).remove()
    typer.echo(f"job {job_id} is deleted")
