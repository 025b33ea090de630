"""Table of runs to sort, filter and select, with a baseline for comparison."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app.components.common.text import number
from core.evaluation.comparison import run_table
from core.evaluation.evaluate import BOOTSTRAP_RESAMPLES
from core.runs.metadata import RunMetadata, all_tags, display_name
from core.runs.run import Run

_BASELINE = "baseline"


def choose_runs(runs: Sequence[Run]) -> list[Run]:
    """Draw the table and return the selected runs in its order."""
    filtered = _filtered(runs)
    if not filtered:
        st.caption("No matching runs.")
        return []
    frame = run_table(filtered)
    baseline = _baseline(filtered)
    frame["against"] = frame["f1"] - float(frame["f1"][frame["run"] == baseline].iloc[0])
    event = st.dataframe(
        frame.drop(columns="run"), hide_index=True, width="stretch", on_select="rerun", selection_mode="multi-row",
        column_config=_COLUMNS, key=f"runs {len(filtered)}",
    )  # fmt: skip
    st.caption(
        "Validation F1 (SpaceNet metric) with 95 % bootstrap CI. Runs may have different validation tiles. "
        "Select one to edit, two to compare."
    )
    return [filtered[row] for row in event.selection.rows]


_CI = f"95 % confidence interval, {number(BOOTSTRAP_RESAMPLES)} bootstrap draws over the validation tiles."
_COLUMNS = {
    "name": st.column_config.TextColumn("Run", width="medium"),
    "tags": st.column_config.ListColumn("Tags"),
    "network": st.column_config.TextColumn("Network"),
    "tiles": st.column_config.NumberColumn("Training tiles"),
    "epochs": st.column_config.NumberColumn("Epochs"),
    "minutes": st.column_config.NumberColumn("Training time", format="%.1f min", help="Includes validation."),
    "f1": st.column_config.NumberColumn("F1", format="%.3f", help="On the validation tiles of the run."),
    "low": st.column_config.NumberColumn("F1 low", format="%.3f", help=_CI),
    "high": st.column_config.NumberColumn("F1 high", format="%.3f", help=_CI),
    "against": st.column_config.NumberColumn("Δ baseline", format="%+.3f"),
    "ap": st.column_config.NumberColumn("AP", format="%.3f", help="Average precision at IoU 0.5."),
    "mpx_s": st.column_config.NumberColumn("Mpx/s", format="%.2f", help="Million training pixels per second."),
    "parameters": st.column_config.NumberColumn("Parameters", format="localized"),
    "megabytes": st.column_config.NumberColumn("MB", format="%.1f", help="Size of the weights file."),
    "created": st.column_config.DatetimeColumn("Trained", format="YYYY-MM-DD HH:mm"),
}


def _filtered(runs: Sequence[Run]) -> list[Run]:
    query_side, tags_side, archive_side = st.columns([2, 2, 1], vertical_alignment="bottom")
    query = query_side.text_input("Search runs", placeholder="name, network or note").strip().lower()
    known_tags = all_tags(runs)
    tags = tags_side.multiselect("Tags", known_tags) if known_tags else []
    include_archived = archive_side.toggle("Show archived")
    return [run for run in runs if _matches(run, query, set(tags), include_archived)]


def _matches(run: Run, query: str, tags: set[str], include_archived: bool) -> bool:
    metadata = RunMetadata.of(run)
    is_match = query in f"{display_name(run)} {run.config.network} {metadata.note}".lower()
    return is_match and tags <= set(metadata.tags) and (include_archived or not metadata.archived)


def _baseline(runs: Sequence[Run]) -> str:
    """Draw the baseline box; the baseline in the URL is the default if the filter includes it."""
    names = {run.name: display_name(run) for run in runs}
    pinned = st.query_params.get(_BASELINE, "")
    index = [*names].index(pinned) if pinned in names else 0
    baseline = st.selectbox("Baseline", list(names), index, format_func=names.__getitem__)
    if baseline != st.query_params.get(_BASELINE):
        st.query_params[_BASELINE] = baseline
    return str(baseline)


def describe_run(run: Run) -> None:
    """Edit name, tags and note of a run, and archive it, which deletes nothing."""
    metadata = RunMetadata.of(run)
    with st.form(f"about {run.name}"):
        name = st.text_input("Name", metadata.name or run.config.name, max_chars=60)
        tags = st.multiselect("Tags", [*metadata.tags], [*metadata.tags], accept_new_options=True)
        note = st.text_area("Note", metadata.note, max_chars=2000)
        archived = st.checkbox("Archive (hide everywhere)", metadata.archived)
        if st.form_submit_button("Save", type="primary"):
            RunMetadata(name, tuple(tags), note, archived).write(run)
            st.rerun()


def differences_table(frame: pd.DataFrame, titles: dict[str, str]) -> None:
    """Show the settings that differ between runs."""
    if frame.empty:
        st.caption("Identical settings")
        return
    st.dataframe(frame.rename(columns=titles), width="stretch")


def tiles_table(frame: pd.DataFrame, titles: dict[str, str]) -> str | None:
    """Show tiles predicted by both runs, largest change first; returns the selected tile ID."""
    sides = zip("AB", titles.items(), strict=True)
    config: dict[str, Any] = {
        name: st.column_config.NumberColumn(f"F1 {side}", help=title, format="%.3f") for side, (name, title) in sides
    }
    config |= {
        "tile": "Tile", "gained": st.column_config.NumberColumn("Gained", help="Found only by run B."),
        "lost": st.column_config.NumberColumn("Lost", help="Found only by run A."),
        "trained on": st.column_config.TextColumn("Trained on by", help="Scores on training tiles are optimistic."),
    }  # fmt: skip
    table = frame.replace({"trained on": {"left": "A", "right": "B", "both": "A and B"}})
    event = st.dataframe(
        table, hide_index=True, width="stretch", on_select="rerun", selection_mode="single-row",
        column_config=config, key=f"tiles {len(frame)}",
    )  # fmt: skip
    st.caption(
        f"+{number(frame['gained'].sum())} / −{number(frame['lost'].sum())} buildings found by run B compared to run A"
    )
    rows = event.selection.rows
    return str(frame.iloc[rows[0]]["tile"]) if rows else None
