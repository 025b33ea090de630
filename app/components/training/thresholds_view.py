"""What was found for a run on its validation ground: thresholds, the second look, and how far to believe it."""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd
import streamlit as st

from app.components.catalog.tile_inspector import table
from core.metrics.calibration import Bin
from core.postprocessing.thresholds import tuning_of
from core.rendering import colors
from core.runs.run import Run

_EVEN = "#8B949E"
#: Of the square plot in pixels, for which a narrow screen has room; and its title and legend.
_SIDE, _AROUND = 280, 80


def tuning_view(run: Run) -> None:
    """Nothing before a run is tuned."""
    if not run.tuned:
        return
    tuning = tuning_of(run)
    shaping = tuning.shaping
    facts = {
        "F1 of the validation ground": _number(tuning.f1),
        "Building from probability": f"{shaping.threshold:g}",
        "Neighbours part at level": f"{shaping.seed:g}" if shaping.seed else "never",
        "Smallest building": f"{shaping.min_area_m2:g} m²",
    }
    if tuning.judged_f1 is not None:
        facts["F1 after a second look"] = _number(tuning.judged_f1)
    since = ", before it was learned from" if tuning.refitted else ""
    st.markdown(f"**Thresholds**, found on the validation ground{since}")
    table(facts)
    if tuning.raw:
        st.altair_chart(reliability_chart({"before": tuning.raw, "calibrated": tuning.calibrated}), width="content")
        st.caption(
            "On the dashed line, seven of ten footprints with a confidence of 0.7 find a building (IoU above 0.5)."
        )


def _number(value: float | None) -> str:
    return "not scored" if value is None else f"{value:.3f}"


def reliability_chart(kinds: Mapping[str, Sequence[Bin]]) -> alt.LayerChart | alt.FacetChart:
    """Confidence against the share that found a building; the size of a point is how many footprints it stands for."""
    rows = [
        {"kind": kind, "confidence": one.confidence, "found": one.found, "footprints": one.count}
        for kind, bins in kinds.items()
        for one in bins
    ]
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(tickCount=5, format=".1f")
    x = alt.X("confidence:Q", title="confidence", scale=scale, axis=axis)
    y = alt.Y("found:Q", title="share that finds a building", scale=scale, axis=axis)
    colour = alt.Color(
        "kind:N", title=None,
        scale=alt.Scale(domain=list(kinds), range=[_EVEN, colors.PREDICTION][-len(kinds) :]),
        legend=alt.Legend(orient="top"),
    )  # fmt: skip
    points = alt.Chart(pd.DataFrame(rows)).encode(
        x=x, y=y, color=colour, tooltip=["kind", alt.Tooltip("confidence", format=".2f"), "footprints",
                                         alt.Tooltip("found", format=".2f")],
    )  # fmt: skip
    even = alt.Chart(pd.DataFrame({"confidence": [0, 1], "found": [0, 1]})).mark_line(color=_EVEN, strokeDash=[4, 3])
    dots = points.mark_circle(opacity=0.9).encode(size=alt.Size("footprints:Q", legend=None))
    return alt.layer(even.encode(x=x, y=y), points.mark_line(), dots).properties(
        title="How far confidence can be believed", width=_SIDE, height=_SIDE + _AROUND
    )
