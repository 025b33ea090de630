"""One training, live: its job, its curves, what it sees. Polled from disk; the map elsewhere is not touched."""

from contextlib import suppress

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import plain
from app.components.jobs.job_buttons import job_buttons, queue
from app.components.jobs.job_card import job_facts, job_log
from app.components.training.film_view import film_view
from app.components.training.run_view import curves, live_figures, remarks, run_facts
from app.components.training.thresholds_view import tuning_view
from core.errors import GroundplanError, NoSuchJob
from core.jobs.queue import Job, State
from core.runs.run import Run
from core.settings import settings
from core.tasks.train import run_of

_EMPTY = """
#### No training yet
Choose labelled tiles at the right (one is enough) and press **Train**. The loss and the pixel scores appear here
after every epoch; on two cores an epoch of one tile takes a few seconds.
"""


def training_view() -> None:
    """The training that was chosen or submitted last; by default one that runs, else the newest."""
    jobs = {job.id: job for job in _offered()}
    if not jobs:
        st.markdown(_EMPTY)
        return
    state.settle_watched(sorted(jobs, key=lambda n: jobs[n].state is not State.RUNNING))
    chosen = st.selectbox("Training", list(jobs), format_func=lambda n: f"job {n} · {jobs[n].title}", key=state.WATCHED)
    run = run_of(jobs[chosen])
    if run is not None:
        state.select_run(run.name)
    _live(chosen)


def _offered() -> list[Job]:
    """The newest trainings, and of the older ones those that run or were asked for; newest first."""
    offered = [*queue().jobs(task="train"), *queue().running()]
    with suppress(NoSuchJob):  # somebody may have deleted it
        offered.append(queue().get(state.asked_to_watch() or 0))
    by_number = {job.id: job for job in offered if job.task == "train"}
    return [by_number[number] for number in sorted(by_number, reverse=True)]


@st.fragment(run_every=0.7)
def _live(job_id: int) -> None:
    try:
        job = queue().get(job_id)
    except NoSuchJob:  # somebody has deleted it
        st.rerun()
    job_facts(job)
    run = run_of(job)
    with st.container(horizontal=True, gap="small"):
        if run is not None and run.is_usable and job.state.is_over:
            _next_step(job, run)
        job_buttons(job)
    if run is not None and run.exists:
        try:
            _run(job, run)
        except GroundplanError as problem:  # of a file of the run: its job can still be stopped, read or deleted
            st.error(plain(problem), icon=":material/error:")
    job_log(job, run.log_text if run is not None else "")


def _run(job: Job, run: Run) -> None:
    if job.state is State.RUNNING:
        live_figures(run)
    remarks(run)
    curves(run)
    film_view(run)
    run_facts(run)
    tuning_view(run)
    st.caption(f"The same in TensorBoard: `tensorboard --logdir {settings().runs}`")


def _next_step(job: Job, run: Run) -> None:
    if st.button("Predict with it", icon=":material/home_pin:", key=f"predict {job.id}"):
        state.select_run(run.name)
        go_to("predict")
