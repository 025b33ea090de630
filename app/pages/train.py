"""Train: training form, job queue and live curves. Jobs run in a worker, also when the page is closed."""

import streamlit as st

from app.components.catalog.empty_states import empty_catalog, nothing_labelled
from app.components.jobs.queue_view import queue_view
from app.components.training.sweep_form import sweep_results
from app.components.training.train_form import train_form
from app.components.training.training_view import training_view
from core.catalog.store import read_catalog

catalog = read_catalog()
if not catalog.tiles:
    empty_catalog()
    st.stop()
if not catalog.labeled.tiles:
    nothing_labelled()
    st.stop()

watching, form = st.columns([2, 1], gap="medium")
with form:
    train_form(catalog)
    st.markdown("**Job queue**")
    queue_view()
with watching:
    training_view()
    sweep_results()
