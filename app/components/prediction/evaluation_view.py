"""Evaluation of an area: worst tiles, and F1 by confidence, threshold and building size."""

from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from app import state
from app.components.common.text import MEANINGS, counted, number
from app.components.map.tile_map import page_url
from app.components.training.thresholds_view import reliability_chart
from core.catalog.tile import Tile
from core.evaluation.evaluate import Evaluation, Order, evaluate, threshold_curve
from core.inference.tile_prediction import TilePrediction, all_predictions
from core.postprocessing.config import VectorizeConfig
from core.rendering import colors
from core.runs.run import Run

_ORDERS: dict[Order, str] = {"f1": "lowest F1", "missed": "most missed", "invented": "most false positives"}
_THRESHOLDS = [n / 20 for n in range(1, 20)]
_HEIGHT = 290


def evaluation_of(run: Run, tiles: Sequence[Tile], config: VectorizeConfig) -> Evaluation:
    """Evaluate the predicted tiles among `tiles`.

    Args:
        run: The run.
        tiles: The tiles.
        config: Post-processing settings of the sliders.

    Returns:
        Scores by tile and area.
    """
    predictions = all_predictions(run, tiles)
    with st.spinner(f"Scoring {counted(len(predictions), 'predicted tile')} …"):
        return evaluate(predictions, config)


def worst_tiles(evaluation: Evaluation) -> None:
    """Show tiles sorted by error, worst first; a click selects a tile."""
    if not evaluation.rows:
        _nothing_scored()
        return
    low, high = evaluation.f1_interval() or (None, None)
    total = evaluation.total
    interval = ""
    if low is not None and high is not None:
        interval = f", 95 % CI (bootstrap over tiles): {low:.2f}–{high:.2f}"
    f1 = "not scored" if total.f1 is None else f"F1 {total.f1:.3f}{interval}"
    st.caption(
        f"{counted(len(evaluation.rows), 'tile')}: {f1}. {number(total.fn)} missed, "
        f"{counted(total.fp, 'false positive')}. {evaluation.leakage_note}"
    )
    order = st.segmented_control("Sort by", _ORDERS, default="f1", format_func=_ORDERS.__getitem__, required=True)
    rows = evaluation.worst_first(order)
    frame = pd.DataFrame(
        {
            "picture": [page_url("tiles", row.tile, "thumbnail") for row in rows], "tile": [row.tile for row in rows],
            "f1": [row.score.f1 for row in rows], "found": [row.score.tp for row in rows],
            "missed": [row.score.fn for row in rows], "invented": [row.score.fp for row in rows],
            "seen": [row.role for row in rows],
        }
    )  # fmt: skip
    event = st.dataframe(
        frame, hide_index=True, width="stretch", on_select="rerun", selection_mode="single-row", row_height=56,
        column_config=_COLUMNS, key=f"worst {order} {len(rows)}",
    )  # fmt: skip
    selected = [rows[n].tile for n in event.selection.rows]
    if selected and selected[0] != state.selected_tile_id():
        state.select_by_id(selected[0])
        st.rerun()


_COLUMNS = {
    "picture": st.column_config.ImageColumn("", width="small"), "tile": st.column_config.TextColumn("Tile"),
    "f1": st.column_config.ProgressColumn("F1", min_value=0, max_value=1, format="%.3f"),
    "found": st.column_config.NumberColumn("Correct", help=MEANINGS["TP"]),
    "missed": st.column_config.NumberColumn("Missed", help=MEANINGS["FN"]),
    "invented": st.column_config.NumberColumn("False positives", help=MEANINGS["FP"]),
    "seen": st.column_config.TextColumn("Split", help="What the run used the tile for."),
}  # fmt: skip


def metrics_charts(evaluation: Evaluation, prediction: TilePrediction, config: VectorizeConfig) -> None:
    """Plot precision against recall, F1 by threshold, F1 by building size, and reliability.

    Args:
        evaluation: Scores of the area.
        prediction: The tile in view.
        config: Post-processing settings of the sliders.
    """
    if not evaluation.rows:
        _nothing_scored()
        return
    st.caption(
        f"{counted(len(evaluation.rows), 'predicted tile')} of this area, at the current settings. "
        f"{evaluation.leakage_note}"
    )
    left, right = st.columns(2)
    left.altair_chart(_precision_recall_chart(evaluation), width="stretch")
    if prediction.exists and prediction.tile.is_labeled:
        right.altair_chart(_threshold_chart(prediction, config), width="stretch")
    left.altair_chart(_size_chart(evaluation), width="stretch")
    bins = evaluation.reliability()
    right.altair_chart(reliability_chart({"predicted": bins}), width="stretch")


def areas_table(evaluation: Evaluation) -> None:
    """Show F1 with true positives, false positives and false negatives by area."""
    if not evaluation.rows:
        st.caption("No labeled tile is predicted yet.")
    else:
        st.dataframe(
            _area_frame(evaluation), width="stretch", column_config={"F1": st.column_config.NumberColumn(format="%.3f")}
        )
        st.caption(
            f"{counted(len(evaluation.rows), 'predicted tile')} with labels, at the current settings. "
            f"{evaluation.leakage_note}"
        )


def _nothing_scored() -> None:
    st.caption("No labeled tile of this area is predicted yet. *Predict all tiles* covers the whole area.")


def _precision_recall_chart(evaluation: Evaluation) -> alt.Chart:
    curve = evaluation.precision_recall()
    ap = evaluation.average_precision
    title = "Precision–recall curve" if ap is None else f"Precision–recall curve, AP {ap:.3f}"
    unit = alt.Scale(domain=[0, 1])
    line = alt.Chart(curve, title=title).mark_line(color=colors.PREDICTION, interpolate="step-after")
    chart = line.encode(
        x=alt.X("recall:Q", scale=unit), y=alt.Y("precision:Q", scale=unit),
        tooltip=[alt.Tooltip(f"{name}:Q", format=".2f") for name in ("confidence", "precision", "recall")],
    )  # fmt: skip
    return chart.properties(height=_HEIGHT)


def _threshold_chart(prediction: TilePrediction, config: VectorizeConfig) -> alt.LayerChart | alt.FacetChart:
    with st.spinner("Computing …"):
        curve = threshold_curve(prediction, config, _THRESHOLDS).melt("threshold", var_name="measure")
    unit = alt.Scale(domain=[0, 1])
    color = alt.Color(
        "measure:N", title=None, legend=alt.Legend(orient="top"),
        scale=alt.Scale(
            domain=["f1", "precision", "recall"], range=["#E69F00", colors.PREDICTION, colors.TRUE_POSITIVE]
        ),
    )  # fmt: skip
    lines = alt.Chart(curve, title="F1 by threshold (this tile)").mark_line().encode(
        x=alt.X("threshold:Q", scale=unit), y=alt.Y("value:Q", title=None, scale=unit), color=color,
        tooltip=["measure", "threshold", alt.Tooltip("value:Q", format=".3f")],
    )  # fmt: skip
    rule = alt.Chart(pd.DataFrame({"threshold": [config.threshold]})).mark_rule(strokeDash=[4, 3], color="#8B949E")
    return alt.layer(lines, rule.encode(x="threshold:Q")).properties(height=_HEIGHT)


def _size_chart(evaluation: Evaluation) -> alt.Chart:
    table = evaluation.by_size()
    labels = [
        f"{low:g}–{high:g}" if high < 1e9 else f"over {low:g}"
        for low, high in zip(table["from_m2"], table["to_m2"], strict=True)
    ]
    frame = table.assign(size=labels).dropna(subset=["f1"])
    bars = alt.Chart(frame, title="F1 by building size").mark_bar(color=colors.PREDICTION)
    chart = bars.encode(
        x=alt.X("size:N", sort=labels, title="Building size (m²)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("f1:Q", title=None, scale=alt.Scale(domain=[0, 1])),
        tooltip=["size", "buildings", "found", "footprints", alt.Tooltip("f1:Q", format=".3f")],
    )  # fmt: skip
    return chart.properties(height=_HEIGHT)


def _area_frame(evaluation: Evaluation) -> pd.DataFrame:
    rows = {
        aoi: {"F1": counts.f1, "Correct (TP)": counts.tp, "False positive (FP)": counts.fp, "Missed (FN)": counts.fn}
        for aoi, counts in evaluation.by_aoi.items()
    }
    return pd.DataFrame(rows).T
