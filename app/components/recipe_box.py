"""The part of a training's configuration that most people leave as it is."""

from typing import Any

import streamlit as st

from app import state
from core.jobs.resources import Resources
from core.runs import PRECISIONS
from core.settings import settings
from core.training import networks

_SEED = "seed box"
_SCALINGS = {
    "percentile": "2nd to 98th percentile of the training tiles",
    "thesis": "the thesis's: /255, and /65535 for 16 bits",
}
_SCHEDULES = {"constant": "stays the same", "cosine": "falls to nearly nothing (cosine)"}
_PRECISION_WORDS = {
    "auto": "what the device does best", "float32": "32 bits everywhere", "bfloat16": "bfloat16, mixed",
    "float16": "float16, mixed",
}  # fmt: skip


def recipe_box() -> dict[str, Any]:
    """Network, learning and recipe, as `TrainingConfig.of` takes them."""
    with st.expander("Network and recipe"):
        network = st.selectbox("Network", list(networks()), format_func=lambda name: networks()[name].title)
        options = {}
        if "batch_norm" in networks()[network].options:
            words = "The variant the thesis's text describes."
            options["batch_norm"] = st.checkbox("Batch-normalised variant", help=words)
        scaling = st.selectbox("Scaling of the pixels", _SCALINGS, format_func=_SCALINGS.__getitem__)
        return {"network": network, "options": options, "recipe": {"scaling": scaling}, **_learning()}


def _learning() -> dict[str, Any]:
    batch = st.number_input(
        "Crops a step", 1, 256, 8, help="Halved by itself where the memory is not enough; the log says so."
    )
    rate = st.number_input("Learning rate", 1e-6, 1.0, 1e-3, format="%.6f")
    schedule = st.selectbox("The learning rate …", _SCHEDULES, format_func=_SCHEDULES.__getitem__)
    patience = st.number_input(
        "Stop after so many epochs without a better one", 0, 1000, 0,
        help="Early stopping by the building IoU on the validation ground; 0 trains all epochs.",
    )  # fmt: skip
    augment = st.checkbox(
        "Turn and mirror the crops", help="Augmentation: each crop in one of the eight symmetries of the square."
    )
    precision = st.selectbox("Arithmetic", PRECISIONS, format_func=_PRECISION_WORDS.__getitem__)
    seed = st.number_input(
        "Seed", 0, 2**32 - 1, state.seed(), key=_SEED, on_change=_keep_seed,
        help="The same seed gives the same split and the same losses.",
    )  # fmt: skip
    return {
        "batch": batch, "learning_rate": rate, "schedule": schedule, "patience": patience, "augment": augment,
        "precision": precision, "seed": seed,
    }  # fmt: skip


def _keep_seed() -> None:
    """Before the page runs: the split is told above the box."""
    state.use_seed(st.session_state[_SEED])


def resources_box() -> Resources:
    """GPUs and nodes, where jobs run on a cluster."""
    if settings().launcher != "ray":
        return Resources()
    nodes_side, gpus_side = st.columns(2)
    nodes = nodes_side.number_input("Nodes", 1, 64, 1, help="Machines that train one network together.")
    with gpus_side:
        return Resources(gpus_box("GPUs a node"), nodes)


def gpus_box(words: str) -> int:
    """How many GPUs a job asks a cluster for; 0 where jobs run on one machine, which gives all it has."""
    if settings().launcher != "ray":
        return 0
    return st.number_input(words, 0, 16, 0, help="Ray starts the job when so many are free.")
