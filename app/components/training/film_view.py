"""Validation preview: predictions of validation windows after each epoch, with an epoch slider."""

import streamlit as st

from app.components.catalog.tile_inspector import attribution
from core.catalog.store import read_catalog
from core.catalog.tile import attributions
from core.runs.run import Run


def film_view(run: Run) -> None:
    """Show image, ground truth and prediction of the windows; the newest epoch until another is chosen."""
    frames = run.film.frames
    if not frames:
        return
    data_note = " on validation data used in the final refit" if run.refitted else ""
    st.markdown(f"**Validation preview**{data_note}: " + ", ".join(run.film.rows))
    epoch = _choose_epoch(run.name, frames)
    st.image(str(run.film.image_file(epoch)), width="stretch", alt=f"Validation preview after epoch {epoch}")
    attribution(" · ".join(attributions(read_catalog().named(run.record.validation_tiles))))


def _choose_epoch(run_name: str, frames: list[int]) -> int:
    """Draw the epoch slider; it follows the newest epoch unless an older one is selected."""
    if len(frames) == 1:
        st.caption(f"Epoch {frames[0]}")
        return frames[0]
    key, newest_key = f"film {run_name}", f"film seen {run_name}"
    current = st.session_state.get(key)
    if current not in frames or current == st.session_state.get(newest_key):
        st.session_state[key] = frames[-1]
    st.session_state[newest_key] = frames[-1]
    return int(st.select_slider("Epoch", frames, key=key))
