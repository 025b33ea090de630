"""Everyone's jobs in the order in which they start, and what can be done with the chosen one."""

from datetime import datetime
from typing import Any

import streamlit as st

from app import state
from app.assets import ASSETS
from app.components.common.text import duration, plain
from app.components.jobs.job_buttons import act, job_buttons, queue
from app.components.jobs.job_card import WORDS, job_facts, no_worker, state_words
from core.jobs.folder import JobFolder
from core.jobs.queue import HIGH, LOW, NORMAL, Job, State

#: So many of the jobs that are over are listed.
_OVER = 50
_PRIORITIES = {HIGH: "High", NORMAL: "Normal", LOW: "Low"}
_TASKS = {
    "train": "training", "predict": "prediction of a tile", "predict_tiles": "prediction of an area",
    "combine": "combination of runs", "fetch": "download", "upload": "taking in an image", "sample": "sample city",
}  # fmt: skip
_table = st.components.v2.component(
    "groundplan_queue",
    html='<div class="queue"><table><thead><tr><th></th><th>Job</th><th>State</th><th class="when">When</th></tr>'
    "</thead><tbody></tbody></table></div>",
    css=(ASSETS / "queue.css").read_text("utf-8"),
    js=(ASSETS / "queue.js").read_text("utf-8"),
)


@st.fragment(run_every=0.7)
def queue_view() -> None:
    """The table, read from disk all the time, and the buttons of the job that was clicked."""
    jobs = _in_order()
    if not jobs:
        st.caption("Nothing has been asked for yet. What anybody asks for appears here.")
        return
    chosen = next((job for job in jobs if job.id == state.chosen_job()), None)
    waiting = [job.id for job in jobs if job.state is State.QUEUED]
    if waiting:
        no_worker()
    rows = [_row(job, waiting) for job in jobs]
    _table(data={"rows": rows, "chosen": chosen and chosen.id}, key="queue", on_chosen_change=_choose)
    if chosen is None:
        st.caption("Click a job to stop it, to change its place, to retry or to delete it.")
    else:
        _actions(chosen, waiting)


def _choose() -> None:
    state.choose_job(st.session_state["queue"].chosen or None)


def _in_order() -> list[Job]:
    """Running ones, then the waiting ones in the order in which they start, then the latest that are over."""
    over = [job for job in queue().jobs(limit=1_000) if job.state.is_over]
    return [*queue().running(), *queue().waiting(), *over[:_OVER]]


def _row(job: Job, waiting: list[int]) -> dict[str, Any]:
    words, share = state_words(job), 0.0
    if job.state is State.RUNNING:
        found = JobFolder.of(job.id).progress()
        share = found.share if found else 0.0
        words += f" · {share:.0%}"
    place = f"{waiting.index(job.id) + 1}." if job.id in waiting else ""
    priority = f" · {_PRIORITIES[job.priority].lower()} priority" if job.priority and job.state is State.QUEUED else ""
    return {
        "id": job.id, "place": place, "title": job.title, "words": words, "colour": WORDS[job.state][1],
        "share": share, "when": _when(job), "note": f"job {job.id} · {_TASKS.get(job.task, job.task)}{priority}",
    }  # fmt: skip


def _when(job: Job) -> str:
    if job.finished and job.started:
        took = duration((job.finished - job.started).total_seconds())
        return f"{_moment(job.finished)}, {took}"
    return _moment(job.finished or job.started or job.created)


def _moment(moment: datetime) -> str:
    return f"{moment:%d %b %H:%M}"


def _actions(job: Job, waiting: list[int]) -> None:
    if job.task == "train":  # the rest of it is shown above, when it is watched
        st.markdown(f"**Job {job.id}** · {plain(job.title)}")
    else:
        job_facts(job)
    if job.id in waiting:
        _place(job, waiting.index(job.id), len(waiting))
    with st.container(horizontal=True, gap="small"):
        watched = st.session_state.get(state.WATCHED) == job.id
        if job.task == "train" and not watched and st.button("Watch", icon=":material/visibility:", key="watch it"):
            state.watch(job.id)
            st.rerun()
        job_buttons(job, "row ")


def _place(job: Job, place: int, count: int) -> None:
    """Where it stands among those that wait."""
    moves = (
        ("Start next", ":material/vertical_align_top:", 0, place > 0),
        ("Up", ":material/arrow_upward:", place - 1, place > 0),
        ("Down", ":material/arrow_downward:", place + 1, place < count - 1),
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        for words, icon, to, possible in moves:
            st.button(
                words, icon=icon, key=f"{words} {job.id}", disabled=not possible,
                on_click=act, args=(queue().move, job.id, to),
            )  # fmt: skip
        key = f"priority {job.id} {job.priority}"  # another one where somebody else has changed it
        st.segmented_control(
            "Priority", list(_PRIORITIES), default=job.priority, format_func=_PRIORITIES.__getitem__, required=True,
            key=key, label_visibility="collapsed", on_change=_prioritise, args=(job.id, key),
        )  # fmt: skip


def _prioritise(job_id: int, key: str) -> None:
    act(queue().prioritise, job_id, st.session_state[key])
