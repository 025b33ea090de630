"""Compare: table of runs, differences in settings, and two runs side by side on a tile."""

import streamlit as st

from app.components.catalog.empty_states import no_runs
from app.components.prediction.compare_view import curves_view, side_by_side
from app.components.training.runs_table import choose_runs, describe_run, differences_table
from core.catalog.store import read_catalog
from core.evaluation.comparison import config_differences
from core.runs.metadata import display_name
from core.runs.run import usable_runs
from core.settings import settings

runs = usable_runs(settings().runs)
if not runs:
    no_runs()
    st.stop()

st.subheader("Runs")
selected = choose_runs(runs)
if len(selected) == 1:
    st.subheader(display_name(selected[0]))
    describe_run(selected[0])
if len(selected) == 2:
    st.subheader("Side-by-side on a tile")
    side_by_side(selected[0], selected[1], read_catalog())
if len(selected) > 1:
    st.subheader("Training curves")
    curves_view(selected)
    st.subheader("Differences in settings")
    differences_table(config_differences(selected), {run.name: display_name(run) for run in selected})
