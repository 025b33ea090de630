"""Jobs as a person sees them: state, progress, remaining time, log, and the buttons that act on them."""

import streamlit as st

from app.components.text import duration, plain, safe
from core.jobs.folder import JobFolder
from core.jobs.store import Job, Queue, State
from core.settings import settings

_WORDS = {
    State.QUEUED: ("waiting", "#999999"),
    State.RUNNING: ("running", "#E69F00"),
    State.DONE: ("done", "#2EA043"),
    State.FAILED: ("failed", "#F85149"),
    State.STOPPED: ("stopped", "#8B949E"),
}


def queue() -> Queue:
    """This installation's queue."""
    return Queue(settings().queue)


def job_card(job: Job) -> None:
    """One job: a progress bar with the remaining time while it runs, a sentence when it failed."""
    words, colour = _WORDS[job.state]
    words = "stopping" if job.stop_requested and not job.state.is_over else words
    dot = f'<span class="gp-dot" style="background:{colour}"></span>'
    st.html(f'<p class="gp-title">{safe(job.title)}</p>')
    st.html(f'<p class="gp-sub">{dot}job {job.id} · {words} · {_times(job)}</p>')
    if job.state is State.RUNNING:
        _progress(job)
    if job.state is State.QUEUED:
        _waiting()
    if job.error:
        st.error(plain(job.error), icon=":material/error:")
    if not job.state.is_over and st.button("Stop", key=f"stop {job.id}", icon=":material/stop:"):
        queue().request_stop(job.id)
        st.rerun()


def _times(job: Job) -> str:
    if job.started is None:
        return f"asked for at {job.created:%H:%M} UTC"
    if job.finished is None:
        return f"since {job.started:%H:%M} UTC"
    return f"took {duration((job.finished - job.started).total_seconds())}"


def _progress(job: Job) -> None:
    found = JobFolder.of(job.id).progress()
    share, doing = (found.share, found.doing) if found else (0.0, "starting, which takes a few seconds")
    left = f" · about {duration(found.remaining_s)} left" if found and found.remaining_s is not None else ""
    st.progress(share, text=f"{plain(doing)}{left}")


def _waiting() -> None:
    workers = [worker for worker in queue().workers() if worker.alive]
    if workers:
        st.caption("Waiting for the worker to finish the jobs before it.")
    else:
        st.warning("No worker is running, so nothing will start. Start one: `python -m core worker`.")


@st.fragment(run_every=0.7)
def wait_for(job_id: int) -> None:
    """A job's card until it is over; then the page runs again."""
    job = queue().get(job_id)
    if job.state.is_over:
        st.rerun()
    job_card(job)


def job_log(job: Job) -> None:
    """The last lines the job printed."""
    with st.expander("Log"):
        st.code("\n".join(JobFolder.of(job.id).tail()) or "Nothing yet.", language=None)


def queue_table(jobs: list[Job]) -> None:
    """The jobs of everyone, newest first."""
    if not jobs:
        st.caption("Nothing has been asked for yet.")
        return
    rows = [
        {"Job": job.id, "What": job.title, "Task": job.task, "State": _WORDS[job.state][0], "When": job.created}
        for job in jobs
    ]
    when = st.column_config.DatetimeColumn(format="D MMM, HH:mm")
    st.dataframe(
        rows, hide_index=True, width="stretch", height="content" if len(rows) < 8 else 300, column_config={"When": when}
    )
