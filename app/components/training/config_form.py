"""The part of a training's configuration that most people leave as it is."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from app import state
from core.datasets.config import bands_of
from core.jobs.job import Resources
from core.runs.config import PRECISIONS, TrainingConfig
from core.settings import settings
from core.training.presets import REFIT, recommended
from core.training.train import networks

_SEED = "seed box"
_OPTIONS = {
    "copies": "Copies that learn side by side: their mean predicts",
    "batch_norm": "Batch-normalised variant", "width": "Width: filters of the first layers",
    "imagenet": "Begin with ImageNet's weights, if they can be had", "members": "Networks, with + between",
}  # fmt: skip
#: Lowest, highest and step of whole numbers that are not a width.
_WHOLE = {"copies": (1, 8, 1)}
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
    """Network, learning and recipe, as `TrainingConfig.of` takes them; they begin as is best for the network."""
    with st.expander("Network and recipe"):
        network = st.selectbox("Network", list(networks()), format_func=lambda name: networks()[name].title)
        best = recommended(network)
        options = {name: _option(network, name, value) for name, value in networks()[network].options.items()}
        scaling = st.selectbox("Scaling of the pixels", _SCALINGS, format_func=_SCALINGS.__getitem__)
        gsd = st.number_input(
            "Metres a pixel of the network", 0.0, 10.0, best.recipe.gsd_m, 0.05, key=f"gsd of {network}",
            help="Tiles are resampled to it; 0 makes every tile a picture of 512 × 512 pixels, as in the thesis.",
        )  # fmt: skip
        infrared = st.checkbox(
            "Near infrared, too, where all the tiles have it", best.recipe.infrared, key=f"infrared of {network}",
            help="WorldView's eighth band. The network then predicts only tiles that have it.",
        )  # fmt: skip
        recipe = asdict(best.recipe) | {"scaling": scaling, "gsd_m": gsd, "bands": bands_of(infrared)}
        return asdict(best) | {"network": network, "options": options, "recipe": recipe, **_learning(best)}


def _option(network: str, name: str, value: Any) -> Any:
    """One of the network's own options."""
    words, key = _OPTIONS.get(name, name), f"{name} of {network}"
    if isinstance(value, bool):
        return st.checkbox(words, value, key=key)
    if isinstance(value, int):
        low, high, step = _WHOLE.get(name, (4, 256, 4))
        return st.number_input(words, low, high, value, step, key=key)
    return st.text_input(words, value, key=key)


def _learning(best: TrainingConfig) -> dict[str, Any]:
    """How it learns; the boxes are others for every network, since they begin elsewhere."""
    network = best.network
    batch = st.number_input(
        "Crops a step", 1, 256, best.batch, help="Halved by itself where the memory is not enough; the log says so.",
        key=f"batch of {network}",
    )  # fmt: skip
    rate = st.number_input("Learning rate", 1e-6, 1.0, best.learning_rate, format="%.6f", key=f"rate of {network}")
    schedule = st.selectbox(
        "The learning rate …", _SCHEDULES, [*_SCHEDULES].index(best.schedule), format_func=_SCHEDULES.__getitem__,
        key=f"schedule of {network}",
    )  # fmt: skip
    patience = st.number_input(
        "Stop after so many epochs without a better one", 0, 1000, 0,
        help="Early stopping by what is found on the validation ground; 0 trains all epochs.",
    )  # fmt: skip
    augment = st.checkbox(
        "Turn and mirror the crops", best.augment, key=f"augment of {network}",
        help="Augmentation: each crop in one of the eight symmetries of the square.",
    )  # fmt: skip
    vary = st.checkbox(
        "Other scale, angle and light", best.vary, key=f"vary of {network}",
        help="Augmentation: nearer or farther, rotated, brighter, hazier, with a hole.",
    )  # fmt: skip
    refit = best.recipe.crops == "drawn" and st.checkbox(
        "Learn from the validation ground at the end", best.refit > 0, key=f"refit of {network}",
        help="Once the thresholds are found there, the second half of the training learns from all tiles. The score "
        "that was measured is then that of the first half.",
    )  # fmt: skip
    precision = st.selectbox("Arithmetic", PRECISIONS, format_func=_PRECISION_WORDS.__getitem__)
    seed = st.number_input(
        "Seed", 0, 2**32 - 1, state.seed(), key=_SEED, on_change=_keep_seed,
        help="The same seed gives the same split and the same losses.",
    )  # fmt: skip
    return {
        "batch": batch, "learning_rate": rate, "schedule": schedule, "patience": patience, "augment": augment,
        "vary": vary, "refit": REFIT if refit else 0.0, "precision": precision, "seed": seed,
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
