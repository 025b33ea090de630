"""Optimized thresholds of a run, rescoring, and the reliability diagram."""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd
import streamlit as st

from app.components.catalog.tile_inspector import table
from core.metrics.calibration import Bin
from core.postprocessing.thresholds import load_thresholds
from core.rendering import colors
from core.runs.run import Run

_DIAGONAL_COLOR = "#8B949E"
#: Side of the square plot [pixels], which fits narrow screens, and height of its title and legend.
_PLOT_PX, _MARGIN_PX = 280, 80


def thresholds_view(run: Run) -> None:
    """Show the optimized thresholds of a run, rescoring and reliability; nothing before the optimization."""
    if not run.stored_thresholds:
        return
    thresholds = load_thresholds(run)
    config = thresholds.vectorize
    facts = {
        "Validation F1": _f1_text(thresholds.f1),
        "Probability threshold": f"{config.threshold:g}",
        "Split ratio (watershed)": f"{config.saddle_ratio:g}" if config.saddle_ratio else "off",
        "Minimum building area": f"{config.min_area_m2:g} m²",
    }
    if thresholds.rescored_f1 is not None:
        facts["F1 with false-positive filter"] = _f1_text(thresholds.rescored_f1)
    refit_note = " before the refit" if thresholds.refitted else ""
    st.markdown(f"**Post-processing** (tuned on validation data{refit_note})")
    table(facts)
    if thresholds.raw:
        bins_by_kind = {"uncalibrated": thresholds.raw, "calibrated": thresholds.calibrated}
        st.altair_chart(reliability_chart(bins_by_kind), width="content")
        st.caption("On the dashed line, 7 of 10 footprints with confidence 0.7 match a building (IoU > 0.5).")


def _f1_text(value: float | None) -> str:
    return "not scored" if value is None else f"{value:.3f}"


def reliability_chart(kinds: Mapping[str, Sequence[Bin]]) -> alt.LayerChart | alt.FacetChart:
    """Plot observed precision against confidence; the point size is the number of footprints."""
    rows = [
        {"kind": kind, "confidence": bin_.confidence, "found": bin_.precision, "footprints": bin_.count}
        for kind, bins in kinds.items()
        for bin_ in bins
    ]
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(tickCount=5, format=".1f")
    x = alt.X("confidence:Q", title="Confidence", scale=scale, axis=axis)
    y = alt.Y("found:Q", title="Observed precision", scale=scale, axis=axis)
    color = alt.Color(
        "kind:N", title=None,
        scale=alt.Scale(domain=list(kinds), range=[_DIAGONAL_COLOR, colors.PREDICTION][-len(kinds) :]),
        legend=alt.Legend(orient="top"),
    )  # fmt: skip
    points = alt.Chart(pd.DataFrame(rows)).encode(
        x=x, y=y, color=color, tooltip=["kind", alt.Tooltip("confidence", format=".2f"), "footprints",
                                         alt.Tooltip("found", title="observed precision", format=".2f")],
    )  # fmt: skip
    diagonal = alt.Chart(pd.DataFrame({"confidence": [0, 1], "found": [0, 1]}))
    dashed = diagonal.mark_line(color=_DIAGONAL_COLOR, strokeDash=[4, 3])
    dots = points.mark_circle(opacity=0.9).encode(size=alt.Size("footprints:Q", legend=None))
    return alt.layer(dashed.encode(x=x, y=y), points.mark_line(), dots).properties(
        title="Calibration (reliability diagram)", width=_PLOT_PX, height=_PLOT_PX + _MARGIN_PX
    )
