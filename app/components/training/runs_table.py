"""The runs as a table to sort, filter and choose from, with the baseline that others are measured against."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app.components.common.text import number
from core.evaluation.comparison import table
from core.evaluation.evaluate import DRAWS
from core.runs.metadata import About, all_tags, title_of
from core.runs.run import Run

_BASELINE = "baseline"


def choose_runs(runs: Sequence[Run]) -> list[Run]:
    """The runs whose rows are ticked, in the order of the table."""
    shown = _filtered(runs)
    if not shown:
        st.caption("No run is called that, or has this tag.")
        return []
    frame = table(shown)
    baseline = _baseline(shown)
    frame["against"] = frame["f1"] - float(frame["f1"][frame["run"] == baseline].iloc[0])
    event = st.dataframe(
        frame.drop(columns="run"), hide_index=True, width="stretch", on_select="rerun", selection_mode="multi-row",
        column_config=_COLUMNS, key=f"runs {len(shown)}",
    )  # fmt: skip
    st.caption(
        "F1 by SpaceNet's rule on each run's own validation ground, with the range that holds 95 % of "
        f"{number(DRAWS)} draws of its tiles: other tiles are another question. Tick one to describe it, two to see "
        "them on one tile."
    )
    return [shown[row] for row in event.selection.rows]


_COLUMNS = {
    "name": st.column_config.TextColumn("Run", width="medium"),
    "tags": st.column_config.ListColumn("Tags"),
    "network": st.column_config.TextColumn("Network"),
    "tiles": st.column_config.NumberColumn("Tiles", help="It trained on so many."),
    "epochs": st.column_config.NumberColumn("Epochs"),
    "minutes": st.column_config.NumberColumn("Minutes", format="%.1f", help="Of training, checks included."),
    "f1": st.column_config.NumberColumn("F1", format="%.3f"),
    "low": st.column_config.NumberColumn("from", format="%.3f"),
    "high": st.column_config.NumberColumn("to", format="%.3f"),
    "against": st.column_config.NumberColumn("Δ baseline", format="%+.3f"),
    "ap": st.column_config.NumberColumn("AP", format="%.3f", help="Average precision at IoU 0.5."),
    "mpx_s": st.column_config.NumberColumn("Mpx/s", format="%.2f", help="Million pixels learned from in a second."),
    "parameters": st.column_config.NumberColumn("Parameters", format="localized"),
    "megabytes": st.column_config.NumberColumn("MB", format="%.1f", help="The file of the weights."),
    "created": st.column_config.DatetimeColumn("Trained", format="YYYY-MM-DD HH:mm"),
}


def _filtered(runs: Sequence[Run]) -> list[Run]:
    words_side, tags_side, archive_side = st.columns([2, 2, 1], vertical_alignment="bottom")
    words = words_side.text_input("Find", placeholder="a word of the name or the network").strip().lower()
    known = all_tags(runs)
    tags = tags_side.multiselect("Tags", known) if known else []
    archived = archive_side.toggle("Archived, too")
    return [run for run in runs if _fits(run, words, set(tags), archived)]


def _fits(run: Run, words: str, tags: set[str], archived: bool) -> bool:
    about = About.of(run)
    named = words in f"{title_of(run)} {run.config.network} {about.note}".lower()
    return named and tags <= set(about.tags) and (archived or not about.archived)


def _baseline(shown: Sequence[Run]) -> str:
    """The one that is pinned, as long as it is among those shown."""
    names = {run.name: title_of(run) for run in shown}
    pinned = st.query_params.get(_BASELINE, "")
    place = [*names].index(pinned) if pinned in names else 0
    chosen = st.selectbox("Baseline", list(names), place, format_func=names.__getitem__)
    if chosen != st.query_params.get(_BASELINE):
        st.query_params[_BASELINE] = chosen
    return str(chosen)


def describe_run(run: Run) -> None:
    """Another name, tags, a note, and putting it out of the way: nothing is deleted by that."""
    about = About.of(run)
    with st.form(f"about {run.name}"):
        name = st.text_input("Name", about.name or run.config.name, max_chars=60)
        tags = st.multiselect("Tags", [*about.tags], [*about.tags], accept_new_options=True)
        note = st.text_area("Note", about.note, max_chars=2000)
        archived = st.checkbox("Archived: kept, but offered on no page", about.archived)
        if st.form_submit_button("Keep", type="primary"):
            About(name, tuple(tags), note, archived).write(run)
            st.rerun()


def differences_table(frame: pd.DataFrame, titles: dict[str, str]) -> None:
    """What is not the same in the settings of several runs."""
    if frame.empty:
        st.caption("They were trained with the same settings.")
        return
    st.dataframe(frame.rename(columns=titles), width="stretch")


def tiles_table(frame: pd.DataFrame, titles: dict[str, str]) -> str | None:
    """The tiles both runs predicted, where most changed first; the one that was clicked."""
    sides = zip(("left", "right"), titles.items(), strict=True)
    config: dict[str, Any] = {
        name: st.column_config.NumberColumn(f"F1 {side}", help=title, format="%.3f") for side, (name, title) in sides
    }
    config |= {"tile": "Tile", "gained": "Gained", "lost": "Lost", "trained on": "Trained on by"}
    event = st.dataframe(
        frame, hide_index=True, width="stretch", on_select="rerun", selection_mode="single-row",
        column_config=config, key=f"tiles {len(frame)}",
    )  # fmt: skip
    st.caption(
        f"{number(frame['gained'].sum())} buildings gained, {number(frame['lost'].sum())} lost over these tiles."
    )
    rows = event.selection.rows
    return str(frame.iloc[rows[0]]["tile"]) if rows else None
