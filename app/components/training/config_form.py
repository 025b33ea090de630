"""Custom training settings: network, normalization, optimizer, augmentation and resources."""

from dataclasses import asdict
from typing import Any

import streamlit as st

from app import state
from core.datasets.config import band_count
from core.jobs.job import Resources
from core.runs.config import PRECISIONS, TrainingConfig
from core.settings import settings
from core.training.presets import REFIT_SHARE, recommended
from core.training.train import networks

_SEED = "seed box"
_OPTIONS = {
    "copies": "Ensemble size", "batch_norm": "Batch normalization", "width": "Base filters (width)",
    "imagenet": "ImageNet-pretrained encoder (if available)", "members": "Ensemble members (joined by +)",
}  # fmt: skip
_HELP = {
    "copies": "Networks that are trained side by side. Their mean is the prediction.",
    "width": "Filters of the first layers. Deeper layers have a multiple of it.",
    "members": "Names of networks, such as unet+fcn. Their mean is the prediction.",
}  # fmt: skip
#: Minimum, maximum and step of integer options; others have those of a width.
_INT_RANGES = {"copies": (1, 8, 1)}
_NORMALIZATIONS = {
    "percentile": "Percentile stretch (2–98 % of the training tiles)",
    "thesis": "Divide by max (255 or 65,535), as in the original thesis",
}
_SCHEDULES = {"constant": "Constant", "cosine": "Cosine decay"}
_PRECISION_LABELS = {
    "auto": "Automatic", "float32": "float32", "bfloat16": "bfloat16 (mixed)", "float16": "float16 (mixed)",
}  # fmt: skip


def config_form() -> dict[str, Any]:
    """Draw the settings with the network's recommended defaults; returns values for `TrainingConfig.of`."""
    with st.expander("Model and hyperparameters"):
        network = st.selectbox("Network", list(networks()), format_func=lambda name: networks()[name].title)
        defaults = recommended(network)
        options = {name: _option(network, name, value) for name, value in networks()[network].options.items()}
        normalization = st.selectbox("Normalization", _NORMALIZATIONS, format_func=_NORMALIZATIONS.__getitem__)
        gsd = st.number_input(
            "Model resolution (GSD, m/pixel)", 0.0, 10.0, defaults.dataset.gsd_m, 0.05, key=f"gsd of {network}",
            help="Tiles are resampled to it. 0 resizes every tile to 512 × 512 pixels, as in the original thesis.",
        )  # fmt: skip
        infrared = st.checkbox(
            "Use near-infrared (if all tiles have it)", defaults.dataset.infrared, key=f"infrared of {network}",
            help="WorldView band 8. The model then predicts only tiles that have it.",
        )  # fmt: skip
        changes = {"normalization": normalization, "gsd_m": gsd, "bands": band_count(infrared)}
        dataset = asdict(defaults.dataset) | changes
        optimizer = _optimizer_settings(defaults)
        return asdict(defaults) | {"network": network, "options": options, "dataset": dataset, **optimizer}


def _option(network: str, name: str, value: Any) -> Any:
    """Draw a field for an option of the network."""
    label, key = _OPTIONS.get(name, name), f"{name} of {network}"
    if isinstance(value, bool):
        return st.checkbox(label, value, key=key, help=_HELP.get(name))
    if isinstance(value, int):
        minimum, maximum, step = _INT_RANGES.get(name, (4, 256, 4))
        return st.number_input(label, minimum, maximum, value, step, key=key, help=_HELP.get(name))
    return st.text_input(label, value, key=key, help=_HELP.get(name))


def _optimizer_settings(defaults: TrainingConfig) -> dict[str, Any]:
    """Draw optimizer and augmentation settings; each network has its own widgets and defaults."""
    network = defaults.network
    batch = st.number_input(
        "Batch size", 1, 256, defaults.batch, help="Halved automatically if memory runs out.",
        key=f"batch of {network}",
    )  # fmt: skip
    rate = st.number_input("Learning rate", 1e-6, 1.0, defaults.learning_rate, format="%.6f", key=f"rate of {network}")
    schedule = st.selectbox(
        "Learning-rate schedule", _SCHEDULES, [*_SCHEDULES].index(defaults.schedule), _SCHEDULES.__getitem__,
        key=f"schedule of {network}",
    )  # fmt: skip
    patience = st.number_input(
        "Early-stopping patience (epochs, 0 = off)", 0, 1000, 0,
        help="Training stops after this many epochs without improvement on the validation data.",
    )  # fmt: skip
    augment = st.checkbox(
        "Augmentation: flips and rotations", defaults.augment, key=f"augment of {network}",
        help="Each crop is shown in one of the eight symmetries of the square (D4).",
    )  # fmt: skip
    strong = st.checkbox(
        "Augmentation: scale, rotation, color, cutout", defaults.strong_augmentation, key=f"vary of {network}",
        help="Random zoom, angle, brightness and haze, and a masked patch.",
    )  # fmt: skip
    refit = defaults.dataset.crops == "drawn" and st.checkbox(
        "Final refit on training + validation data", defaults.refit > 0, key=f"refit of {network}",
        help="After threshold optimization, the second half of the training uses all tiles. The validation score "
        "is that of the first half.",
    )  # fmt: skip
    precision = st.selectbox("Precision", PRECISIONS, format_func=_PRECISION_LABELS.__getitem__)
    seed = st.number_input(
        "Random seed", 0, 2**32 - 1, state.seed(), key=_SEED,
        # A callback, since it runs before the page: the split is shown above this field.
        on_change=lambda: state.set_seed(st.session_state[_SEED]),
        help="The same seed gives the same split and the same losses.",
    )  # fmt: skip
    return {
        "batch": batch, "learning_rate": rate, "schedule": schedule, "patience": patience, "augment": augment,
        "strong_augmentation": strong, "refit": REFIT_SHARE if refit else 0.0, "precision": precision, "seed": seed,
    }  # fmt: skip


def resources_form() -> Resources:
    """Draw GPUs and nodes if jobs run on a cluster."""
    if settings().launcher != "ray":
        return Resources()
    nodes_side, gpus_side = st.columns(2)
    nodes = nodes_side.number_input("Nodes", 1, 64, 1, help="Machines that train one model together.")
    with gpus_side:
        return Resources(gpus_field("GPUs per node"), nodes)


def gpus_field(label: str) -> int:
    """Draw the number of GPUs that a cluster job requests; 0 on a single machine, where a job uses all."""
    if settings().launcher != "ray":
        return 0
    return st.number_input(label, 0, 16, 0, help="Ray starts the job when this many GPUs are free.")
