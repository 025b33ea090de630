"""Predict: what a run sees on a tile, the truth beside it, and the score."""

import streamlit as st

from app.components.catalog.empty_states import empty_catalog, no_runs, not_downloaded
from app.components.catalog.tile_inspector import choose_tile, tile_name
from app.components.common.tabs import lazy_tabs
from app.components.prediction import prediction_view
from app.components.prediction.area_view import area_view
from app.components.prediction.ensemble_form import combine_box
from app.components.prediction.evaluation_view import areas_table, charts, evaluation_of, worst_first
from app.components.prediction.export_view import take_home
from app.components.prediction.predict_form import choose_run, predict_button, tile_needs_bands
from app.components.prediction.review_view import decide_by_key, listen, review_view
from core.catalog.store import read_catalog
from core.inference.tile_prediction import predicted
from core.runs.metadata import offered
from core.runs.run import usable_runs
from core.settings import settings

catalog, runs = read_catalog(), offered(usable_runs(settings().runs))
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
    combine_box(runs, run)
    tile = choose_tile(catalog)
    tile_name(tile)
    if not tile.is_readable:
        not_downloaded(tile)
        st.stop()
    found = predicted(run.name, tile.id)
    click = listen(found)
    shaping = found.tuning.shaping
    if not tile_needs_bands(tile, run):
        predict_button(found)
    area_view(run, catalog.of_aoi(tile.aoi).here.tiles)
    if found.exists:
        shaping = prediction_view.shaping_box(found)
        prediction_view.score_view(found.score(shaping), len(found.footprints(shaping)), found.seen_before)
with map_side:
    prediction_view.prediction_map(found, shaping)
    if found.exists:
        decide_by_key(found, shaping, click)
        area = catalog.of_aoi(tile.aoi)
        lazy_tabs("predict tab", {
            "Buildings": lambda: review_view(found, shaping),
            "Worst first": lambda: worst_first(evaluation_of(run, area.labelled.tiles, shaping)),
            "Curves": lambda: charts(evaluation_of(run, area.labelled.tiles, shaping), found, shaping),
            "By area": lambda: areas_table(evaluation_of(run, catalog.labelled.tiles, shaping)),
            "Side by side": lambda: prediction_view.truth_beside(found, shaping),
            "Take home": lambda: take_home(found, shaping, area.here.tiles),
        })  # fmt: skip
