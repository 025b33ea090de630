"""What the pages remember for one visitor, by name and type, and the part of it that the address carries."""

import time
from collections.abc import Collection, Iterable, Sequence
from typing import cast

import streamlit as st

from app.map_focus import Focus
from core.catalog.store import Catalog, read_catalog
from core.catalog.tile import Tile
from core.rendering.images import Bands, parse_bands
from core.types import Bounds

#: Key of the box that chooses which training is watched; its value is a job's number.
WATCHED = "watched job"
#: Tile ids that the Get tiles page starts with.
GET = "get"
_TILE, _AOI, _BANDS, _FOCUS, _RUN, _SEED = "tile", "aoi", "bands", "focus", "run", "seed"
_SHAPE = "chosen building"
_WATCH_NEXT, _JOB = "watch next", "chosen job"
_BASKET, _UNDO, _LEFT = "basket", "basket before", "tile before"
#: Seconds for which a browser may still send the address of before.
_STALE_S = 2.0
#: So many changes of the basket can be taken back.
_STEPS = 20


def _tell_address(**parts: str) -> None:
    """Writes only what changed: each writing is a step in the browser's history."""
    for name, value in parts.items():
        if st.query_params.get(name) != value:
            st.query_params[name] = value


def selected_tile(catalog: Catalog) -> Tile:
    """The tile the visitor looks at: chosen before, named in the address, or the showpiece (of the address's area)."""
    name = _from_address() or st.session_state.get(_TILE)
    area = catalog.of_aoi(st.query_params.get(_AOI, ""))
    if name and not catalog.named([name]):
        st.toast("The tile of this link is not in the catalogue. Another one is shown.", icon=":material/link_off:")
    tile = next(iter(catalog.named([name] if name else [])), None) or (area if area.tiles else catalog).showpiece
    _remember(tile)
    if _FOCUS not in st.session_state:
        _look(around(tile.bounds))
    return tile


def selected_tile_id() -> str | None:
    """The id of the tile the visitor chose last."""
    return cast(str | None, st.session_state.get(_TILE))


def _from_address() -> str | None:
    """The address's tile where the visitor changed the address (Back, or typing), not we."""
    asked = st.query_params.get(_TILE)
    left, moment = st.session_state.get(_LEFT, (None, 0.0))
    # Just after we left a tile a browser may still send its old address.
    is_stale = asked == left and time.monotonic() - moment < _STALE_S
    return None if is_stale else asked


def select(tile: Tile, move: bool = True) -> None:
    """Look at another tile; `move` takes the map there (a click on the map keeps the view)."""
    _remember(tile)
    if move:
        _look(around(tile.bounds))


def select_by_id(name: str) -> None:
    """Look at the tile of this id from the next run on."""
    for tile in read_catalog().named([name]):
        select(tile)


def _remember(tile: Tile) -> None:
    before = st.session_state.get(_TILE)
    if before != tile.id:
        st.session_state[_LEFT] = before, time.monotonic()
    st.session_state[_TILE] = tile.id
    _tell_address(aoi=tile.aoi, tile=tile.id)


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


def bands() -> Bands | None:
    """The bands shown as red, green and blue; None for an image's own colours."""
    return parse_bands(st.session_state.get(_BANDS, st.query_params.get(_BANDS, "")))


def show_bands(chosen: Bands | None) -> None:
    """Show other bands on the map; the address tells them."""
    text = "-".join(map(str, chosen)) if chosen else ""
    st.session_state[_BANDS] = text
    if text:
        _tell_address(bands=text)
    elif _BANDS in st.query_params:
        del st.query_params[_BANDS]


def basket() -> tuple[str, ...]:
    """Ids of the tiles chosen for training, in the order in which they were chosen."""
    return cast(tuple[str, ...], st.session_state.get(_BASKET, ()))


def fill_basket(names: Iterable[str]) -> None:
    """Other tiles in the basket; the change can be taken back."""
    before = basket()
    st.session_state[_BASKET] = tuple(dict.fromkeys(names))
    if basket() != before:
        st.session_state[_UNDO] = [*st.session_state.get(_UNDO, []), before][-_STEPS:]


def can_undo() -> bool:
    """Whether the basket was changed."""
    return bool(st.session_state.get(_UNDO))


def undo() -> None:
    """The basket as it was before its last change."""
    *earlier, last = st.session_state[_UNDO]
    st.session_state[_UNDO], st.session_state[_BASKET] = earlier, last


def seed() -> int:
    """The number that decides which tiles of the basket validate."""
    return int(st.session_state.get(_SEED, 0))


def use_seed(number: int) -> None:
    """Another number for the same."""
    st.session_state[_SEED] = number


def get_these(tiles: Sequence[Tile]) -> None:
    """Tiles that the Get tiles page starts with."""
    st.session_state[GET] = tuple(tile.id for tile in tiles)


def watch(job: int) -> None:
    """Show another training on the Train page, from its next run on."""
    st.session_state[_WATCH_NEXT] = job


def asked_to_watch() -> int | None:
    """The training to be shown next, else the one of before."""
    return cast(int | None, st.session_state.get(_WATCH_NEXT, st.session_state.get(WATCHED)))


def settle_watched(jobs: Collection[int]) -> None:
    """Before the box of trainings is drawn: the one asked for, the one of before, or the first of these."""
    asked = asked_to_watch()
    st.session_state.pop(_WATCH_NEXT, None)
    st.session_state[WATCHED] = asked if asked in jobs else next(iter(jobs))


def chosen_job() -> int | None:
    """The job of the queue that was clicked."""
    return cast(int | None, st.session_state.get(_JOB))


def choose_job(job: int | None) -> None:
    """Another job of the queue, or none."""
    st.session_state[_JOB] = job


def chosen_shape() -> str | None:
    """The id of the building that was chosen last, of the tile and run looked at."""
    return cast(str | None, st.session_state.get(_SHAPE))


def choose_shape(name: str | None) -> None:
    """Look at another building."""
    st.session_state[_SHAPE] = name


def selected_run() -> str | None:
    """The run the visitor chose last, or the address names."""
    return cast(str | None, st.session_state.get(_RUN) or st.query_params.get(_RUN))


def select_run(name: str) -> None:
    """Look at another run; the address tells it."""
    st.session_state[_RUN] = name
    _tell_address(run=name)
