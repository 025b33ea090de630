"""Ensemble form: combine runs by the mean of their predictions."""

from collections.abc import Sequence

import streamlit as st

from app.components.common.text import counted
from app.components.jobs.job_buttons import queue
from core.inference.ensemble import are_compatible
from core.runs.run import Run
from core.tasks.predict import submit_ensemble


def ensemble_form(runs: Sequence[Run], base_run: Run) -> None:
    """Draw the form with runs compatible with the selected one; nothing if there is none."""
    candidates = {run.name: run for run in runs if run.name != base_run.name and are_compatible(run, base_run)}
    if not candidates:
        return
    with st.expander("Build an ensemble"):
        st.caption("An ensemble predicts the mean of several runs and takes as long as all of them together.")
        names = st.multiselect(
            "Other runs", list(candidates), format_func=lambda name: candidates[name].config.name or name
        )
        if st.button("Create ensemble", disabled=not names, icon=":material/join:", width="stretch"):
            submit_ensemble([base_run, *(candidates[name] for name in names)], queue())
            st.toast(f"Ensemble of {counted(len(names) + 1, 'run')} queued.")
