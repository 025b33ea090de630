"""Hyperparameter sweep: form that submits it, and table of its results."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from app import state
from app.components.common.text import counted, duration, number, plain
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import STATE_LABELS
from core.catalog.tile import Tile
from core.jobs.job import Resources
from core.jobs.queue import State
from core.runs.config import TrainingConfig
from core.tasks.sweep import MAX_TRAININGS, Sweep, results, stop, submit, sweep_names
from core.training.train import networks

_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
_COLUMNS: dict[str, Any] = {
    "iou": st.column_config.NumberColumn("Best IoU (validation)", format="%.3f"),
    "rate": st.column_config.NumberColumn("Learning rate", format="%.5f"),
    "network": "Network", "seed": "Seed", "epochs": "Epochs", "state": "State", "job": "Job",
    "seconds": st.column_config.NumberColumn("Time", format="%.0f s"),
}  # fmt: skip


def sweep_form(tiles: Sequence[Tile], config: Mapping[str, Any], resources: Resources, seconds: float) -> None:
    """Queue a hyperparameter sweep: rates × networks × seeds with the tiles and settings of the form.

    Args:
        tiles: Training tiles.
        config: Settings that all runs share.
        resources: GPUs and machines of a cluster.
        seconds: Estimated duration of one training [s].
    """
    with st.expander("Hyperparameter sweep"):
        rates = st.multiselect("Learning rates", _RATES, [3e-4, 1e-3, 3e-3], format_func=lambda rate: f"{rate:g}")
        selected_networks = st.multiselect("Networks", list(networks()), [config["network"]])
        seeds = st.number_input("Seeds", 1, 20, 1, help="Runs per combination, from the random seed on.")
        name = st.text_input("Sweep name (optional)", max_chars=40).strip()
        sweep = Sweep(
            name or f"sweep {datetime.now(UTC):%d %b %H:%M:%S}", tuple(tile.id for tile in tiles),
            TrainingConfig.of(config), tuple(rates), tuple(selected_networks),
            tuple(range(config["seed"], config["seed"] + seeds)), resources,
        )  # fmt: skip
        count = len(sweep)
        st.caption(
            f"{counted(count, 'run')}, about {duration(count * seconds)} in sequence, or in parallel on a cluster. "
            "Runs at low priority."
        )
        is_valid = bool(tiles) and 0 < count <= MAX_TRAININGS
        label = f"Train all {number(count)}" if count else "Select rates and networks"
        if st.button(label, disabled=not is_valid, icon=":material/grid_view:", width="stretch"):
            jobs = submit(sweep, queue())
            state.watch(jobs[0].id)
            st.toast(f"{counted(len(jobs), 'job')} queued.")


@st.fragment(run_every=3)
def sweep_results() -> None:
    """Show the runs of a sweep, best first; nothing without a sweep."""
    names = sweep_names()
    if not names:
        return
    st.markdown("**Sweeps**")
    name = st.selectbox("Sweep", names, key="sweep", label_visibility="collapsed")
    frame = results(name)
    remaining = int(frame["state"].isin([State.QUEUED, State.RUNNING]).sum())
    table = frame.assign(state=[STATE_LABELS[State(value)][0] for value in frame["state"]])
    st.dataframe(
        table, hide_index=True, width="stretch", column_order=list(_COLUMNS), column_config=_COLUMNS, placeholder="–"
    )
    if remaining:
        with st.popover(f"Stop remaining runs ({number(remaining)})", icon=":material/stop:"):
            st.write(f"Stops the running and queued runs of {plain(name)}. Finished runs are kept.")
            if st.button("Stop runs", icon=":material/stop:", key=f"stop sweep {name}"):
                stop(name, queue())
                st.rerun()
