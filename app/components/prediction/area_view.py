"""The prediction of a whole area: how many tiles are there, how many are coming, and the button for the rest."""

from collections.abc import Sequence

import streamlit as st

from app.components.common.text import counted, duration, number, plain
from app.components.jobs.job_buttons import queue
from app.components.training.config_form import gpus_box
from core.catalog.tile import Tile
from core.jobs.folder import JobFolder
from core.jobs.queue import Job, State
from core.runs.run import Run
from core.tasks.predict import AreaPrediction, area_jobs, submit_area

_UNDER_WAY = "area under way"


@st.fragment(run_every=2)
def area_view(run: Run, tiles: Sequence[Tile]) -> None:
    """The tiles of one area that are on this machine, read from disk every two seconds."""
    if len(tiles) < 2:
        return
    area, names = AreaPrediction(run, tuple(tiles)), {tile.id for tile in tiles}
    jobs = [job for job in area_jobs(run, queue()) if not names.isdisjoint(job.params["tiles"])]
    _go_on_when_over(bool(jobs))
    with st.expander(f"The whole area, {plain(tiles[0].aoi)}", expanded=bool(jobs)):
        st.caption(_facts(area))
        if jobs:
            _under_way(area, jobs)
        elif area.lacking:
            _offer(area)


def _go_on_when_over(under_way: bool) -> None:
    """The page's own tile may be among those that have just been predicted."""
    before, st.session_state[_UNDER_WAY] = st.session_state.get(_UNDER_WAY), under_way
    if before and not under_way:
        st.rerun()


def _facts(area: AreaPrediction) -> str:
    words = f"{number(len(area.done))} of {counted(len(area.tiles), 'tile')} are predicted by this run as it is now."
    return f"{words} {number(area.unfit)} do not have the bands it wants." if area.unfit else words


def _offer(area: AreaPrediction) -> None:
    last = next((job for job in queue().jobs(task="predict_tiles") if job.params["run"] == area.run.name), None)
    if last is not None and last.error:
        st.error(plain(last.error), icon=":material/error:")
    count = len(area.lacking)
    words = f"Predict all {number(count)} tiles of the area" if not area.done else f"Predict the other {number(count)}"
    st.caption(f"About {duration(area.seconds(queue()))} on one machine, after what others wait for (low priority).")
    gpus = gpus_box("GPUs a job")
    if st.button(words, icon=":material/select_all:", width="stretch"):
        submit_area(area.run, area.tiles, queue(), gpus)
        st.rerun()


def _under_way(area: AreaPrediction, jobs: list[Job]) -> None:
    running = next((job for job in jobs if job.state is State.RUNNING), None)
    found = JobFolder.of(running.id).progress() if running else None
    doing = plain(found.doing) if found else f"{counted(len(jobs), 'job')} in the queue, see Train"
    st.progress(len(area.done) / len(area.tiles), text=doing)
    if st.button("Stop", icon=":material/stop:", key="stop the area", help="What is predicted stays."):
        for job in jobs:
            queue().request_stop(job.id)
        st.rerun()
