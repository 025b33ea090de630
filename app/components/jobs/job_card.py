"""One job as a person sees it: state, progress, remaining time, why it failed, and its log."""

import streamlit as st

from app.components.common.text import duration, plain, safe
from app.components.jobs.job_buttons import queue, stop_button
from core.jobs.folder import JobFolder
from core.jobs.queue import Job, State

#: What a state is called, and its colour.
WORDS = {
    State.QUEUED: ("waiting", "#999999"),
    State.RUNNING: ("running", "#E69F00"),
    State.DONE: ("done", "#2EA043"),
    State.FAILED: ("failed", "#F85149"),
    State.STOPPED: ("stopped", "#8B949E"),
}
_STARTS = {2: "second start", 3: "third start"}
#: Lines of the log under the reason of a failure; the whole tail is one click away.
_REASON_LINES = 6
_LOG_LINES = 40


def job_card(job: Job) -> None:
    """One job with the button that stops it."""
    job_facts(job)
    if job.state is State.QUEUED:
        no_worker()
    stop_button(job)


def job_facts(job: Job) -> None:
    """A progress bar with the remaining time while it runs; when it failed, why, with the last lines of its log."""
    dot = f'<span class="gp-dot" style="background:{WORDS[job.state][1]}"></span>'
    st.html(f'<p class="gp-title">{safe(job.title)}</p>')
    st.html(f'<p class="gp-sub">{dot}job {job.id} · {state_words(job)} · {times(job)}{_start(job)}</p>')
    if job.state is State.RUNNING:
        _progress(job)
    if job.state is State.QUEUED:
        _waiting(job)
    if job.error:
        st.error(plain(job.error), icon=":material/error:")
    if job.state is State.FAILED:
        _last_lines(job)


def state_words(job: Job) -> str:
    """The state, or that a stop is on its way."""
    if job.stop_requested and not job.state.is_over:
        return "stopping, keeps what it has" if job.keep else "stopping"
    if job.state is State.STOPPED and job.keep:
        return "stopped, kept what it had"
    return WORDS[job.state][0]


def times(job: Job) -> str:
    """Since when, or how long it took."""
    if job.started is None:
        return f"asked for at {job.created:%H:%M} UTC"
    if job.finished is None:
        return f"since {job.started:%H:%M} UTC"
    return f"took {duration((job.finished - job.started).total_seconds())}"


def _start(job: Job) -> str:
    """Which start it is, where an earlier one was interrupted."""
    return f" · {_STARTS.get(job.attempt, f'start {job.attempt}')}" if job.attempt > 1 else ""


def _progress(job: Job) -> None:
    found = JobFolder.of(job.id).progress()
    share, doing = (found.share, found.doing) if found else (0.0, "starting, which takes a few seconds")
    left = f" · about {duration(found.remaining_s)} left" if found and found.remaining_s is not None else ""
    st.progress(share, text=f"{plain(doing)}{left}")


def _waiting(job: Job) -> None:
    before = next((n for n, other in enumerate(queue().waiting()) if other.id == job.id), 0)
    words = f"{before} {'job starts' if before == 1 else 'jobs start'} before it." if before else "It starts next."
    st.caption(f"Waiting for a worker. {words}")


def no_worker() -> None:
    """How to start a worker, where none runs."""
    if not any(worker.alive for worker in queue().workers()):
        st.warning("No worker is running, so nothing will start. Start one: `python -m core worker`.")


def _last_lines(job: Job) -> None:
    lines = JobFolder.of(job.id).tail(_REASON_LINES)
    if lines:
        st.caption("The last lines of its log")
        st.code("\n".join(lines), language=None, wrap_lines=True)


@st.fragment(run_every=0.7)
def wait_for(job_id: int) -> None:
    """A job's card until it is over; then the page runs again."""
    job = queue().get(job_id)
    if job.state.is_over:
        st.rerun()
    job_card(job)


def job_log(job: Job, told: str = "") -> None:
    """The last lines the job printed, below what it told elsewhere."""
    lines = [*told.splitlines()[-_LOG_LINES:], *JobFolder.of(job.id).tail(_LOG_LINES)]
    with st.expander("Log"):
        st.code("\n".join(lines) or "Nothing yet.", language=None)
