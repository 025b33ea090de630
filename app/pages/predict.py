"""Predict: prediction of a run on a tile, compared with the ground truth, with its score."""

import streamlit as st

from app.components.catalog.empty_states import empty_catalog, no_runs, not_downloaded
from app.components.catalog.tile_inspector import choose_tile, tile_name
from app.components.common.tabs import lazy_tabs
from app.components.prediction import prediction_view
from app.components.prediction.area_view import area_view
from app.components.prediction.ensemble_form import ensemble_form
from app.components.prediction.evaluation_view import areas_table, evaluation_of, metrics_charts, worst_tiles
from app.components.prediction.export_view import export_view
from app.components.prediction.predict_form import choose_run, predict_button, tile_needs_bands
from app.components.prediction.review_view import decide_by_key, handle_map_clicks, review_view
from core.catalog.store import read_catalog
from core.inference.tile_prediction import tile_prediction
from core.runs.metadata import not_archived
from core.runs.run import usable_runs
from core.settings import settings

catalog, runs = read_catalog(), not_archived(usable_runs(settings().runs))
if not catalog.tiles:
    empty_catalog()
    st.stop()
if not runs:
    no_runs()
    st.stop()

map_side, facts = st.columns([2, 1], gap="medium")
with facts:
    run = choose_run(runs)
    prediction_view.starter_note(run)
    ensemble_form(runs, run)
    tile = choose_tile(catalog)
    tile_name(tile)
    if not tile.is_readable:
        not_downloaded(tile)
        st.stop()
    prediction = tile_prediction(run.name, tile.id)
    click = handle_map_clicks(prediction)
    config = prediction.thresholds.vectorize
    if not tile_needs_bands(tile, run):
        predict_button(prediction)
    area_view(run, catalog.of_aoi(tile.aoi).downloaded.tiles)
    if prediction.exists:
        config = prediction_view.postprocessing_form(prediction)
        prediction_view.score_view(prediction, config)
with map_side:
    prediction_view.prediction_map(prediction, config)
    if prediction.exists:
        decide_by_key(prediction, config, click)
        area = catalog.of_aoi(tile.aoi)
        lazy_tabs("predict tab", {
            "Review": lambda: review_view(prediction, config),
            "Worst tiles": lambda: worst_tiles(evaluation_of(run, area.labeled.tiles, config)),
            "Metrics": lambda: metrics_charts(evaluation_of(run, area.labeled.tiles, config), prediction, config),
            "By area": lambda: areas_table(evaluation_of(run, catalog.labeled.tiles, config)),
            "Side by side": lambda: prediction_view.ground_truth_toggle(prediction, config),
            "Export": lambda: export_view(prediction, config, area.downloaded.tiles),
        })  # fmt: skip
