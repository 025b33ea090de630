"""Job queue: all jobs in the order in which they start, and actions for the selected one."""

from typing import Any

import streamlit as st

from app import state
from app.assets import ASSETS
from app.components.common.text import duration, plain
from app.components.jobs.job_buttons import job_buttons, queue, run_action
from app.components.jobs.job_card import STATE_LABELS, job_facts, no_worker, state_label
from core.jobs.folder import JobFolder
from core.jobs.queue import HIGH, LOW, NORMAL, Job, State

#: Ended jobs listed at most.
_MAX_ENDED = 50
_PRIORITIES = {HIGH: "High", NORMAL: "Normal", LOW: "Low"}
_TASKS = {
    "train": "training", "predict": "tile prediction", "predict_tiles": "area prediction", "combine": "ensemble",
    "fetch": "download", "upload": "image import", "sample": "sample city", "export": "export",
}  # fmt: skip
_table = st.components.v2.component(
    "groundplan_queue",
    html='<div class="queue"><table><thead><tr><th></th><th>Job</th><th>State</th><th class="when">Time</th></tr>'
    "</thead><tbody></tbody></table></div>",
    css=(ASSETS / "queue.css").read_text("utf-8"),
    js=(ASSETS / "queue.js").read_text("utf-8"),
)


@st.fragment(run_every=0.7)
def queue_view() -> None:
    """Show the queue table, refreshed from disk, and the buttons of the selected job."""
    ended = [job for job in queue().jobs(limit=1_000) if job.state.is_over]
    jobs = [*queue().running(), *queue().waiting(), *ended[:_MAX_ENDED]]
    if not jobs:
        st.caption("No jobs yet.")
        return
    selected = next((job for job in jobs if job.id == state.selected_job()), None)
    waiting = [job.id for job in jobs if job.state is State.QUEUED]
    if waiting:
        no_worker()
    rows = [_row(job, waiting) for job in jobs]
    _table(
        data={"rows": rows, "chosen": selected and selected.id}, key="queue",
        on_chosen_change=lambda: state.select_job(st.session_state["queue"].chosen or None),
    )  # fmt: skip
    if selected is None:
        st.caption("Select a job to stop, reorder, retry or delete it.")
    else:
        _actions(selected, waiting)


def _row(job: Job, waiting: list[int]) -> dict[str, Any]:
    label, share = state_label(job), 0.0
    if job.state is State.RUNNING:
        progress = JobFolder.of(job.id).progress()
        share = progress.share if progress else 0.0
        label += f" · {share:.0%}"
    when = f"{job.finished or job.started or job.created:%d %b %H:%M}"
    if job.finished and job.started:
        when += f", {duration((job.finished - job.started).total_seconds())}"
    place = f"{waiting.index(job.id) + 1}." if job.id in waiting else ""
    priority = f" · {_PRIORITIES[job.priority].lower()} priority" if job.priority and job.state is State.QUEUED else ""
    return {
        "id": job.id, "place": place, "title": job.title, "words": label, "colour": STATE_LABELS[job.state][1],
        "share": share, "when": when, "note": f"job {job.id} · {_TASKS.get(job.task, job.task)}{priority}",
    }  # fmt: skip


def _actions(job: Job, waiting: list[int]) -> None:
    if job.task == "train":  # a watched training shows its details above
        st.markdown(f"**Job {job.id}** · {plain(job.title)}")
    else:
        job_facts(job)
    if job.id in waiting:
        _position_buttons(job, waiting.index(job.id), len(waiting))
    with st.container(horizontal=True, gap="small"):
        watched = st.session_state.get(state.WATCHED) == job.id
        if job.task == "train" and not watched and st.button("Watch", icon=":material/visibility:", key="watch it"):
            state.watch(job.id)
            st.rerun()
        job_buttons(job, "row ")


def _position_buttons(job: Job, index: int, count: int) -> None:
    """Draw the buttons that move a job in the queue, and its priority."""
    moves = (
        ("Start next", ":material/vertical_align_top:", 0, index > 0),
        ("Up", ":material/arrow_upward:", index - 1, index > 0),
        ("Down", ":material/arrow_downward:", index + 1, index < count - 1),
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        for label, icon, position, is_possible in moves:
            st.button(
                label, icon=icon, key=f"{label} {job.id}", disabled=not is_possible,
                on_click=run_action, args=(queue().move, job.id, position),
            )  # fmt: skip
        key = f"priority {job.id} {job.priority}"  # a new key shows a priority that another user has set
        st.segmented_control(
            "Priority", list(_PRIORITIES), default=job.priority, format_func=_PRIORITIES.__getitem__, required=True,
            key=key, label_visibility="collapsed",
            on_change=lambda: run_action(queue().prioritize, job.id, st.session_state[key]),
        )  # fmt: skip
