"""Prediction form: select run and tile, and submit the job."""

import streamlit as st

from app import state
from app.components.common.text import distinct
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, job_log, wait_for
from core.catalog.tile import Tile
from core.inference.tile_prediction import TilePrediction
from core.jobs.queue import HIGH
from core.runs.run import Run


def choose_run(runs: list[Run]) -> Run:
    """Draw the run box, newest first, and return the selected run."""
    by_name = {run.name: run for run in runs}
    labels = distinct({name: f"{run.config.name or name} · epoch {run.best_epoch}" for name, run in by_name.items()})
    selected = state.selected_run()
    index = [*by_name].index(selected) if selected in by_name else 0
    name = st.selectbox("Run", list(by_name), index, format_func=labels.__getitem__, key=f"run {len(runs)}")
    state.select_run(name)
    return by_name[name]


def predict_button(prediction: TilePrediction) -> None:
    """Draw the button that submits the prediction job, or the running job; its end reruns the page."""
    order = {"run": prediction.run.name, "tile": prediction.tile.id}
    last = next((job for job in queue().jobs(task="predict") if order.items() <= job.params.items()), None)
    if last is not None and not last.state.is_over:
        wait_for(last.id)
        return
    tta = st.toggle(
        "Test-time augmentation (8×, slower)", help="Averages the predictions for the tile in all eight rotations "
        "and reflections. Measured change of F1: 0.00 to 0.03.",
    )  # fmt: skip
    label = "Predict again" if prediction.exists else "Predict"
    if st.button(
        label, type="secondary" if prediction.exists else "primary", width="stretch", icon=":material/home_pin:"
    ):
        params = order | ({"turned": True} if tta else {})
        queue().submit("predict", params, f"Predict {prediction.tile.id}", HIGH)  # the user waits for it
        st.rerun()
    if last is not None and last.error:
        job_card(last)
        job_log(last)


def tile_needs_bands(tile: Tile, run: Run) -> bool:
    """Tell whether the tile lacks bands of the run, with a message."""
    needed = "3-band" if tile.bands < 3 else "8-band"
    missing = tile.bands < 3 or (run.record.bands == 4 and tile.eight_bands is None)
    if missing:
        st.warning(f"This model needs {needed} imagery; choose another tile.")
    return missing
