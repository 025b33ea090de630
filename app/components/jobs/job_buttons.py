"""Buttons of a job: stop, retry, continue its run, delete."""

from collections.abc import Callable

import streamlit as st

from app import state
from app.components.common.text import counted, plain
from core.errors import GroundplanError, JobError
from core.jobs.job import Resources
from core.jobs.queue import Job, Queue, State
from core.runs.run import Run
from core.settings import settings
from core.tasks.train import can_continue, delete_job, run_of, submit_more_epochs


def queue() -> Queue:
    """Return the job queue of this installation."""
    return Queue(settings().queue)


def job_buttons(job: Job, key_prefix: str = "") -> None:
    """Draw the buttons that the job's state allows; `key_prefix` makes keys unique where a job is shown twice."""
    run = run_of(job)
    stop_button(job, key_prefix)
    if job.state in (State.FAILED, State.STOPPED):
        st.button(
            "Retry", icon=":material/refresh:", key=f"{key_prefix}retry {job.id}", on_click=run_action,
            args=(queue().retry, job.id),
            help="Resumes from the last checkpoint." if job.task == "train" else "Starts again.",
        )  # fmt: skip
    if job.state.is_over and run is not None and can_continue(run):
        _continue(run, job, key_prefix)
    if job.state is not State.RUNNING:
        _delete(job, run, key_prefix)


def stop_button(job: Job, key_prefix: str = "") -> None:
    """Draw the stop button of an unfinished job; a started training can finish early and keep its model."""
    if job.state.is_over:
        return
    key, icon, is_stopping = f"{key_prefix}stop {job.id}", ":material/stop:", job.stop_requested and not job.keep
    if job.task != "train" or not job.attempt:
        st.button("Stop", key=key, icon=icon, disabled=is_stopping, on_click=run_action,
                  args=(queue().request_stop, job.id))  # fmt: skip
        return
    with st.popover("Stop", icon=icon, key=f"{key} box"):
        st.caption("Finish early and keep the model, or cancel without one.")
        for label, name, keep, disabled in (
            ("Finish early", f"{key} keep", True, job.stop_requested),
            ("Cancel", key, False, is_stopping),
        ):
            st.button(
                label, key=name, disabled=disabled, on_click=run_action, args=(queue().request_stop, job.id, keep)
            )


def run_action(action: Callable[..., object], *arguments: object) -> None:
    """Run an action on a job as a button callback, before the page is redrawn.

    If the job's state has changed in the meantime, a toast says so.
    """
    try:
        action(*arguments)
    except JobError as error:
        st.toast(plain(error), icon=":material/info:")


def _continue(run: Run, job: Job, key_prefix: str) -> None:
    with st.popover("Continue", icon=":material/resume:", key=f"{key_prefix}continue box {job.id}"):
        st.caption("Starts a new run from these weights. This run is kept.")
        epochs = st.number_input("More epochs", 1, 1000, 5, key=f"{key_prefix}more {job.id}")
        label = f"Continue for {counted(epochs, 'more epoch')}"
        if _button_once(label, f"{key_prefix}continue {job.id}", ":material/play_arrow:"):
            state.watch(submit_more_epochs(run, epochs, queue(), Resources.of(job.params)).id)
            st.rerun()


def _button_once(label: str, key: str, icon: str) -> bool:
    """Draw a button whose click counts once: a busy browser repeats it with every overdue refresh of the page.

    Each click replaces the button by one with another key, which repeated clicks do not reach.
    """
    count = st.session_state.get(f"{key} presses", 0)
    is_pressed = st.button(label, key=f"{key} {count}", icon=icon)
    st.session_state[f"{key} presses"] = count + is_pressed
    return is_pressed


def _delete(job: Job, run: Run | None, key_prefix: str) -> None:
    with st.popover("Delete", icon=":material/delete:", key=f"{key_prefix}delete box {job.id}"):
        st.write(f"Deletes job {job.id}, {plain(job.title)}, and its log. This cannot be undone.")
        with_run = run is not None and run.exists and _delete_run_checkbox(run, job, key_prefix)
        if st.button("Delete permanently", key=f"{key_prefix}delete {job.id}", icon=":material/delete_forever:"):
            try:
                delete_job(job, queue(), with_run)
            except GroundplanError as problem:
                st.error(plain(problem), icon=":material/error:")
                return
            st.rerun()


def _delete_run_checkbox(run: Run, job: Job, key_prefix: str) -> bool:
    """Draw the checkbox that deletes the run with its job, and its consequences."""
    with_run = st.checkbox("Also delete the run and its predictions", key=f"{key_prefix}delete run {job.id}")
    if with_run:
        weights = f"the weights of {counted(run.epochs_done, 'epoch')}" if can_continue(run) else "its weights"
        st.warning(f"Also deletes the run {plain(run.name)}: {weights}, its metrics and all its predictions.")
    else:
        st.caption("The run is kept and can still predict.")
    return with_run
