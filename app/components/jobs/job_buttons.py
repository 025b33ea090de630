"""What a person can do with a job: stop it, start it again, go on from its run, delete it."""

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
    """This installation's queue."""
    return Queue(settings().queue)


def job_buttons(job: Job, place: str = "") -> None:
    """All that the job's state allows. `place` tells the buttons of one job apart where it is shown twice."""
    run = run_of(job)
    stop_button(job, place)
    if job.state in (State.FAILED, State.STOPPED):
        _retry(job, place)
    if job.state.is_over and run is not None and can_continue(run):
        _continue(run, job, place)
    if job.state is not State.RUNNING:
        _delete(job, run, place)


def stop_button(job: Job, place: str = "") -> None:
    """Stops a job that is not over; a training that has begun may keep what it has."""
    if job.state.is_over:
        return
    key, icon, told = f"{place}stop {job.id}", ":material/stop:", job.stop_requested and not job.keep
    if job.task != "train" or not job.attempt:
        st.button("Stop", key=key, icon=icon, disabled=told, on_click=act, args=(queue().request_stop, job.id))
        return
    with st.popover("Stop", icon=icon, key=f"{key} box"):
        st.caption("It can end soon and keep its best weights so far, so that it predicts; or end now, as it is.")
        for words, name, keep, done in (
            ("Stop and keep what it has", f"{key} keep", True, job.stop_requested),
            ("Stop at once", key, False, told),
        ):
            st.button(words, key=name, disabled=done, on_click=act, args=(queue().request_stop, job.id, keep))


def act(action: Callable[..., object], *given: object) -> None:
    """Does something with a job as soon as a button is pressed, before anything is drawn anew.

    Where the job went on in the meantime, that is told and no error.
    """
    try:
        action(*given)
    except JobError as problem:
        st.toast(plain(problem), icon=":material/info:")


def _retry(job: Job, place: str) -> None:
    st.button(
        "Retry", icon=":material/refresh:", key=f"{place}retry {job.id}", on_click=act, args=(queue().retry, job.id),
        help="It goes on from the last epoch that was whole." if job.task == "train" else "It starts again.",
    )  # fmt: skip


def _continue(run: Run, job: Job, place: str) -> None:
    with st.popover("Continue", icon=":material/resume:", key=f"{place}continue box {job.id}"):
        st.caption(
            "Trains on from this run as a new one, on the same tiles, for all of these epochs; the present one stays "
            "as it is."
        )
        epochs = st.number_input("More epochs", 1, 1000, 5, key=f"{place}more {job.id}")
        words = f"Continue for {counted(epochs, 'more epoch')}"
        if _pressed(words, f"{place}continue {job.id}", ":material/play_arrow:"):
            state.watch(submit_more_epochs(run, epochs, queue(), Resources.of(job.params)).id)
            st.rerun()


def _pressed(words: str, key: str, icon: str) -> bool:
    """A button whose press counts once: a busy browser sends one with every tick of the page that is overdue.

    Each press leaves another button behind, which what is left of it does not reach.
    """
    presses = st.session_state.get(f"{key} presses", 0)
    pressed = st.button(words, key=f"{key} {presses}", icon=icon)
    st.session_state[f"{key} presses"] = presses + pressed
    return pressed


def _delete(job: Job, run: Run | None, place: str) -> None:
    with st.popover("Delete", icon=":material/delete:", key=f"{place}delete box {job.id}"):
        st.write(f"Deletes job {job.id}, {plain(job.title)}, and its log. This cannot be undone.")
        with_run = run is not None and run.exists and _also(run, job, place)
        if st.button("Delete it for good", key=f"{place}delete {job.id}", icon=":material/delete_forever:"):
            try:
                delete_job(job, queue(), with_run)
            except GroundplanError as problem:
                st.error(plain(problem), icon=":material/error:")
                return
            st.rerun()


def _also(run: Run, job: Job, place: str) -> bool:
    """Whether the run is to go with its job."""
    chosen = st.checkbox("Also delete its run and what it predicted", key=f"{place}delete run {job.id}")
    if chosen:
        weights = f"the weights of {counted(run.epochs_done, 'epoch')}" if can_continue(run) else "its weights"
        st.warning(f"The run {plain(run.name)} goes with it: {weights}, its curves and every prediction made with it.")
    else:
        st.caption("The run stays and can still predict.")
    return chosen
