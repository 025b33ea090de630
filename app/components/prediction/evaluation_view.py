"""Which tiles of an area are worst, and how precision, recall and F1 depend on confidence, threshold and size."""

from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from app import state
from app.components.common.text import counted, number
from app.components.map.tile_map import page_url
from app.components.training.thresholds_view import reliability_chart
from core.catalog.tile import Tile
from core.evaluation.evaluate import Evaluation, Order, against_threshold, evaluate
from core.inference.tile_prediction import Predicted, all_predicted
from core.postprocessing.config import Shaping
from core.rendering import colors
from core.runs.run import Run

_ORDERS: dict[Order, str] = {"f1": "lowest F1", "missed": "most missed", "invented": "most invented"}
_THRESHOLDS = [n / 20 for n in range(1, 20)]
_HEIGHT = 290


def evaluation_of(run: Run, tiles: Sequence[Tile], shaping: Shaping) -> Evaluation:
    """Those of the tiles that the run has predicted, shaped as the sliders say."""
    there = all_predicted(run, tiles)
    with st.spinner(f"Scoring {counted(len(there), 'predicted tile')} …"):
        return evaluate(there, shaping)


def worst_first(found: Evaluation) -> None:
    """The tiles in the order in which somebody should look at them; a click leads there."""
    if not found.rows:
        _nothing_scored()
        return
    low, high = found.interval() or (None, None)
    total = found.total
    between = f" (95 % of draws of its tiles: {low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    f1 = "not scored" if total.f1 is None else f"F1 {total.f1:.3f}{between}"
    st.caption(
        f"{counted(len(found.rows), 'tile')} together: {f1}, {number(total.fn)} missed, {number(total.fp)} invented. "
        + found.caveat
    )
    order = st.segmented_control(
        "Worst first, by", _ORDERS, default="f1", format_func=_ORDERS.__getitem__, required=True
    )
    rows = found.worst_first(order)
    frame = pd.DataFrame(
        {
            "picture": [page_url("tiles", row.tile, "thumbnail") for row in rows], "tile": [row.tile for row in rows],
            "f1": [row.score.f1 for row in rows], "found": [row.score.tp for row in rows],
            "missed": [row.score.fn for row in rows], "invented": [row.score.fp for row in rows],
            "seen": [row.seen_before for row in rows],
        }
    )  # fmt: skip
    event = st.dataframe(
        frame, hide_index=True, width="stretch", on_select="rerun", selection_mode="single-row", row_height=56,
        column_config=_COLUMNS, key=f"worst {order} {len(rows)}",
    )  # fmt: skip
    if event.selection.rows:
        _go(rows[event.selection.rows[0]].tile)


_COLUMNS = {
    "picture": st.column_config.ImageColumn("", width="small"), "tile": st.column_config.TextColumn("Tile"),
    "f1": st.column_config.ProgressColumn("F1", min_value=0, max_value=1, format="%.3f"),
    "found": st.column_config.NumberColumn("Found"), "missed": st.column_config.NumberColumn("Missed"),
    "invented": st.column_config.NumberColumn("Invented"), "seen": st.column_config.TextColumn("In training"),
}  # fmt: skip


def _go(name: str) -> None:
    if state.selected_tile_id() != name:
        state.select_by_id(name)
        st.rerun()


def charts(found: Evaluation, one: Predicted, shaping: Shaping) -> None:
    """Precision against recall, F1 against the threshold on this tile, F1 by size, reliability."""
    if not found.rows:
        _nothing_scored()
        return
    st.caption(f"{counted(len(found.rows), 'predicted tile')} of this area, as the sliders say. {found.caveat}")
    left, right = st.columns(2)
    left.altair_chart(_precision_recall(found), width="stretch")
    if one.exists and one.tile.is_labelled:
        right.altair_chart(_thresholds(one, shaping), width="stretch")
    left.altair_chart(_sizes(found), width="stretch")
    bins = found.reliability()
    right.altair_chart(reliability_chart({"as predicted": bins}), width="stretch")


def areas_table(found: Evaluation) -> None:
    """Found, invented and missed buildings of every area that has predicted tiles."""
    if not found.rows:
        st.caption("No labelled tile is predicted yet.")
    else:
        st.dataframe(_areas(found), width="stretch", column_config={"F1": st.column_config.NumberColumn(format="%.3f")})
        st.caption(f"{counted(len(found.rows), 'predicted tile')} with labels, as the sliders say. {found.caveat}")


def _nothing_scored() -> None:
    st.caption("No labelled tile of this area is predicted yet: *The whole area* does all of them.")


def _precision_recall(found: Evaluation) -> alt.Chart:
    curve = found.precision_recall()
    ap = found.average_precision
    title = "Precision and recall" if ap is None else f"Precision and recall, AP {ap:.3f}"
    unit = alt.Scale(domain=[0, 1])
    line = alt.Chart(curve, title=title).mark_line(color=colors.PREDICTION, interpolate="step-after")
    chart = line.encode(
        x=alt.X("recall:Q", scale=unit), y=alt.Y("precision:Q", scale=unit),
        tooltip=[alt.Tooltip(f"{name}:Q", format=".2f") for name in ("confidence", "precision", "recall")],
    )  # fmt: skip
    return chart.properties(height=_HEIGHT)


def _thresholds(one: Predicted, shaping: Shaping) -> alt.LayerChart | alt.FacetChart:
    with st.spinner("Trying other probabilities …"):
        curve = against_threshold(one, shaping, _THRESHOLDS).melt("threshold", var_name="measure")
    unit = alt.Scale(domain=[0, 1])
    colour = alt.Color(
        "measure:N", title=None, legend=alt.Legend(orient="top"),
        scale=alt.Scale(domain=["f1", "precision", "recall"], range=["#E69F00", colors.PREDICTION, colors.RIGHT]),
    )  # fmt: skip
    lines = alt.Chart(curve, title="This tile against the probability").mark_line().encode(
        x=alt.X("threshold:Q", scale=unit), y=alt.Y("value:Q", title=None, scale=unit), color=colour,
        tooltip=["measure", "threshold", alt.Tooltip("value:Q", format=".3f")],
    )  # fmt: skip
    chosen = alt.Chart(pd.DataFrame({"threshold": [shaping.threshold]})).mark_rule(strokeDash=[4, 3], color="#8B949E")
    return alt.layer(lines, chosen.encode(x="threshold:Q")).properties(height=_HEIGHT)


def _sizes(found: Evaluation) -> alt.Chart:
    table = found.by_size()
    words = [
        f"{low:g}–{high:g}" if high < 1e9 else f"over {low:g}"
        for low, high in zip(table["from_m2"], table["to_m2"], strict=True)
    ]
    frame = table.assign(size=words).dropna(subset=["f1"])
    bars = alt.Chart(frame, title="F1 by size of the building").mark_bar(color=colors.PREDICTION)
    chart = bars.encode(
        x=alt.X("size:N", sort=words, title="m²", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("f1:Q", title=None, scale=alt.Scale(domain=[0, 1])),
        tooltip=["size", "buildings", "found", "footprints", alt.Tooltip("f1:Q", format=".3f")],
    )  # fmt: skip
    return chart.properties(height=_HEIGHT)


def _areas(found: Evaluation) -> pd.DataFrame:
    rows = {
        aoi: {"F1": counts.f1, "found (TP)": counts.tp, "invented (FP)": counts.fp, "missed (FN)": counts.fn}
        for aoi, counts in found.by_aoi.items()
    }
    return pd.DataFrame(rows).T
