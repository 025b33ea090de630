"""What to train on, and how: the form that submits a training job."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import counted, distinct, duration, number, plain
from app.components.jobs.job_buttons import queue
from app.components.training.config_form import recipe_box, resources_box
from app.components.training.sweep_form import sweep_box
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.datasets.spatial_split import split
from core.runs.config import TrainingConfig
from core.runs.run import seconds_a_tile
from core.settings import settings
from core.tasks.train import ends_together, submit_training
from core.training.presets import MANY, PRESETS, Preset
from core.training.train import networks

#: Seconds for one tile and epoch on two cores without a GPU: 2 were seen for one tile alone, 4 for ten together.
_TWO_CORES_S = 3.0
#: No more tiles than this are chosen by default: each takes seconds an epoch.
MOST_TILES = 32
#: No more than this are offered by name: the names travel to the browser at every click.
_OFFERED = 200
_BASKET, _AREA = "Basket", "An area"
#: The choice beside the presets.
OWN = "own"


def train_form(catalog: Catalog) -> None:
    """Area, tiles, network and epochs; one button that puts the job into the queue."""
    chosen = _choose(catalog)
    aoi = _area_name(chosen)
    buildings = sum(tile.buildings or 0 for tile in chosen)
    facts = st.empty()  # which of the bands are used is chosen below
    _say_split(chosen)
    preset = _preset()
    config = asdict(preset.config) | {"seed": state.seed()} if preset else _own(len(chosen))
    channels = _channels(chosen, config["recipe"]["bands"])
    facts.caption(f"{counted(len(chosen), 'tile')}, {counted(buildings, 'building')}, {channels}")
    resources = resources_box()
    name = st.text_input("Name", placeholder="made from area and time", max_chars=60).strip()
    config["name"] = name or f"{aoi}, {counted(len(chosen), 'tile')}"
    cannot = not chosen or not ends_together(config["minutes"], resources)
    if chosen and cannot:
        st.warning("Several nodes end together by epochs, not by the clock: choose *My own settings*, and epochs.")
    if st.button("Train", type="primary", width="stretch", icon=":material/play_arrow:", disabled=cannot):
        job = submit_training(queue(), [tile.id for tile in chosen], TrainingConfig.of(config), aoi, resources)
        state.watch(job.id)
        st.toast(f"Job {job.id} is in the queue.")
    minutes = config["minutes"]
    seconds = 60 * minutes if minutes else _seconds(len(chosen) * config["epochs"])[0]
    sweep_box(chosen, config, resources, seconds)


def _preset() -> Preset | None:
    """The ready-made choice, None for one's own settings."""
    words = {name: one.title for name, one in PRESETS.items()} | {OWN: "My own settings"}
    name = st.selectbox("How well", list(words), format_func=words.__getitem__, key="preset")
    if name == OWN:
        return None
    chosen = PRESETS[name]
    st.caption(
        f"{networks()[chosen.network].title}. Trains {chosen.minutes:g} minutes on the clock on whatever this machine "
        "has; the tiles are read before that."
    )
    return chosen


def _own(tiles: int) -> dict[str, Any]:
    """Epochs, or minutes, and everything else that can be chosen."""
    by_clock = st.toggle("End by the clock", help="The learning rate's schedule then ends with the minutes.")
    if by_clock:
        minutes = st.number_input("Minutes", 1, 10_000, 10)
        return recipe_box() | {"minutes": float(minutes), "epochs": MANY}
    epochs = st.number_input("Epochs", 1, 1000, 10, help="How often as many crops as the tiles have are seen.")
    _say_how_long(tiles * epochs)
    return recipe_box() | {"epochs": epochs, "minutes": 0.0}


def _choose(catalog: Catalog) -> list[Tile]:
    """The tiles of the basket, or of one area."""
    picked = [tile for tile in catalog.named(state.basket()) if tile.is_labelled]
    if picked:
        source = st.segmented_control("Train on", [_BASKET, _AREA], default=_BASKET, required=True)
        if source == _BASKET:
            _change_basket()
            return picked
    labelled = catalog.labelled
    aoi = st.selectbox("Area", labelled.aois, index=_place(labelled, state.selected_tile(catalog)))
    tiles = labelled.of_aoi(aoi).tiles
    by_id = {tile.id: tile for tile in tiles[:_OFFERED]}
    labels = distinct({name: _label(tile) for name, tile in by_id.items()})
    chosen = st.multiselect(
        "Tiles", list(by_id), _first(tiles), format_func=lambda name: labels.get(name, name), key=f"tiles of {aoi}",
        help="About a fifth of the tiles is kept for validation; they are never neighbours of those trained on.",
    )  # fmt: skip
    if len(tiles) > _OFFERED:
        st.caption(f"{number(len(tiles) - _OFFERED)} more can be chosen on the map in Explore.")
    return [by_id[name] for name in chosen if name in by_id]


def _change_basket() -> None:
    with st.container(horizontal=True):
        if st.button("Choose on the map", icon=":material/map:"):
            go_to("explore")
        if state.can_undo() and st.button("Undo", icon=":material/undo:", help="The basket as it was before"):
            state.undo()
            st.rerun()


def _first(tiles: Sequence[Tile]) -> list[str]:
    """Ids of the first tiles with buildings."""
    with_buildings = [tile.id for tile in tiles[:_OFFERED] if tile.buildings]
    return (with_buildings or [tile.id for tile in tiles])[:MOST_TILES]


def _area_name(tiles: Sequence[Tile]) -> str:
    aois = list(dict.fromkeys(tile.aoi for tile in tiles))
    return aois[0] if len(aois) == 1 else f"{len(aois)} areas"


def _say_split(tiles: Sequence[Tile]) -> None:
    notes = split(tiles, state.seed()).notes
    if notes:
        st.caption(" ".join(map(plain, notes)))


def _say_how_long(tile_epochs: int) -> None:
    seconds, why = _seconds(tile_epochs)
    if tile_epochs:
        st.caption(f"About {duration(seconds)}{why}")


def _seconds(tile_epochs: int) -> tuple[float, str]:
    """How long a training takes, and what tells so."""
    found = seconds_a_tile(settings().runs)
    if found is not None:
        return found * tile_epochs, ", going by the last run on this machine."
    return _TWO_CORES_S * tile_epochs, " on two cores, much less on a GPU."


def _place(catalog: Catalog, tile: Tile) -> int:
    return catalog.aois.index(tile.aoi) if tile.aoi in catalog.aois else 0


def _label(tile: Tile) -> str:
    return f"{tile.short_id} · {tile.buildings} buildings"


def _channels(tiles: list[Tile], bands: int) -> str:
    eight = not bands and bool(tiles) and all(tile.eight_bands for tile in tiles)
    return "4 channels (red, green, blue and band 8)" if eight else "3 channels"
