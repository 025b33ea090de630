"""Which run predicts which tile: the boxes, and the button that submits the job."""

import streamlit as st

from app import state
from app.components.common.text import distinct, plain
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, job_log, wait_for
from core.catalog.tile import Tile
from core.inference.tile_prediction import Predicted
from core.jobs.queue import HIGH, Job
from core.runs.run import Run


def choose_run(runs: list[Run]) -> Run:
    """A box of the usable runs, newest first."""
    by_name = {run.name: run for run in runs}
    labels = distinct({name: _label(run) for name, run in by_name.items()})
    chosen = state.selected_run()
    place = [*by_name].index(chosen) if chosen in by_name else 0
    name = st.selectbox("Run", list(by_name), place, format_func=labels.__getitem__, key=f"run {len(runs)}")
    state.select_run(name)
    return by_name[name]


def _label(run: Run) -> str:
    return f"{run.config.name or run.name} · epoch {run.best_epoch}"


def predict_button(found: Predicted) -> None:
    """Submits the job, or shows the one that runs; the page goes on by itself when it is done."""
    job = _running(found)
    if job is not None:
        wait_for(job.id)
        return
    turned = st.toggle(
        "Look eight times", help="The mean of what the network says of the tile and of its seven other turns, at "
        "eight times the cost. As far as it was measured F1 changes by 0.00 to 0.03.",
    )  # fmt: skip
    words = "Predict again" if found.exists else "Predict"
    if st.button(words, type="secondary" if found.exists else "primary", width="stretch", icon=":material/home_pin:"):
        tile = found.tile
        params = {"run": found.run.name, "tile": tile.id, **({"turned": True} if turned else {})}
        queue().submit("predict", params, f"Predict {tile.id}", HIGH)  # somebody waits for it
        st.rerun()
    last = _last(found)
    if last is not None and last.error:
        job_card(last)
        job_log(last)


def _last(found: Predicted) -> Job | None:
    wanted = {"run": found.run.name, "tile": found.tile.id}.items()
    return next((job for job in queue().jobs(task="predict") if wanted <= job.params.items()), None)


def _running(found: Predicted) -> Job | None:
    last = _last(found)
    return last if last is not None and not last.state.is_over else None


def tile_needs_bands(tile: Tile, run: Run) -> bool:
    """Whether the run wants bands that the tile does not have; says so."""
    lacks = "three colours" if tile.bands < 3 else "the eighth band"
    missing = tile.bands < 3 or (run.record.bands == 4 and tile.eight_bands is None)
    if missing:
        st.warning(
            f"{plain(run.name)} was trained with {lacks}, which {plain(tile.title)} does not have. Choose another tile."
        )
    return missing
