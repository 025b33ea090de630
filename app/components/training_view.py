"""One training, live: its job, its curves, what it is made of. Polled from disk; the map elsewhere is not touched."""

import streamlit as st

from app import state
from app.components.job_card import job_card, job_log, queue
from app.components.run_view import curves, run_facts
from core.jobs.store import Job
from core.runs import Run
from core.settings import settings

_EMPTY = """
#### No training yet
Choose labelled tiles at the right (one is enough) and press **Train**. The loss and the pixel scores appear here
after every epoch; on two cores an epoch of one tile takes a few seconds.
"""


def training_view() -> None:
    """The training that was chosen or submitted last, the newest one by default."""
    jobs = {job.id: job for job in queue().jobs(task="train")}
    if not jobs:
        st.markdown(_EMPTY)
        return
    if st.session_state.get(state.WATCHED) not in jobs:
        state.watch(next(iter(jobs)))
    chosen = st.selectbox("Training", list(jobs), format_func=lambda n: f"job {n} · {jobs[n].title}", key=state.WATCHED)
    state.select_run(jobs[chosen].params["run"])
    _live(chosen)


@st.fragment(run_every=1)
def _live(job_id: int) -> None:
    job = queue().get(job_id)
    job_card(job)
    run = Run(settings().runs / job.params["run"])
    if run.exists:
        curves(run)
        if run.is_usable and job.state.is_over:
            _next_step(job)
        run_facts(run)
    job_log(job)


def _next_step(job: Job) -> None:
    if st.button("Predict with it", icon=":material/home_pin:", key=f"predict {job.id}"):
        state.select_run(job.params["run"])
        st.switch_page("app/pages/predict.py")
