"""Training form: tiles, preset or custom settings, and the job."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import counted, distinct, duration, number, plain
from app.components.jobs.job_buttons import queue
from app.components.training.config_form import config_form, resources_form
from app.components.training.sweep_form import sweep_form
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.datasets.spatial_split import split
from core.runs.config import TrainingConfig
from core.runs.run import seconds_a_tile
from core.settings import settings
from core.tasks.train import ends_together, submit_training
from core.training.presets import PRESETS, UNLIMITED_EPOCHS, Preset
from core.training.train import networks

#: Seconds per tile and epoch on two CPU cores: measured 2 for one tile, 4 for ten.
_TWO_CORES_S = 3.0
#: Tiles selected by default at most: each takes seconds per epoch.
MAX_TILES = 32
#: Tiles listed at most: the names are sent to the browser at every click.
_MAX_OPTIONS = 200
_SELECTION, _AREA = "Selection", "Whole area"
#: Option of the preset box for custom settings.
CUSTOM = "own"


def train_form(catalog: Catalog) -> None:
    """Draw the training form; its button queues the job."""
    tiles = _choose_tiles(catalog)
    aois = list(dict.fromkeys(tile.aoi for tile in tiles))
    aoi = aois[0] if len(aois) == 1 else f"{len(aois)} areas"
    buildings = sum(tile.buildings or 0 for tile in tiles)
    facts = st.empty()  # filled after the bands are chosen below
    _show_split(tiles)
    preset = _preset()
    config = asdict(preset.config) | {"seed": state.seed()} if preset else _custom_config(len(tiles))
    channels = _channels(tiles, config["dataset"]["bands"])
    facts.caption(f"{counted(len(tiles), 'tile')}, {counted(buildings, 'building')}, {channels}")
    resources = resources_form()
    name = st.text_input("Run name (optional)", max_chars=60).strip()
    config["name"] = name or f"{aoi}, {counted(len(tiles), 'tile')}"
    is_invalid = not tiles or not ends_together(config["minutes"], resources)
    if tiles and is_invalid:
        st.warning("Training on several nodes needs a fixed number of epochs. Select *Custom* and set epochs.")
    if st.button("Train", type="primary", width="stretch", icon=":material/play_arrow:", disabled=is_invalid):
        job = submit_training(queue(), [tile.id for tile in tiles], TrainingConfig.of(config), aoi, resources)
        state.watch(job.id)
        st.toast(f"Training queued (job {job.id}).")
    minutes = config["minutes"]
    seconds = 60 * minutes if minutes else _estimate(len(tiles) * config["epochs"])[0]
    sweep_form(tiles, config, resources, seconds)


def _preset() -> Preset | None:
    """Draw the preset box; None for custom settings."""
    titles = {name: preset_.title for name, preset_ in PRESETS.items()} | {CUSTOM: "Custom"}
    name = st.selectbox("Preset", list(titles), format_func=titles.__getitem__, key="preset")
    if name == CUSTOM:
        return None
    preset = PRESETS[name]
    st.caption(f"{networks()[preset.network].title}. {preset.minutes:g} minutes of training, plus loading time.")
    return preset


def _custom_config(tile_count: int) -> dict[str, Any]:
    """Draw epochs or minutes, and the custom settings."""
    is_timed = st.toggle("Train for a fixed time", help="The learning-rate schedule then follows the time.")
    if is_timed:
        minutes = st.number_input("Minutes", 1, 10_000, 10)
        return config_form() | {"minutes": float(minutes), "epochs": UNLIMITED_EPOCHS}
    epochs = st.number_input("Epochs", 1, 1000, 10, help="Passes over the training data.")
    seconds, basis = _estimate(tile_count * epochs)
    if tile_count:
        st.caption(f"Estimated {duration(seconds)} ({basis})")
    return config_form() | {"epochs": epochs, "minutes": 0.0}


def _choose_tiles(catalog: Catalog) -> list[Tile]:
    """Draw the tile fields; returns the selection or tiles of an area."""
    selection = [tile for tile in catalog.named(state.selection()) if tile.is_labeled]
    if selection:
        source = st.segmented_control("Train on", [_SELECTION, _AREA], default=_SELECTION, required=True)
        if source == _SELECTION:
            _selection_buttons()
            return selection
    labeled = catalog.labeled
    current_aoi = state.selected_tile(catalog).aoi
    aoi = st.selectbox("Area", labeled.aois, labeled.aois.index(current_aoi) if current_aoi in labeled.aois else 0)
    tiles = labeled.of_aoi(aoi).tiles
    by_id = {tile.id: tile for tile in tiles[:_MAX_OPTIONS]}
    labels = distinct(
        {tile_id: f"{tile.short_id} · {counted(tile.buildings or 0, 'building')}" for tile_id, tile in by_id.items()}
    )
    with_buildings = [tile_id for tile_id, tile in by_id.items() if tile.buildings]
    default = (with_buildings or list(by_id))[:MAX_TILES]
    tile_ids = st.multiselect(
        "Tiles", list(by_id), default, format_func=lambda tile_id: labels.get(tile_id, tile_id), key=f"tiles of {aoi}",
        help="About a fifth of the tiles is held out for validation. No training tile touches a validation tile.",
    )  # fmt: skip
    if len(tiles) > _MAX_OPTIONS:
        st.caption(f"{number(len(tiles) - _MAX_OPTIONS)} more can be selected on the map in Explore.")
    return [by_id[tile_id] for tile_id in tile_ids if tile_id in by_id]


def _selection_buttons() -> None:
    with st.container(horizontal=True):
        if st.button("Edit selection on the map", icon=":material/map:"):
            go_to("explore")
        if state.can_undo() and st.button("Undo", icon=":material/undo:", help="Restores the previous selection."):
            state.undo()
            st.rerun()


def _show_split(tiles: Sequence[Tile]) -> None:
    notes = split(tiles, state.seed()).notes
    if notes:
        st.caption(" ".join(map(plain, notes)))


def _estimate(tile_epochs: int) -> tuple[float, str]:
    """Estimate the duration of a training, and the basis of the estimate."""
    per_tile = seconds_a_tile(settings().runs)
    if per_tile is not None:
        return per_tile * tile_epochs, "based on your last run"
    return _TWO_CORES_S * tile_epochs, "on two CPU cores, much less on a GPU"


def _channels(tiles: list[Tile], bands: int) -> str:
    use_infrared = not bands and bool(tiles) and all(tile.eight_bands for tile in tiles)
    return "4 channels (RGB and near-infrared)" if use_infrared else "3 channels"
