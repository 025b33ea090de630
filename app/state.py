"""What the pages remember for one visitor, by name and type, and the part of it that the address carries."""

from collections.abc import Sequence
from typing import cast

import streamlit as st

from app.components.tile_map import Focus
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.types import Bounds

#: Key of the box that chooses which training is watched; its value is a job's number.
WATCHED = "watched job"
#: No more tiles than this are chosen by default: each takes seconds an epoch.
MOST_TILES = 32
_TILE, _FOCUS, _RUN, _TRAIN = "tile", "focus", "run", "train on"


def selected_tile(catalog: Catalog) -> Tile:
    """The tile the visitor looks at: chosen before, named in the address, or the showpiece."""
    name = st.session_state.get(_TILE) or st.query_params.get(_TILE)
    found = next((tile for tile in catalog.tiles if tile.id == name), None)
    tile = found or catalog.showpiece
    st.session_state[_TILE] = st.query_params[_TILE] = tile.id
    if _FOCUS not in st.session_state:
        _look(around(tile.bounds))
    return tile


def select(tile: Tile, move: bool = True) -> None:
    """Look at another tile; `move` takes the map there (a click on the map keeps the view)."""
    st.session_state[_TILE] = st.query_params[_TILE] = tile.id
    if move:
        _look(around(tile.bounds))


def look_at(bounds: Bounds) -> None:
    """Take the map to some ground."""
    _look(around(bounds, 0.02))


def _look(bounds: Bounds) -> None:
    turn = st.session_state[_FOCUS].turn + 1 if _FOCUS in st.session_state else 0
    st.session_state[_FOCUS] = Focus(bounds, turn)


def focus() -> Focus:
    """Where the map was last told to look."""
    return cast(Focus, st.session_state[_FOCUS])


def around(bounds: Bounds, margin: float = 0.06) -> Bounds:
    """Bounds with some ground around them."""
    west, south, east, north = bounds
    across, down = (east - west) * margin, (north - south) * margin
    return west - across, south - down, east + across, north + down


def train_on(tiles: Sequence[Tile]) -> None:
    """Tiles that the Train page starts with."""
    st.session_state[_TRAIN] = tuple(tile.id for tile in tiles)


def tiles_to_train(tiles: Sequence[Tile]) -> list[Tile]:
    """Those of the given tiles that were asked for, else the first ones with buildings."""
    asked = st.session_state.get(_TRAIN, ())
    with_buildings = [tile for tile in tiles if tile.buildings]
    return [tile for tile in tiles if tile.id in asked] or (with_buildings or list(tiles))[:MOST_TILES]


def watch(job: int) -> None:
    """Show another training on the Train page."""
    st.session_state[WATCHED] = job


def selected_run() -> str | None:
    """The run the visitor chose last."""
    return cast(str | None, st.session_state.get(_RUN))


def select_run(name: str) -> None:
    """Look at another run."""
    st.session_state[_RUN] = name
