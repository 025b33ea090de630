"""The film of a training: a few validation windows after each epoch, to be gone through with a slider."""

import streamlit as st

from app.components.catalog.tile_inspector import attribution
from core.catalog.store import read_catalog
from core.runs.run import Run


def film_view(run: Run) -> None:
    """Image, truth and prediction of the windows; the newest epoch, until somebody chooses another one."""
    frames = run.film.frames
    if not frames:
        return
    ground = "on ground it trains on at the end only" if run.refitted else "on ground it does not train on"
    st.markdown(f"**What it sees** {ground}, from the top: " + ", ".join(run.film.rows))
    epoch = _chosen(run.name, frames)
    st.image(str(run.film.picture(epoch)), width="stretch", alt=f"Validation windows after epoch {epoch}")
    _attributions(run)


def _chosen(name: str, frames: list[int]) -> int:
    """Follows the newest frame as long as that is the one looked at."""
    if len(frames) == 1:
        st.caption(f"Epoch {frames[0]}")
        return frames[0]
    key, seen = f"film {name}", f"film seen {name}"
    looked_at = st.session_state.get(key)
    if looked_at not in frames or looked_at == st.session_state.get(seen):
        st.session_state[key] = frames[-1]
    st.session_state[seen] = frames[-1]
    return int(st.select_slider("Epoch", frames, key=key))


def _attributions(run: Run) -> None:
    tiles = read_catalog().named(run.record.validation_tiles)
    attribution(" · ".join(dict.fromkeys(tile.attribution for tile in tiles if tile.attribution)))
