"""Many trainings at once: the box that submits a sweep, and the table of what came of one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from app import state
from app.components.common.text import counted, duration, number, plain
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import WORDS
from core.catalog.tile import Tile
from core.jobs.job import Resources
from core.jobs.queue import State
from core.runs.config import TrainingConfig
from core.tasks.sweep import MOST_TRAININGS, Sweep, results, stop, submit, sweep_names
from core.training.train import networks

_RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
_SHOWN: dict[str, Any] = {
    "iou": st.column_config.NumberColumn("Best IoU (validation)", format="%.3f"),
    "rate": st.column_config.NumberColumn("Learning rate", format="%.5f"),
    "network": "Network", "seed": "Seed", "epochs": "Epochs", "state": "State", "job": "Job",
    "seconds": st.column_config.NumberColumn("Seconds", format="%.0f"),
}  # fmt: skip


def sweep_box(tiles: Sequence[Tile], config: Mapping[str, Any], resources: Resources, seconds: float) -> None:
    """Rates × networks × seeds over the form's tiles and settings; `seconds` is how long one training may take."""
    with st.expander("Sweep: many trainings at once"):
        rates = st.multiselect("Learning rates", _RATES, [3e-4, 1e-3, 3e-3], format_func=lambda rate: f"{rate:g}")
        chosen = st.multiselect("Networks", list(networks()), [config["network"]])
        seeds = st.number_input("Seeds", 1, 20, 1, help="So many trainings of each kind, from the form's seed on.")
        name = st.text_input("Name of the sweep", placeholder="made from the time", max_chars=40).strip()
        sweep = Sweep(
            name or f"sweep {datetime.now(UTC):%d %b %H:%M:%S}", tuple(tile.id for tile in tiles),
            TrainingConfig.of(config), tuple(rates), tuple(chosen),
            tuple(range(config["seed"], config["seed"] + seeds)), resources,
        )  # fmt: skip
        count = len(sweep)
        st.caption(
            f"{counted(count, 'training')}, about {duration(count * seconds)} one after the other; "
            "on a cluster they run side by side. They start after what others wait for (low priority)."
        )
        possible = bool(tiles) and 0 < count <= MOST_TRAININGS
        words = f"Train all {number(count)}" if count else "Choose rates and networks"
        if st.button(words, disabled=not possible, icon=":material/grid_view:", width="stretch"):
            jobs = submit(sweep, queue())
            state.watch(jobs[0].id)
            st.toast(f"{counted(len(jobs), 'job')} are in the queue.")


@st.fragment(run_every=3)
def sweep_results() -> None:
    """One row a training of the chosen sweep, the best first; nothing where there was no sweep."""
    names = sweep_names()
    if not names:
        return
    st.markdown("**Sweeps**")
    name = st.selectbox("Sweep", names, key="sweep", label_visibility="collapsed")
    found = results(name)
    left = int(found["state"].isin([State.QUEUED, State.RUNNING]).sum())
    shown = found.assign(state=[WORDS[State(value)][0] for value in found["state"]])
    st.dataframe(
        shown, hide_index=True, width="stretch", column_order=list(_SHOWN), column_config=_SHOWN, placeholder="–"
    )
    if left:
        with st.popover(f"Stop what is left ({counted(left, 'training')})", icon=":material/stop:"):
            st.write(f"What trains or waits for {plain(name)} is stopped; runs that are done stay.")
            if st.button("Stop them", icon=":material/stop:", key=f"stop sweep {name}"):
                stop(name, queue())
                st.rerun()
