"""Live view of a training: job, curves and validation preview, polled from disk in a fragment."""

from contextlib import suppress

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import plain
from app.components.jobs.job_buttons import job_buttons, queue
from app.components.jobs.job_card import job_facts, job_log
from app.components.training.film_view import film_view
from app.components.training.run_view import curves, live_figures, run_facts, training_events
from app.components.training.thresholds_view import thresholds_view
from core.errors import GroundplanError, NoSuchJob
from core.jobs.queue import Job, State
from core.runs.run import Run
from core.settings import settings
from core.tasks.train import run_of

_EMPTY = """
#### No runs yet
Select labeled tiles on the right and press **Train**. Loss and pixel metrics appear here after every epoch.
"""


def training_view() -> None:
    """Show the training selected or submitted last; by default a running one, else the newest."""
    jobs = {job.id: job for job in _training_jobs()}
    if not jobs:
        st.markdown(_EMPTY)
        return
    state.resolve_watched_job(sorted(jobs, key=lambda n: jobs[n].state is not State.RUNNING))
    job_id = st.selectbox("Training", list(jobs), format_func=lambda n: f"job {n} · {jobs[n].title}", key=state.WATCHED)
    run = run_of(jobs[job_id])
    if run is not None:
        state.select_run(run.name)
    _live_view(job_id)


def _training_jobs() -> list[Job]:
    """List training jobs: the newest, and older ones that run or were requested; newest first."""
    jobs = [*queue().jobs(task="train"), *queue().running()]
    with suppress(NoSuchJob):  # another user may have deleted it
        jobs.append(queue().get(state.requested_job() or 0))
    by_id = {job.id: job for job in jobs if job.task == "train"}
    return [by_id[job_id] for job_id in sorted(by_id, reverse=True)]


@st.fragment(run_every=0.7)
def _live_view(job_id: int) -> None:
    try:
        job = queue().get(job_id)
    except NoSuchJob:  # another user has deleted it
        st.rerun()
    job_facts(job)
    run = run_of(job)
    with st.container(horizontal=True, gap="small"):
        usable = run if run is not None and run.is_usable and job.state.is_over else None
        if usable and st.button("Use for prediction", icon=":material/home_pin:", key=f"predict {job.id}"):
            state.select_run(usable.name)
            go_to("predict")
        job_buttons(job)
    if run is not None and run.exists:
        try:
            _run_details(job, run)
        except GroundplanError as problem:  # unreadable file of the run; the buttons and the log of its job stay
            st.error(plain(problem), icon=":material/error:")
    job_log(job, run.log_text if run is not None else "")


def _run_details(job: Job, run: Run) -> None:
    if job.state is State.RUNNING:
        live_figures(run)
    training_events(run)
    curves(run)
    film_view(run)
    run_facts(run)
    thresholds_view(run)
    st.caption(f"Open in TensorBoard: `tensorboard --logdir {settings().runs}`")
