"""Several runs in one plot, and two of them on one tile with a handle between."""

from collections.abc import Sequence

import altair as alt
import pandas as pd
import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import plain
from app.components.map.tile_map import VERDICT_STYLE, MapLayer, labels_version, layer_url, tile_layers, tile_map
from app.components.training.runs_table import tiles_table
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.evaluation.comparison import curves, scored_together
from core.inference.tile_prediction import Predicted, all_predicted
from core.rendering import colors
from core.review.decisions import FILE as REVIEW
from core.runs.metadata import title_of
from core.runs.run import Run

_MEASURES = {
    "val_f1": "F1 of buildings, validation", "val_iou": "IoU of pixels, validation", "val_loss": "loss, validation",
    "loss": "loss, training",
}  # fmt: skip
_AXES = {"minutes": "minutes of training", "epoch": "epoch"}
_CHANGE_STYLE = {
    "color": "#00000000", "weight": 0,
    "by": {
        "gained": {"color": colors.RIGHT, "fill": 0.4, "weight": 3},
        "lost": {"color": colors.MISSED, "dash": "2 5", "fill": 0.25, "weight": 3},
    },
}  # fmt: skip


def curves_view(runs: Sequence[Run]) -> None:
    """One measure of all chosen runs against minutes or epochs."""
    measure_side, axis_side = st.columns(2)
    measure = measure_side.selectbox("Measure", _MEASURES, format_func=_MEASURES.__getitem__)
    axis = axis_side.segmented_control(
        "Against", _AXES, default="minutes", format_func=_AXES.__getitem__, required=True
    )
    frame = curves(runs).dropna(subset=[measure])
    if frame.empty:
        st.caption("None of them was measured so.")
        return
    lines = alt.Chart(frame).mark_line(point=alt.OverlayMarkDef(size=18))
    chart = lines.encode(
        x=alt.X(f"{axis}:Q", title=_AXES[axis]),
        y=alt.Y(f"{measure}:Q", title=_MEASURES[measure], scale=alt.Scale(zero=False)),
        color=alt.Color("run:N", title=None, legend=alt.Legend(orient="top", labelLimit=300)),
        tooltip=["run", "epoch", alt.Tooltip("minutes:Q", format=".1f"), alt.Tooltip(f"{measure}:Q", format=".3f")],
    )  # fmt: skip
    st.altair_chart(chart.properties(height=320), width="stretch")


def tiles_of_both(one: Run, other: Run, catalog: Catalog) -> list[tuple[Predicted, Predicted]]:
    """Labelled tiles that both runs have predicted."""
    second = {found.tile.id: found for found in all_predicted(other, catalog.labelled.tiles)}
    first = all_predicted(one, catalog.labelled.tiles)
    return [(found, second[found.tile.id]) for found in first if found.tile.id in second]


def both_on_one_tile(one: Run, other: Run, catalog: Catalog) -> None:
    """The map with the handle, and the tiles on which the two differ most."""
    pairs = tiles_of_both(one, other, catalog)
    if not pairs:
        st.info(
            f"No labelled tile was predicted by both. Predict the same tiles with {plain(title_of(one))} and with "
            f"{plain(title_of(other))}: on Predict, *The whole area* does all at once.",
            icon=":material/compare:",
        )  # fmt: skip
        if st.button("Go to Predict", icon=":material/home_pin:"):
            go_to("predict")
        return
    map_side, table_side = st.columns([2, 1], gap="medium")
    frame = _scored(one, other, pairs)
    with table_side:
        chosen = tiles_table(frame, {run.name: title_of(run) for run in (one, other)})
    name = chosen or str(frame.iloc[0]["tile"])
    pair = next(pair for pair in pairs if pair[0].tile.id == name)
    with map_side:
        _map(pair)


def _scored(one: Run, other: Run, pairs: Sequence[tuple[Predicted, Predicted]]) -> pd.DataFrame:
    with st.spinner("Scoring the tiles that both have predicted …"):
        return scored_together(one, other, pairs)


def _map(pair: tuple[Predicted, Predicted]) -> None:
    tile = pair[0].tile
    if state.selected_tile_id() != tile.id:
        state.select(tile)
    layers = [item for item in tile_layers(tile) if item.key in ("image", "outlines")]
    for key, found in zip(("first", "second"), pair, strict=True):
        version = labels_version(tile, found.probability, found.folder / REVIEW)
        url = layer_url("predictions", found.run.name, tile.id, "verdicts.geojson") + version
        layers.append(MapLayer(key, url, "vector", hover=True, style=VERDICT_STYLE, pane=key))
    layers.append(_changes(pair, tile))
    left, right = (plain(title_of(found.run)) for found in pair)
    st.markdown(f"**{plain(tile.title)}**: {left} left of the handle, {right} right of it")
    tile_map(layers, ("image", "outlines", "first", "second", "changes"), state.focus(), tile.id, key="compare")


def _changes(pair: tuple[Predicted, Predicted], tile: Tile) -> MapLayer:
    names = [found.run.name for found in pair]
    version = labels_version(tile, *(found.probability for found in pair))
    url = layer_url("changes", *names, tile.id, "changes.geojson") + version
    return MapLayer("changes", url, "vector", hover=True, style=_CHANGE_STYLE)
