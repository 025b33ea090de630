"""The tiles chosen for training: how they get into the basket, what is in it, and where it leads."""

from random import sample

import streamlit as st

from app import state
from app.components.map_rows import PARTS
from app.components.text import number, plain
from app.components.tile_map import Click, ranges
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.split import Split, split

#: The part of a tile in training, by the letter that stands in it on the map.
_LETTERS = dict(zip(("train", "validation", "between", "divided"), PARTS, strict=True))


def answer(click: Click | None, catalog: Catalog) -> None:
    """Does what somebody wished by clicking on the map."""
    if click is None:
        return
    if click.bounds:
        add(catalog.within(click.bounds).tiles)
    for tile in catalog.named([click.id]):
        if click.act == "pick":
            state.fill_basket(_toggled(state.basket(), tile.id))
        else:
            state.select(tile, move=False)


def _toggled(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(one for one in names if one != name) if name in names else (*names, name)


def add(tiles: tuple[Tile, ...]) -> None:
    """More tiles in the basket; with the box ticked only those with labels."""
    wanted = [tile.id for tile in tiles if tile.is_labelled or not st.session_state.get("only labelled", True)]
    state.fill_basket((*state.basket(), *wanted))
    left = len(tiles) - len(wanted)
    if left:
        st.toast(f"{number(left)} tiles without labels on this machine were left out.", icon=":material/filter_alt:")


def parts(catalog: Catalog) -> Split:
    """What becomes of the tiles in the basket when a network is trained on them."""
    return split([tile for tile in catalog.named(state.basket()) if tile.is_labelled], state.seed())


def split_places(catalog: Catalog, found: Split) -> dict[str, str]:
    """The same for the map: places in the catalogue by letter; those that cannot train are marked as left out."""
    roles = found.roles
    letters = {name: _LETTERS[roles.get(name, "between")] for name in state.basket()}
    return {
        letter: ranges(catalog.places(name for name, of in letters.items() if of == letter))
        for letter in PARTS
        if letter in letters.values()
    }


def basket_bar(catalog: Catalog, tile: Tile, found: Split) -> None:
    """What is in the basket, the ways to fill and empty it, and the way to Train."""
    tiles = catalog.named(state.basket())
    words, more, undo, clear, go = st.columns([3.2, 1.1, 0.8, 0.8, 1.5], vertical_alignment="center")
    with words:
        _say(tiles, found)
    with more.popover("Add tiles", icon=":material/add:", width="stretch"):
        _ways_to_add(catalog, tile)
    if undo.button("Undo", disabled=not state.can_undo(), width="stretch", help="The basket as it was before"):
        state.undo()
        st.rerun()
    if clear.button("Empty", disabled=not tiles, width="stretch", help="Take everything out; Undo brings it back"):
        state.fill_basket(())
        st.rerun()
    ready = any(tile.is_labelled for tile in tiles)
    if go.button(
        "Train on these", disabled=not ready, type="primary", width="stretch", icon=":material/model_training:"
    ):
        st.switch_page("app/pages/train.py")


def _say(tiles: tuple[Tile, ...], found: Split) -> None:
    if not tiles:
        st.markdown("**Basket** · empty. Press ✓ on the map, then click tiles to train on (or shift-click them).")
        return
    buildings = sum(tile.buildings or 0 for tile in tiles)
    words = {"train": found.train, "validation": found.validation, "left out beside it": found.between}
    said = [f"{len(names)} {name}" for name, names in words.items() if names]
    said += [f"{len(found.divided)} divided by a line"] if found.divided else []
    st.markdown(f"**Basket** · {' · '.join(said) or f'{len(tiles)} tiles'} · {number(buildings)} buildings")
    away = [tile for tile in tiles if not tile.is_here]
    if away and st.button(f"{number(len(away))} are not downloaded: get them", icon=":material/cloud_download:"):
        state.get_these(away)
        st.switch_page("app/pages/get_tiles.py")


def _ways_to_add(catalog: Catalog, tile: Tile) -> None:
    aoi = st.selectbox("Area", catalog.aois, catalog.aois.index(tile.aoi), key=f"basket area {tile.aoi}")
    st.checkbox("Only tiles with labels on this machine", value=True, key="only labelled")
    area = catalog.of_aoi(aoi)
    if st.button(f"All of {plain(aoi)}: {number(len(area.tiles))}", width="stretch"):
        add(area.tiles)
        st.rerun()
    count = st.number_input("How many at random", 1, 10_000, 12)
    if st.button("Add so many at random", width="stretch"):
        add(_at_random(area, count))
        st.rerun()
    if st.button(f"Add {plain(tile.short_id)}", width="stretch", disabled=tile.id in state.basket()):
        add((tile,))
        st.rerun()


def _at_random(area: Catalog, count: int) -> tuple[Tile, ...]:
    wanted = area.labelled.tiles if st.session_state.get("only labelled", True) else area.tiles
    fresh = [tile for tile in wanted if tile.id not in state.basket()]
    return tuple(sample(fresh, min(count, len(fresh))))
