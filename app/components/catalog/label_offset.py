"""Label offset: shift misaligned labels by meters, with undo and reset."""

import streamlit as st

from app.components.common.text import number, plain
from core.catalog.register import can_offset_labels, set_label_offset
from core.catalog.tile import Tile
from core.errors import GroundplanError

STEPS_M = (0.25, 0.5, 1.0, 5.0)
_ARROWS = {"west": (-1, 0, "arrow_back"), "north": (0, 1, "arrow_upward"), "south": (0, -1, "arrow_downward"),
           "east": (1, 0, "arrow_forward")}  # fmt: skip


def label_offset(tile: Tile) -> None:
    """Draw the offset of a labeled tile's footprints, with buttons to shift, undo and reset it."""
    if not tile.is_labeled:
        return
    st.caption(_offset_text(tile.offset_m))
    step = st.segmented_control(
        "Step", STEPS_M, default=0.5, required=True, format_func=lambda meters: number(meters, "m"), key="nudge step"
    )
    east, north = tile.offset_m
    history: list[tuple[float, float]] = st.session_state.setdefault(f"nudged {tile.id}", [])
    with st.container(horizontal=True, gap="small"):
        for direction, (east_step, north_step, icon) in _ARROWS.items():
            offset = east + east_step * step, north + north_step * step
            if st.button(
                "", icon=f":material/{icon}:", key=f"nudge {direction}", help=f"Shift labels {direction}",
                disabled=not can_offset_labels(*offset),
            ):  # fmt: skip
                _shift_labels(tile, offset, [*history, tile.offset_m])
    with st.container(horizontal=True, gap="small"):
        if st.button("Undo", icon=":material/undo:", key="nudge undo", disabled=not history):
            _shift_labels(tile, history[-1], history[:-1])
        if st.button("Reset offset", key="nudge back", disabled=tile.offset_m == (0.0, 0.0)):
            _shift_labels(tile, (0.0, 0.0), [*history, tile.offset_m])


def _shift_labels(tile: Tile, offset_m: tuple[float, float], history: list[tuple[float, float]]) -> None:
    try:
        set_label_offset(tile.id, *offset_m)
    except GroundplanError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.session_state[f"nudged {tile.id}"] = history
    st.rerun()


def _offset_text(offset_m: tuple[float, float]) -> str:
    east, north = offset_m
    parts = [
        f"{number(abs(meters), 'm', 5)} {directions[meters < 0]}"
        for meters, directions in ((east, ("east", "west")), (north, ("north", "south")))
        if meters
    ]
    return f"Offset: {', '.join(parts)}" if parts else "No offset"
