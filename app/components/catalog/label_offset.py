"""Labels that sit beside the roofs, moved by metres: four arrows, a step, and two ways back."""

import streamlit as st

from app.components.common.text import number, plain
from core.catalog.register import can_move, move_labels
from core.catalog.tile import Tile
from core.errors import GroundplanError

STEPS_M = (0.25, 0.5, 1.0, 5.0)
_ARROWS = {"west": (-1, 0, "arrow_back"), "north": (0, 1, "arrow_upward"), "south": (0, -1, "arrow_downward"),
           "east": (1, 0, "arrow_forward")}  # fmt: skip


def label_nudge(tile: Tile) -> None:
    """The arrows for a labelled tile, where its labels are now, Undo, and the way back to the file's own place."""
    if not tile.is_labelled:
        return
    st.caption(_where(tile.offset_m))
    step = st.segmented_control(
        "Step", STEPS_M, default=0.5, required=True, format_func=lambda metres: number(metres, "m"), key="nudge step"
    )
    east, north = tile.offset_m
    before: list[tuple[float, float]] = st.session_state.setdefault(f"nudged {tile.id}", [])
    with st.container(horizontal=True, gap="small"):
        for where, (right, up, icon) in _ARROWS.items():
            there = east + right * step, north + up * step
            if st.button(
                "", icon=f":material/{icon}:", key=f"nudge {where}", help=f"Labels {where}",
                disabled=not can_move(*there),
            ):  # fmt: skip
                _move(tile, there, [*before, tile.offset_m])
    with st.container(horizontal=True, gap="small"):
        if st.button("Undo", icon=":material/undo:", key="nudge undo", disabled=not before):
            _move(tile, before[-1], before[:-1])
        if st.button("Back to the file's place", key="nudge back", disabled=tile.offset_m == (0.0, 0.0)):
            _move(tile, (0.0, 0.0), [*before, tile.offset_m])


def _move(tile: Tile, offset_m: tuple[float, float], before: list[tuple[float, float]]) -> None:
    try:
        move_labels(tile.id, *offset_m)
    except GroundplanError as problem:
        st.error(plain(problem), icon=":material/error:")
        return
    st.session_state[f"nudged {tile.id}"] = before
    st.rerun()


def _where(offset_m: tuple[float, float]) -> str:
    east, north = offset_m
    parts = [
        f"{number(abs(metres), 'm', 5)} {words[metres < 0]}"
        for metres, words in ((east, ("east", "west")), (north, ("north", "south")))
        if metres
    ]
    return f"Labels moved {', '.join(parts)} of where the file has them." if parts else "Labels lie as in their file."
