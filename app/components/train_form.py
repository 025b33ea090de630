"""What to train on, and how: the form that submits a training job."""

from collections.abc import Sequence
from datetime import UTC, datetime
from secrets import token_hex

import streamlit as st

from app import state
from app.components.text import counted, distinct, duration, number, plain
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.jobs.store import Job, Queue
from core.runs import seconds_a_tile
from core.settings import settings
from core.split import split
from core.training import networks

#: Seconds for one tile and epoch on two cores without a GPU: 2 were seen for one tile alone, 4 for ten together.
_TWO_CORES_S = 3.0
#: No more tiles than this are chosen by default: each takes seconds an epoch.
MOST_TILES = 32
#: No more than this are offered by name: the names travel to the browser at every click.
_OFFERED = 200
_SEED = "seed box"
_BASKET, _AREA = "Basket", "An area"
_SCALINGS = {
    "percentile": "2nd to 98th percentile of the training tiles",
    "thesis": "the thesis's: /255, and /65535 for 16 bits",
}


def train_form(catalog: Catalog) -> None:
    """Area, tiles, network and epochs; one button that puts the job into the queue."""
    chosen = _choose(catalog)
    aoi = _area_name(chosen)
    buildings = sum(tile.buildings or 0 for tile in chosen)
    st.caption(f"{counted(len(chosen), 'tile')}, {counted(buildings, 'building')}, {_channels(chosen)}")
    _say_split(chosen)
    epochs = st.number_input("Epochs", 1, 1000, 10, help="How often every crop is seen.")
    _say_how_long(len(chosen) * epochs)
    with st.expander("Network and recipe"):
        network = st.selectbox("Network", list(networks()), format_func=lambda name: networks()[name].title)
        batch_norm = st.checkbox("Batch-normalised variant", help="The variant the thesis's text describes.")
        scaling = st.selectbox("Scaling of the pixels", _SCALINGS, format_func=lambda name: _SCALINGS[name])
        batch = st.number_input("Crops a step", 1, 256, 8)
        rate = st.number_input("Learning rate", 1e-6, 1.0, 1e-3, format="%.6f")
        seed = st.number_input(
            "Seed", 0, 2**32 - 1, state.seed(), key=_SEED, on_change=_keep_seed,
            help="The same seed gives the same split and the same losses.",
        )  # fmt: skip
    name = st.text_input("Name", placeholder="made from area and time", max_chars=60)
    config = {
        "network": network, "options": {"batch_norm": batch_norm}, "epochs": epochs, "batch": batch,
        "learning_rate": rate, "seed": seed, "recipe": {"scaling": scaling}, "name": name.strip(),
    }  # fmt: skip
    if st.button("Train", type="primary", width="stretch", icon=":material/play_arrow:", disabled=not chosen):
        job = _submit(aoi, chosen, config)
        state.watch(job.id)
        st.toast(f"Job {job.id} is in the queue.")


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
            st.switch_page("app/pages/explore.py")
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


def _keep_seed() -> None:
    """Before the page runs: the split is told above the box."""
    state.use_seed(st.session_state[_SEED])


def _say_how_long(tile_epochs: int) -> None:
    seconds = seconds_a_tile(settings().runs)
    if seconds is not None and tile_epochs:
        st.caption(f"About {duration(seconds * tile_epochs)}, going by the last run on this machine.")
    elif tile_epochs:
        st.caption(f"About {duration(_TWO_CORES_S * tile_epochs)} on two cores, much less on a GPU.")


def _place(catalog: Catalog, tile: Tile) -> int:
    return catalog.aois.index(tile.aoi) if tile.aoi in catalog.aois else 0


def _label(tile: Tile) -> str:
    return f"{tile.short_id} · {tile.buildings} buildings"


def _channels(tiles: list[Tile]) -> str:
    eight = bool(tiles) and all(tile.eight_bands for tile in tiles)
    return "4 channels (red, green, blue and band 8)" if eight else "3 channels"


def _submit(aoi: str, tiles: list[Tile], config: dict[str, object]) -> Job:
    moment = datetime.now(UTC)
    run = f"{aoi.replace(' ', '-')}-{moment:%Y%m%d-%H%M%S}-{token_hex(2)}"
    title = str(config["name"]) or f"{aoi}, {counted(len(tiles), 'tile')}"
    params = {"run": run, "tiles": [tile.id for tile in tiles], "config": {**config, "name": title}}
    return Queue(settings().queue).submit("train", params, title)
