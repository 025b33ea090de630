"""Several runs made one: the box that asks for their mean."""

from collections.abc import Sequence

import streamlit as st

from app.components.common.text import counted
from app.components.jobs.job_buttons import queue
from core.inference.ensemble import alike
from core.runs.run import Run
from core.tasks.predict import submit_combination


def combine_box(runs: Sequence[Run], chosen: Run) -> None:
    """Offers the runs that look at the same kind of pixels as the chosen one; nothing where there is no other."""
    others = {run.name: run for run in runs if run.name != chosen.name and alike(run, chosen)}
    if not others:
        return
    with st.expander("Combine it with other runs"):
        st.caption("One run that predicts the mean of several, and takes as long as all of them.")
        names = st.multiselect("Other runs", list(others), format_func=lambda name: others[name].config.name or name)
        if st.button("Combine", disabled=not names, icon=":material/join:", width="stretch"):
            submit_combination([chosen, *(others[name] for name in names)], queue())
            st.toast(f"{counted(len(names) + 1, 'run')} become one, which appears in the list in some seconds.")
