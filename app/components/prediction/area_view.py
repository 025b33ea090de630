"""Area prediction: progress over the tiles of an area, and the button for the remaining ones."""

from collections.abc import Sequence

import streamlit as st

from app.components.common.text import counted, duration, number, plain
from app.components.jobs.job_buttons import queue
from app.components.training.config_form import gpus_field
from core.catalog.tile import Tile
from core.jobs.folder import JobFolder
from core.jobs.queue import Job, State
from core.runs.run import Run
from core.spacenet.bucket import AREAS
from core.tasks.predict import AreaPrediction, area_jobs, submit_area

_HAS_JOBS = "area under way"


@st.fragment(run_every=2)
def area_view(run: Run, tiles: Sequence[Tile]) -> None:
    """Show the prediction of an area's downloaded tiles, refreshed from disk every two seconds."""
    if len(tiles) < 2:
        return
    area, tile_ids = AreaPrediction(run, tuple(tiles)), {tile.id for tile in tiles}
    jobs = [job for job in area_jobs(run, queue()) if not tile_ids.isdisjoint(job.params["tiles"])]
    had_jobs, st.session_state[_HAS_JOBS] = st.session_state.get(_HAS_JOBS), bool(jobs)
    if had_jobs and not jobs:  # the tile of the page may have just been predicted
        st.rerun()
    area_name = AREAS[tiles[0].aoi].city if tiles[0].aoi in AREAS else tiles[0].aoi
    with st.expander(f"Predict all tiles of {plain(area_name)}", expanded=bool(jobs)):
        incompatible = f" · {number(area.incompatible)} without the required bands" if area.incompatible else ""
        st.caption(f"{number(len(area.done))} of {counted(len(area.tiles), 'tile')} predicted{incompatible}")
        if jobs:
            _area_progress(area, jobs)
        elif area.pending:
            _area_form(area)


def _area_form(area: AreaPrediction) -> None:
    last = next((job for job in queue().jobs(task="predict_tiles") if job.params["run"] == area.run.name), None)
    if last is not None and last.error:
        st.error(plain(last.error), icon=":material/error:")
    count = len(area.pending)
    label = f"Predict all {number(count)} tiles" if not area.done else f"Predict remaining {number(count)}"
    st.caption(f"About {duration(area.seconds(queue()))} (low priority)")
    gpus = gpus_field("GPUs per job")
    if st.button(label, icon=":material/select_all:", width="stretch"):
        submit_area(area.run, area.tiles, queue(), gpus)
        st.rerun()


def _area_progress(area: AreaPrediction, jobs: list[Job]) -> None:
    running = next((job for job in jobs if job.state is State.RUNNING), None)
    progress = JobFolder.of(running.id).progress() if running else None
    activity = plain(progress.doing) if progress else f"{counted(len(jobs), 'job')} queued, see Train"
    st.progress(len(area.done) / len(area.tiles), text=activity)
    if st.button("Stop", icon=":material/stop:", key="stop the area", help="Finished tiles are kept."):
        for job in jobs:
            queue().request_stop(job.id)
        st.rerun()
