"""Review of predicted buildings, one at a time: accept or reject, note, and shift."""

from collections.abc import Sequence

import streamlit as st

from app import state
from app.components.catalog.tile_inspector import table
from app.components.common.text import counted, number, plain
from app.components.map.tile_map import Click, take_click
from core.inference.tile_prediction import TilePrediction
from core.postprocessing.config import VectorizeConfig
from core.review.decisions import Review, ReviewStatus
from core.review.verdicts import Verdict, verdicts

_VERDICT_LABELS = {"TP": "Correct (TP)", "FP": "False positive (FP)", "FN": "Missed (FN)", "none": "Not scored"}


def handle_map_clicks(prediction: TilePrediction) -> Click | None:
    """Take the last map event, once; events of another tile or run are dropped."""
    view_key = f"{prediction.run.name} {prediction.tile.id}"
    if st.session_state.get("reviewed") != view_key:
        st.session_state["reviewed"] = view_key
        state.select_building(None)
    click = take_click("predict")
    if click is not None and click.act in ("shape", "decide"):
        state.select_building(click.id)
    return click


def decide_by_key(prediction: TilePrediction, config: VectorizeConfig, click: Click | None) -> None:
    """Accept or reject by the keys a and r on the map, then select the next building.

    Args:
        prediction: The tile in view.
        config: Post-processing settings of the sliders.
        click: The map event.
    """
    if click is None or click.act != "decide" or not click.id.startswith("P"):
        return
    buildings = verdicts(prediction, config)
    ids = [building.id for building in buildings]
    if click.id in ids:
        _decide(prediction, config, [click.id], click.verdict)
        _select_and_rerun(buildings, ids.index(click.id) + 1)


def review_view(prediction: TilePrediction, config: VectorizeConfig) -> None:
    """Show the selected building with its buttons; keys a and r decide and advance, up and down move only."""
    buildings = verdicts(prediction, config)
    if not buildings:
        st.caption("No predictions. Lower the threshold or the minimum area.")
        return
    _show_counts(prediction, buildings)
    ids = [building.id for building in buildings]
    selected_id = state.selected_building()
    index = ids.index(selected_id) if selected_id in ids else None
    _buttons(prediction, config, buildings, index)
    if index is None:
        st.caption("Select a building on the map, or press ↓.")
        return
    _facts(buildings[index])
    _note(prediction, buildings[index])


def _show_counts(prediction: TilePrediction, buildings: Sequence[Verdict]) -> None:
    counts = Review.of(prediction.folder).counts()
    remaining = sum(building.id.startswith("P") and not building.review_status for building in buildings)
    st.caption(
        f"{number(counts['accepted'])} accepted · {number(counts['rejected'])} rejected · {number(remaining)} to review"
    )


def _buttons(
    prediction: TilePrediction, config: VectorizeConfig, buildings: Sequence[Verdict], index: int | None
) -> None:
    building = buildings[index] if index is not None else None
    can_decide = building is not None and building.id.startswith("P")
    with st.container(horizontal=True, gap="small"):
        if st.button("Previous", icon=":material/arrow_upward:", shortcut="up", key="previous building"):
            _select_and_rerun(buildings, (len(buildings) if index is None else index) - 1)
        if st.button("Next", icon=":material/arrow_downward:", shortcut="down", key="next building"):
            _select_and_rerun(buildings, 0 if index is None else index + 1)
        # map.js handles the keys a and r, because Streamlit reserves r.
        for verdict, icon, key in (("accepted", "check", "a"), ("rejected", "close", "r")):
            label = verdict.removesuffix("ed").capitalize()
            button = f"{label} ({key})"
            if st.button(button, icon=f":material/{icon}:", disabled=not can_decide, key=f"{label} building"):
                _decide(prediction, config, [building.id] if building else [], verdict)
                _select_and_rerun(buildings, 0 if index is None else index + 1)
        if (
            building is not None
            and building.review_status
            and st.button("Clear decision", icon=":material/undo:", key="forget building")
        ):
            footprints = prediction.footprints(config)
            Review.of(prediction.folder).reset(footprints, [int(building.id[1:])]).write(prediction.folder)
            st.rerun()
    undecided = [candidate for candidate in buildings if candidate.id.startswith("P") and not candidate.review_status]
    min_confidence = st.slider("Auto-accept above confidence", 0.0, 1.0, 0.8, 0.05, key="sure enough")
    sure_ids = [candidate.id for candidate in undecided if (candidate.confidence or 0) >= min_confidence]
    if st.button(f"Accept {counted(len(sure_ids), 'building')}", disabled=not sure_ids, icon=":material/done_all:"):
        _decide(prediction, config, sure_ids, "accepted")
        st.rerun()


def _decide(prediction: TilePrediction, config: VectorizeConfig, ids: Sequence[str], verdict: str) -> None:
    status: ReviewStatus = "accepted" if verdict == "accepted" else "rejected"
    indices = [int(building_id[1:]) for building_id in ids]
    Review.of(prediction.folder).decide(prediction.footprints(config), indices, status).write(prediction.folder)


def _select_and_rerun(buildings: Sequence[Verdict], index: int) -> None:
    state.select_building(buildings[index % len(buildings)].id)
    st.rerun()


def _facts(building: Verdict) -> None:
    facts = {
        "Result": _VERDICT_LABELS[building.verdict],
        "Area": f"{number(building.area_m2)} m²",
        "Confidence": "–" if building.confidence is None else f"{building.confidence:.2f}",
        "IoU with ground truth": "–" if building.iou is None else f"{building.iou:.2f}",
        "Review status": building.review_status or "not reviewed",
    }
    table(facts)


def _note(prediction: TilePrediction, building: Verdict) -> None:
    """Draw note and shift of a decided building; they are stored with the decision."""
    if not building.review_status:
        return
    review = Review.of(prediction.folder)
    [index] = review.match_one(building.shape)
    decision = review.decisions[index]
    with st.form(f"note {building.id} {index}"):
        note = st.text_input("Note", decision.note, max_chars=500)
        east_side, north_side = st.columns(2)
        east = east_side.number_input("Shift east (m)", -50.0, 50.0, decision.east_m, 0.1)
        north = north_side.number_input("Shift north (m)", -50.0, 50.0, decision.north_m, 0.1)
        if st.form_submit_button("Save"):
            review.annotate(index, note, east, north).write(prediction.folder)
            st.toast(f"Saved for {plain(building.id)}.")
            st.rerun()
