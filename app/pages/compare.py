"""Compare: runs beside each other, what differs between them, and two of them on one tile."""

import streamlit as st

from app.components.catalog.empty_states import no_runs
from app.components.prediction.compare_view import both_on_one_tile, curves_view
from app.components.training.runs_table import choose_runs, describe_run, differences_table
from core.catalog.store import read_catalog
from core.evaluation.comparison import differences
from core.runs.metadata import title_of
from core.runs.run import usable_runs
from core.settings import settings

runs = usable_runs(settings().runs)
if not runs:
    no_runs()
    st.stop()

st.subheader("Runs")
chosen = choose_runs(runs)
if len(chosen) == 1:
    st.subheader(title_of(chosen[0]))
    describe_run(chosen[0])
if len(chosen) == 2:
    st.subheader("Both on one tile")
    both_on_one_tile(chosen[0], chosen[1], read_catalog())
if len(chosen) > 1:
    st.subheader("Curves")
    curves_view(chosen)
    st.subheader("Settings that differ")
    differences_table(differences(chosen), {run.name: title_of(run) for run in chosen})
