"""One building at a time: what it is, accepting and rejecting it, a note, and moving it a little."""

from collections.abc import Sequence

import streamlit as st

from app import state
from app.components.catalog.tile_inspector import table
from app.components.common.text import counted, number, plain
from app.components.map.tile_map import Click, clicked
from core.inference.tile_prediction import Predicted
from core.postprocessing.config import Shaping
from core.review.decisions import Review, Verdict
from core.review.verdicts import Building, verdicts

_KINDS = {"TP": "found (TP)", "FP": "invented (FP)", "FN": "missed (FN)", "none": "not scored"}


def listen(found: Predicted) -> Click | None:
    """What was done on the map, taken once; of another tile or run nothing is chosen."""
    of = f"{found.run.name} {found.tile.id}"
    if st.session_state.get("reviewed") != of:
        st.session_state["reviewed"] = of
        state.choose_shape(None)
    click = clicked("predict")
    if click is not None and click.act in ("shape", "decide"):
        state.choose_shape(click.id)
    return click


def decide_by_key(found: Predicted, shaping: Shaping, click: Click | None) -> None:
    """What a and r did on the map, whichever tab is open; then the next building is looked at."""
    if click is None or click.act != "decide" or not click.id.startswith("P"):
        return
    buildings = verdicts(found, shaping)
    ids = [one.id for one in buildings]
    if click.id in ids:
        _decide(found, shaping, [click.id], click.verdict)
        _go(buildings, ids.index(click.id) + 1)


def review_view(found: Predicted, shaping: Shaping) -> None:
    """The chosen building with its buttons; keys a and r decide and go on, the arrows up and down only go on."""
    buildings = verdicts(found, shaping)
    if not buildings:
        st.caption("Nothing was predicted here. A lower probability or a smaller smallest building may show something.")
        return
    _say_counts(found, buildings)
    ids = [one.id for one in buildings]
    chosen = state.chosen_shape()
    place = ids.index(chosen) if chosen in ids else None
    _buttons(found, shaping, buildings, place)
    if place is None:
        st.caption("Click a building on the map, or press ↓.")
        return
    _facts(buildings[place])
    _note(found, buildings[place])


def _say_counts(found: Predicted, buildings: Sequence[Building]) -> None:
    counts = Review.of(found.folder).counts()
    predicted = sum(one.id.startswith("P") for one in buildings)
    st.caption(
        f"{counted(counts['accepted'], 'building')} accepted, {number(counts['rejected'])} rejected, of "
        f"{number(predicted)} predicted as they are shaped now."
    )


def _buttons(found: Predicted, shaping: Shaping, buildings: Sequence[Building], place: int | None) -> None:
    here = buildings[place] if place is not None else None
    can = here is not None and here.id.startswith("P")
    with st.container(horizontal=True, gap="small"):
        if st.button("Previous", icon=":material/arrow_upward:", shortcut="up", key="previous building"):
            _go(buildings, (len(buildings) if place is None else place) - 1)
        if st.button("Next", icon=":material/arrow_downward:", shortcut="down", key="next building"):
            _go(buildings, 0 if place is None else place + 1)
        # Their keys are map.js's: Streamlit keeps r for itself.
        for verdict, icon, key in (("accepted", "check", "a"), ("rejected", "close", "r")):
            words = verdict.removesuffix("ed").capitalize()
            button = f"{words} ({key})"
            if st.button(button, icon=f":material/{icon}:", disabled=not can, key=f"{words} building"):
                _decide(found, shaping, [here.id] if here else [], verdict)
                _go(buildings, 0 if place is None else place + 1)
        if here is not None and here.decided and st.button("Forget", icon=":material/undo:", key="forget building"):
            footprints = found.footprints(shaping)
            Review.of(found.folder).forgetting(footprints, [int(here.id[1:])]).write(found.folder)
            st.rerun()
    undecided = [one for one in buildings if one.id.startswith("P") and not one.decided]
    sure = st.slider("Confidence from which all others are accepted at once", 0.0, 1.0, 0.8, 0.05, key="sure enough")
    many = [one.id for one in undecided if (one.confidence or 0) >= sure]
    if st.button(f"Accept {counted(len(many), 'building')}", disabled=not many, icon=":material/done_all:"):
        _decide(found, shaping, many, "accepted")
        st.rerun()


def _decide(found: Predicted, shaping: Shaping, ids: Sequence[str], verdict: str) -> None:
    said: Verdict = "accepted" if verdict == "accepted" else "rejected"
    numbers = [int(one[1:]) for one in ids]
    Review.of(found.folder).deciding(found.footprints(shaping), numbers, said).write(found.folder)


def _go(buildings: Sequence[Building], place: int) -> None:
    state.choose_shape(buildings[place % len(buildings)].id)
    st.rerun()


def _facts(one: Building) -> None:
    facts = {
        "Building": _KINDS[one.verdict],
        "Area": f"{number(one.area_m2)} m²",
        "Confidence": "–" if one.confidence is None else f"{one.confidence:.2f}",
        "IoU with the truth": "–" if one.iou is None else f"{one.iou:.2f}",
        "A person says": one.decided or "nothing yet",
    }
    table(facts)


def _note(found: Predicted, one: Building) -> None:
    """For decided ones: without a decision there is nothing to keep it with."""
    if not one.decided:
        return
    review = Review.of(found.folder)
    [number_] = review.about_one(one.shape)
    decision = review.decisions[number_]
    with st.form(f"note {one.id} {number_}"):
        note = st.text_input("Note", decision.note, max_chars=500)
        east_side, north_side = st.columns(2)
        east = east_side.number_input("Move east, m", -50.0, 50.0, decision.east_m, 0.1)
        north = north_side.number_input("Move north, m", -50.0, 50.0, decision.north_m, 0.1)
        if st.form_submit_button("Keep"):
            review.noting(number_, note, east, north).write(found.folder)
            st.toast(f"Kept for {plain(one.id)}.")
            st.rerun()
