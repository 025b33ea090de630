"""Job card: state, progress, remaining time, error and log."""

import streamlit as st

from app.components.common.text import counted, duration, plain, safe
from app.components.jobs.job_buttons import queue, stop_button
from core.jobs.folder import JobFolder
from core.jobs.queue import Job, State

#: Label and color of each state.
STATE_LABELS = {
    State.QUEUED: ("queued", "#999999"),
    State.RUNNING: ("running", "#E69F00"),
    State.DONE: ("done", "#2EA043"),
    State.FAILED: ("failed", "#F85149"),
    State.STOPPED: ("stopped", "#8B949E"),
}
#: Log lines shown below the error of a failed job; `job_log` shows more.
_REASON_LINES = 6
_LOG_LINES = 40


def job_card(job: Job) -> None:
    """Show a job with its stop button."""
    job_facts(job)
    if job.state is State.QUEUED:
        no_worker()
    stop_button(job)


def job_facts(job: Job) -> None:
    """Show state and progress of a job with the remaining time; for a failed job its error and last log lines."""
    dot = f'<span class="gp-dot" style="background:{STATE_LABELS[job.state][1]}"></span>'
    st.html(f'<p class="gp-title">{safe(job.title)}</p>')
    state = "" if job.state is State.QUEUED and not job.stop_requested else f" · {state_label(job)}"
    attempt = f" · attempt {job.attempt}" if job.attempt > 1 else ""
    st.html(f'<p class="gp-sub">{dot}job {job.id}{state} · {times(job)}{attempt}</p>')
    if job.state is State.RUNNING:
        _progress(job)
    if job.state is State.QUEUED:
        jobs_ahead = next((n for n, queued in enumerate(queue().waiting()) if queued.id == job.id), 0)
        position = f"{counted(jobs_ahead, 'job')} ahead." if jobs_ahead else "Next in the queue."
        st.caption(f"Waiting for a worker. {position}")
    if job.error:
        st.error(plain(job.error), icon=":material/error:")
    lines = JobFolder.of(job.id).tail(_REASON_LINES) if job.state is State.FAILED else []
    if lines:
        st.caption("Last lines of the log")
        st.code("\n".join(lines), language=None, wrap_lines=True)


def state_label(job: Job) -> str:
    """Format the state of a job, or a pending stop."""
    if job.stop_requested and not job.state.is_over:
        return "finishing early" if job.keep else "stopping"
    if job.state is State.STOPPED and job.keep:
        return "stopped early (model kept)"
    return STATE_LABELS[job.state][0]


def times(job: Job) -> str:
    """Format when a job was queued or started, or how long it took."""
    if job.started is None:
        return f"queued at {job.created:%H:%M} UTC"
    if job.finished is None:
        return f"since {job.started:%H:%M} UTC"
    return f"took {duration((job.finished - job.started).total_seconds())}"


def _progress(job: Job) -> None:
    progress = JobFolder.of(job.id).progress()
    share, activity = (progress.share, progress.doing) if progress else (0.0, "starting (a few seconds)")
    remaining_s = progress.remaining_s if progress else None
    suffix = f" · about {duration(remaining_s)} left" if remaining_s is not None else ""
    st.progress(share, text=f"{plain(activity)}{suffix}")


def no_worker() -> None:
    """Warn that no worker is running, with the command that starts one."""
    if not any(worker.alive for worker in queue().workers()):
        st.warning("No worker is running, so no job starts. Start one: `python -m core worker`.")


@st.fragment(run_every=0.7)
def wait_for(job_id: int) -> None:
    """Show a job's card until the job ends, then rerun the page."""
    job = queue().get(job_id)
    if job.state.is_over:
        st.rerun()
    job_card(job)


def job_log(job: Job, message: str = "") -> None:
    """Show the last lines of `message` and of the job's log."""
    lines = [*message.splitlines()[-_LOG_LINES:], *JobFolder.of(job.id).tail(_LOG_LINES)]
    with st.expander("Log"):
        st.code("\n".join(lines) or "No output yet.", language=None)
