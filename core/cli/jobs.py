"""Commands `jobs list`, `show`, `stop`, `retry`, `move` and `delete`: the job queue."""

from typing import Annotated

import pandas as pd
import typer

from core.cli.console import GROUP_OPTIONS
from core.jobs.folder import JobFolder
from core.jobs.job import Job, State
from core.jobs.queue import Queue
from core.settings import settings

NO_WORKER = "No worker is running, so no job starts. Start one: python -m core worker"

jobs = typer.Typer(help="List and control the jobs of the queue.", **GROUP_OPTIONS)
Number = Annotated[int, typer.Argument(help="Job number, see `jobs list`.")]


def _queue() -> Queue:
    return Queue(settings().queue)


def _print_state(job: Job) -> None:
    typer.echo(f"job {job.id} ({job.title}): {_state_label(job)}")


def _state_label(job: Job) -> str:
    if job.stop_requested and not job.state.is_over:
        return f"{job.state}, stopping"
    return f"{job.state}"


@jobs.command("list")
def jobs_list(limit: Annotated[int, typer.Option(min=1, help="Number of latest jobs.")] = 50) -> None:
    """List the latest jobs, newest first, with the position of queued ones."""
    queue = _queue()
    places = {job.id: place for place, job in enumerate(queue.waiting())}
    rows = [
        {
            "job": job.id,
            "state": _state_label(job),
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
def jobs_show(job_id: Number, lines: Annotated[int, typer.Option(min=0, help="Number of log lines.")] = 20) -> None:
    """Show a job: progress, error and the last lines of its log."""
    job, folder = _queue().get(job_id), JobFolder.of(job_id)
    _print_state(job)
    progress = folder.progress()
    if job.state is State.RUNNING and progress:
        typer.echo(f"{progress.share:.0%} {progress.doing}")
    if job.error:
        typer.echo(job.error)
    for line in folder.tail(lines) if lines else []:
        typer.echo(f"  {line}")


@jobs.command("stop")
def jobs_stop(
    job_id: Number, keep: Annotated[bool, typer.Option("--keep", help="Finish early and keep the model.")] = False
) -> None:
    """Cancel a job, or finish it early with --keep."""
    _print_state(_queue().request_stop(job_id, keep))


@jobs.command("retry")
def jobs_retry(job_id: Number) -> None:
    """Retry a failed or stopped job. A training resumes from its last checkpoint."""
    _print_state(_queue().retry(job_id))


@jobs.command("move")
def jobs_move(job_id: Number, place: Annotated[int, typer.Argument(min=0, help="New position; 0 is next.")]) -> None:
    """Move a queued job to another position."""
    queue = _queue()
    queue.move(job_id, place)
    typer.echo("\n".join(f"{place}  job {job.id} ({job.title})" for place, job in enumerate(queue.waiting())))


@jobs.command("delete")
def jobs_delete(job_id: Number) -> None:
    """Delete a job that is not running, with its log. Its run is kept."""
    _queue().delete(job_id)
    JobFolder.of(job_id).remove()
    typer.echo(f"job {job_id} deleted")
