"""Session state by name and type, and its part in the URL (query parameters)."""

import time
from collections.abc import Collection, Iterable, Sequence
from typing import cast

import streamlit as st

from app.map_focus import Focus
from core.catalog.store import Catalog, read_catalog
from core.catalog.tile import Tile
from core.rendering.images import Bands, parse_bands
from core.types import Bounds

#: Key of the select box of the watched training; its value is a job ID.
WATCHED = "watched job"
#: IDs of the tiles requested for download on the Download tiles page.
GET = "get"
_TILE, _AOI, _BANDS, _FOCUS, _RUN, _SEED = "tile", "aoi", "bands", "focus", "run", "seed"
_BUILDING = "chosen building"
_WATCH_NEXT, _JOB = "watch next", "chosen job"
_SELECTION, _UNDO, _PREVIOUS_TILE = "basket", "basket before", "tile before"
#: Seconds in which a browser may still send the previous URL.
_STALE_S = 2.0
#: Undo steps of the selection.
_MAX_UNDO = 20


def _set_query(**params: str) -> None:
    """Set changed query parameters only: each write adds a step to the browser history."""
    for name, value in params.items():
        if st.query_params.get(name) != value:
            st.query_params[name] = value


def selected_tile(catalog: Catalog) -> Tile:
    """Return the tile in the inspector: from the URL, the session, or the default tile of the URL's area."""
    tile_id = _tile_from_url() or st.session_state.get(_TILE)
    area = catalog.of_aoi(st.query_params.get(_AOI, ""))
    if tile_id and not catalog.named([tile_id]):
        st.toast("The tile in this link is not in the catalog. Another tile is shown.", icon=":material/link_off:")
    named = next(iter(catalog.named([tile_id] if tile_id else [])), None)
    tile = named or (area if area.tiles else catalog).default_tile
    _store_selection(tile)
    if _FOCUS not in st.session_state:
        _zoom_to(with_margin(tile.bounds))
    return tile


def selected_tile_id() -> str | None:
    """ID of the tile that was selected last."""
    return cast(str | None, st.session_state.get(_TILE))


def _tile_from_url() -> str | None:
    """Return the tile of the URL if the user changed the URL (Back, or typing), None if it is stale."""
    requested = st.query_params.get(_TILE)
    previous, changed_s = st.session_state.get(_PREVIOUS_TILE, (None, 0.0))
    # Just after a tile change the browser may still send the previous URL.
    is_stale = requested == previous and time.monotonic() - changed_s < _STALE_S
    return None if is_stale else requested


def select(tile: Tile, move: bool = True) -> None:
    """Select a tile; with `move` the map zooms to it (a click on the map keeps the view)."""
    _store_selection(tile)
    if move:
        _zoom_to(with_margin(tile.bounds))


def select_by_id(tile_id: str) -> None:
    """Select a tile by its ID, from the next script run on."""
    for tile in read_catalog().named([tile_id]):
        select(tile)


def _store_selection(tile: Tile) -> None:
    previous = st.session_state.get(_TILE)
    if previous != tile.id:
        st.session_state[_PREVIOUS_TILE] = previous, time.monotonic()
    st.session_state[_TILE] = tile.id
    _set_query(aoi=tile.aoi, tile=tile.id)


def _zoom_to(bounds: Bounds) -> None:
    change_id = st.session_state[_FOCUS].change_id + 1 if _FOCUS in st.session_state else 0
    st.session_state[_FOCUS] = Focus(bounds, change_id)


def map_focus() -> Focus:
    """Bounds the map was last zoomed to."""
    return cast(Focus, st.session_state[_FOCUS])


def with_margin(bounds: Bounds, margin: float = 0.06) -> Bounds:
    """Return bounds enlarged by a margin on each side (share of width and height)."""
    west, south, east, north = bounds
    margin_x, margin_y = (east - west) * margin, (north - south) * margin
    return west - margin_x, south - margin_y, east + margin_x, north + margin_y


def bands() -> Bands | None:
    """Bands shown as red, green and blue; None for natural color."""
    return parse_bands(st.session_state.get(_BANDS, st.query_params.get(_BANDS, "")))


def set_bands(combination: Bands | None) -> None:
    """Set the bands shown on the map, in the session and the URL."""
    text = "-".join(map(str, combination)) if combination else ""
    st.session_state[_BANDS] = text
    if text:
        _set_query(bands=text)
    elif _BANDS in st.query_params:
        del st.query_params[_BANDS]


def selection() -> tuple[str, ...]:
    """IDs of the tiles selected for training, in the order of selection."""
    return cast(tuple[str, ...], st.session_state.get(_SELECTION, ()))


def set_selection(tile_ids: Iterable[str]) -> None:
    """Replace the selection; `undo` restores the previous one."""
    previous = selection()
    st.session_state[_SELECTION] = tuple(dict.fromkeys(tile_ids))
    if selection() != previous:
        st.session_state[_UNDO] = [*st.session_state.get(_UNDO, []), previous][-_MAX_UNDO:]


def can_undo() -> bool:
    """Tell whether there is a previous selection to restore."""
    return bool(st.session_state.get(_UNDO))


def undo() -> None:
    """Restore the selection before its last change."""
    *earlier, last = st.session_state[_UNDO]
    st.session_state[_UNDO], st.session_state[_SELECTION] = earlier, last


def seed() -> int:
    """Random seed of the train/validation split."""
    return int(st.session_state.get(_SEED, 0))


def set_seed(number: int) -> None:
    """Set the random seed of the train/validation split."""
    st.session_state[_SEED] = number


def request_tiles(tiles: Sequence[Tile]) -> None:
    """Request tiles for download on the Download tiles page."""
    st.session_state[GET] = tuple(tile.id for tile in tiles)


def watch(job: int) -> None:
    """Watch a training job on the Train page, from the next script run on."""
    st.session_state[_WATCH_NEXT] = job


def requested_job() -> int | None:
    """ID of the training job to watch next, else of the one watched before."""
    return cast(int | None, st.session_state.get(_WATCH_NEXT, st.session_state.get(WATCHED)))


def resolve_watched_job(jobs: Collection[int]) -> None:
    """Set the watched job before its select box is drawn: the requested, the previous, or the first of `jobs`."""
    requested = requested_job()
    st.session_state.pop(_WATCH_NEXT, None)
    st.session_state[WATCHED] = requested if requested in jobs else next(iter(jobs))


def selected_job() -> int | None:
    """ID of the job selected in the queue."""
    return cast(int | None, st.session_state.get(_JOB))


def select_job(job: int | None) -> None:
    """Select a job of the queue, or none."""
    st.session_state[_JOB] = job


def selected_building() -> str | None:
    """ID of the selected building of the current tile and run."""
    return cast(str | None, st.session_state.get(_BUILDING))


def select_building(building_id: str | None) -> None:
    """Select a building, or none."""
    st.session_state[_BUILDING] = building_id


def selected_run() -> str | None:
    """Name of the run selected last, or in the URL."""
    return cast(str | None, st.session_state.get(_RUN) or st.query_params.get(_RUN))


def select_run(run_name: str) -> None:
    """Select a run, in the session and the URL."""
    st.session_state[_RUN] = run_name
    _set_query(run=run_name)
