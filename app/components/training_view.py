"""One training, live: its job, its curves, what it sees. Polled from disk; the map elsewhere is not touched."""

import streamlit as st

from app import state
from app.components.film_view import film_view
from app.components.job_buttons import job_buttons, queue
from app.components.job_card import job_facts, job_log
from app.components.run_view import curves, live_figures, remarks, run_facts
from app.components.text import plain
from core.errors import GroundplanError, NoSuchJob
from core.jobs.store import Job, State
from core.runs import Run
from core.settings import settings
from core.training_jobs import run_of

#: So many of the newest trainings are offered, out of so many that are looked through.
_OFFERED, _SEARCHED = 50, 5_000
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
    trainings = queue().jobs(limit=_SEARCHED, task="train")
    asked = state.asked_to_watch()
    return [job for n, job in enumerate(trainings) if n < _OFFERED or job.state is State.RUNNING or job.id == asked]


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
    st.caption(f"The same in TensorBoard: `tensorboard --logdir {settings().runs}`")


def _next_step(job: Job, run: Run) -> None:
    if st.button("Predict with it", icon=":material/home_pin:", key=f"predict {job.id}"):
        state.select_run(run.name)
        st.switch_page("app/pages/predict.py")
