"""The tiles chosen for training: how they get into the basket, what is in it, and where it leads."""

from random import sample

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import counted, number, plain, safe
from app.components.map.layer_panel import PARTS
from app.components.map.tile_map import Click, ranges
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.datasets.spatial_split import Split, split

#: The part of a tile in training, by the letter that stands in it on the map.
_LETTERS = dict(zip(("train", "validation", "between", "divided"), PARTS, strict=True))


def answer(click: Click | None, catalog: Catalog) -> None:
    """Does what somebody wished by clicking on the map."""
    if click is None:
        return
    if click.aoi:
        area = catalog.of_aoi(click.aoi)
        if area.tiles:
            state.select(area.showpiece, move=False)
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
        words = f"{counted(left, 'tile')} without labels on this machine left out."
        st.toast(words, icon=":material/filter_alt:")


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
    _say(tiles, found)
    with st.container(horizontal=True, gap="small"):
        # Another key closes it: it would lie over what was just added.
        with st.popover("Add tiles", icon=":material/add:", key=f"add tiles {hash(state.basket())}"):
            _ways_to_add(catalog, tile)
        if st.button("Undo", disabled=not state.can_undo(), help="The basket as it was before"):
            state.undo()
            st.rerun()
        if st.button("Empty", disabled=not tiles, help="Take everything out; Undo brings it back"):
            state.fill_basket(())
            st.rerun()
        _ways_on(tiles)


def _ways_on(tiles: tuple[Tile, ...]) -> None:
    away = [tile for tile in tiles if not tile.is_here]
    if away and st.button(f"Get the {number(len(away))} not downloaded", icon=":material/cloud_download:"):
        state.get_these(away)
        go_to("get_tiles")
    ready = any(tile.is_labelled for tile in tiles)
    if st.button("Train on these", disabled=not ready, type="primary", icon=":material/model_training:"):
        go_to("train")


def _say(tiles: tuple[Tile, ...], found: Split) -> None:
    if not tiles:
        st.html(
            '<p class="gp-basket"><b>Basket</b> empty. Press ✓ on the map and click tiles, or shift-click them.</p>'
        )
        return
    buildings = sum(tile.buildings or 0 for tile in tiles)
    away = sum(not tile.is_here for tile in tiles)
    parts = (
        ("T", found.train, f"{number(len(found.train))} train"),
        ("V", found.validation, f"{number(len(found.validation))} validate"),
        ("–", found.between, f"{number(len(found.between))} on neither side, next to these"),
        ("L", found.divided, _divided(len(found.divided))),
    )
    said = [_key(letter) + safe(words) for letter, names, words in parts if names]
    said += [safe(f"{number(away)} not downloaded")] if away else []
    st.html(
        f'<p class="gp-basket"><b>Basket</b> {counted(len(tiles), "tile")}, {counted(buildings, "building")}: '
        f"{' · '.join(said)}</p>"
    )


def _divided(count: int) -> str:
    ground = "its ground is" if count == 1 else f"the ground of {number(count)} is"
    return f"{ground} divided by a line into train and validation"


def _key(letter: str) -> str:
    """The letter as it stands in the tiles of the map."""
    return f'<b style="color:{PARTS[letter]}">{letter}</b> '


def _ways_to_add(catalog: Catalog, tile: Tile) -> None:
    aoi = st.selectbox("Area", catalog.aois, catalog.aois.index(tile.aoi), key=f"basket area {tile.aoi}")
    st.checkbox("Only tiles with labels on this machine", value=True, key="only labelled")
    area = _fitting(catalog.of_aoi(aoi))
    if st.button(f"All of {plain(aoi)}: {number(len(area.tiles))}", width="stretch", disabled=not area.tiles):
        add(area.tiles)
        st.rerun()
    count = st.number_input("How many at random", 1, 10_000, 12)
    if st.button("Add so many at random", width="stretch"):
        add(_at_random(area, count))
        st.rerun()
    if st.button(f"Add {plain(tile.short_id)}", width="stretch", disabled=tile.id in state.basket()):
        add((tile,))
        st.rerun()


def _fitting(area: Catalog) -> Catalog:
    """Only what the box lets through."""
    return area.labelled if st.session_state.get("only labelled", True) else area


def _at_random(area: Catalog, count: int) -> tuple[Tile, ...]:
    fresh = [tile for tile in area.tiles if tile.id not in state.basket()]
    return tuple(sample(fresh, min(count, len(fresh))))
