"""Comparison of runs: training curves in one plot, and a swipe map of two runs on a tile."""

from collections.abc import Sequence

import altair as alt
import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import plain
from app.components.map.tile_map import VERDICT_STYLE, MapLayer, labels_version, layer_url, tile_layers, tile_map
from app.components.training.runs_table import tiles_table
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.evaluation.comparison import compare_tiles, learning_curves
from core.inference.tile_prediction import TilePrediction, all_predictions
from core.rendering import colors
from core.review.decisions import FILE as REVIEW
from core.runs.metadata import display_name
from core.runs.run import Run

_MEASURES = {
    "val_f1": "Building F1 (validation)", "val_iou": "Pixel IoU (validation)", "val_loss": "Loss (validation)",
    "loss": "Loss (training)",
}  # fmt: skip
_AXES = {"minutes": "time (min)", "epoch": "epoch"}
_CHANGE_STYLE = {
    "color": "#00000000", "weight": 0,
    "by": {
        "gained": {"color": colors.TRUE_POSITIVE, "fill": 0.4, "weight": 3},
        "lost": {"color": colors.FALSE_NEGATIVE, "dash": "2 5", "fill": 0.25, "weight": 3},
    },
}  # fmt: skip


def curves_view(runs: Sequence[Run]) -> None:
    """Plot a metric of the selected runs against minutes or epochs."""
    metric_side, axis_side = st.columns(2)
    metric = metric_side.selectbox("Metric", _MEASURES, format_func=_MEASURES.__getitem__)
    axis = axis_side.segmented_control("X axis", _AXES, default="minutes", format_func=_AXES.__getitem__, required=True)
    frame = learning_curves(runs).dropna(subset=[metric])
    if frame.empty:
        st.caption("No data for this metric.")
        return
    lines = alt.Chart(frame).mark_line(point=alt.OverlayMarkDef(size=18))
    chart = lines.encode(
        x=alt.X(f"{axis}:Q", title=_AXES[axis]),
        y=alt.Y(f"{metric}:Q", title=_MEASURES[metric], scale=alt.Scale(zero=False)),
        color=alt.Color("run:N", title=None, legend=alt.Legend(orient="top", labelLimit=300)),
        tooltip=["run", "epoch", alt.Tooltip("minutes:Q", format=".1f"), alt.Tooltip(f"{metric}:Q", format=".3f")],
    )  # fmt: skip
    st.altair_chart(chart.properties(height=320), width="stretch")


def shared_tiles(run_a: Run, run_b: Run, catalog: Catalog) -> list[tuple[TilePrediction, TilePrediction]]:
    """List labeled tiles that both runs have predicted.

    Args:
        run_a: First run.
        run_b: Second run.
        catalog: The catalog.

    Returns:
        Pairs of predictions.
    """
    by_tile = {prediction.tile.id: prediction for prediction in all_predictions(run_b, catalog.labeled.tiles)}
    predictions_a = all_predictions(run_a, catalog.labeled.tiles)
    return [(prediction, by_tile[prediction.tile.id]) for prediction in predictions_a if prediction.tile.id in by_tile]


def side_by_side(run_a: Run, run_b: Run, catalog: Catalog) -> None:
    """Show the swipe map of two runs and the tiles on which they differ most.

    Args:
        run_a: Run left of the handle.
        run_b: Run right of it.
        catalog: The catalog.
    """
    pairs = shared_tiles(run_a, run_b, catalog)
    if not pairs:
        st.info(
            f"No labeled tile is predicted by both runs. Predict the same tiles with {plain(display_name(run_a))} and "
            f"{plain(display_name(run_b))}. On the Predict page, *Predict all tiles* covers a whole area.",
            icon=":material/compare:",
        )  # fmt: skip
        if st.button("Open Predict", icon=":material/home_pin:"):
            go_to("predict")
        return
    map_side, table_side = st.columns([2, 1], gap="medium")
    with st.spinner("Scoring tiles …"):
        frame = compare_tiles(run_a, run_b, pairs)
    with table_side:
        selected_tile = tiles_table(frame, {run.name: display_name(run) for run in (run_a, run_b)})
    tile_id = selected_tile or str(frame.iloc[0]["tile"])
    pair = next(pair for pair in pairs if pair[0].tile.id == tile_id)
    with map_side:
        _swipe_map(pair)


def _swipe_map(pair: tuple[TilePrediction, TilePrediction]) -> None:
    tile = pair[0].tile
    if state.selected_tile_id() != tile.id:
        state.select(tile)
    layers = [item for item in tile_layers(tile) if item.key in ("image", "outlines")]
    for key, prediction in zip(("first", "second"), pair, strict=True):
        version = labels_version(tile, prediction.probability, prediction.folder / REVIEW)
        url = layer_url("predictions", prediction.run.name, tile.id, "verdicts.geojson") + version
        layers.append(MapLayer(key, url, "vector", hover=True, style=VERDICT_STYLE, pane=key))
    layers.append(_changes_layer(pair, tile))
    title_a, title_b = (
        f"{letter} · {display_name(prediction.run)}" for letter, prediction in zip("AB", pair, strict=True)
    )
    st.markdown(f"**{plain(tile.title)}**: {plain(title_a)} ◂ ▸ {plain(title_b)}")
    rows = ("image", "outlines", "first", "second", "changes")
    tile_map(layers, rows, state.map_focus(), tile.id, sides=(title_a, title_b), key="compare")


def _changes_layer(pair: tuple[TilePrediction, TilePrediction], tile: Tile) -> MapLayer:
    names = [prediction.run.name for prediction in pair]
    version = labels_version(tile, *(prediction.probability for prediction in pair))
    url = layer_url("changes", *names, tile.id, "changes.geojson") + version
    return MapLayer("changes", url, "vector", hover=True, style=_CHANGE_STYLE)
