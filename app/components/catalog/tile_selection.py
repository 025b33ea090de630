"""Selection of training tiles: add and remove tiles, summary, and next steps."""

from random import sample

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import counted, number, plain, safe
from app.components.map.layer_panel import SPLIT_COLORS
from app.components.map.tile_map import Click, ranges
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.datasets.spatial_split import Split, split

#: Letter on the map by role in the train/validation split.
_LETTERS = dict(zip(("train", "validation", "buffer", "divided"), SPLIT_COLORS, strict=True))


def handle_click(click: Click | None, catalog: Catalog) -> None:
    """Apply a map event: select a tile, or change the selection."""
    if click is None:
        return
    if click.aoi:
        area = catalog.of_aoi(click.aoi)
        if area.tiles:
            state.select(area.default_tile, move=False)
    if click.bounds:
        add_tiles(catalog.within(click.bounds).tiles)
    for tile in catalog.named([click.id]):
        if click.act == "pick":
            remaining = tuple(tile_id for tile_id in state.selection() if tile_id != tile.id)
            state.set_selection(remaining if tile.id in state.selection() else (*remaining, tile.id))
        else:
            state.select(tile, move=False)


def add_tiles(tiles: tuple[Tile, ...]) -> None:
    """Add tiles to the selection, only labeled ones if the checkbox is set."""
    tile_ids = [tile.id for tile in tiles if tile.is_labeled or not st.session_state.get("only labelled", True)]
    state.set_selection((*state.selection(), *tile_ids))
    skipped = len(tiles) - len(tile_ids)
    if skipped:
        message = f"Skipped {counted(skipped, 'tile')} without downloaded labels."
        st.toast(message, icon=":material/filter_alt:")


def selection_split(catalog: Catalog) -> Split:
    """Compute the train/validation split of the selected tiles."""
    return split([tile for tile in catalog.named(state.selection()) if tile.is_labeled], state.seed())


def split_positions(catalog: Catalog, tile_split: Split) -> dict[str, str]:
    """Return catalog positions of the selected tiles by map letter; unlabeled ones count as excluded."""
    roles = tile_split.roles
    letters = {tile_id: _LETTERS[roles.get(tile_id, "buffer")] for tile_id in state.selection()}
    return {
        letter: ranges(catalog.positions(tile_id for tile_id, role in letters.items() if role == letter))
        for letter in SPLIT_COLORS
        if letter in letters.values()
    }


def selection_bar(catalog: Catalog, tile: Tile, tile_split: Split) -> None:
    """Show the selected tiles, buttons to change the selection, and the button to Train.

    Args:
        catalog: The catalog.
        tile: The tile in the inspector.
        tile_split: Train/validation split of the selection.
    """
    tiles = catalog.named(state.selection())
    _selection_summary(tiles, tile_split)
    with st.container(horizontal=True, gap="small"):
        # A new key closes the popover, which would cover the added tiles.
        with st.popover("Add tiles", icon=":material/add:", key=f"add tiles {hash(state.selection())}"):
            _add_form(catalog, tile)
        if st.button("Undo", disabled=not state.can_undo(), help="Restores the previous selection."):
            state.undo()
            st.rerun()
        if st.button("Clear selection", disabled=not tiles, help="Undo restores it."):
            state.set_selection(())
            st.rerun()
        _next_step_buttons(tiles)


def _next_step_buttons(tiles: tuple[Tile, ...]) -> None:
    missing = [tile for tile in tiles if not tile.is_downloaded]
    if missing and st.button(f"Download {counted(len(missing), 'missing tile')}", icon=":material/cloud_download:"):
        state.request_tiles(missing)
        go_to("get_tiles")
    ready = any(tile.is_labeled for tile in tiles)
    if st.button("Train on selection", disabled=not ready, type="primary", icon=":material/model_training:"):
        go_to("train")


def _selection_summary(tiles: tuple[Tile, ...], tile_split: Split) -> None:
    if not tiles:
        st.html('<p class="gp-basket"><b>No tiles selected.</b> Shift-click tiles, or press ✓.</p>')
        return
    buildings = sum(tile.buildings or 0 for tile in tiles)
    missing = sum(not tile.is_downloaded for tile in tiles)
    divided_count = len(tile_split.divided)
    subject = "Tile is" if divided_count == 1 else f"{number(divided_count)} tiles are"
    groups = (
        ("T", tile_split.train, f"{number(len(tile_split.train))} training"),
        ("V", tile_split.validation, f"{number(len(tile_split.validation))} validation"),
        ("–", tile_split.buffer, f"{number(len(tile_split.buffer))} excluded (adjacent to validation tiles)"),
        ("L", tile_split.divided, f"{subject} split into a training and a validation part"),
    )
    captions = [  # with the letters shown on the map
        f'<b style="color:{SPLIT_COLORS[letter]}">{letter}</b> {safe(caption)}'
        for letter, names, caption in groups
        if names
    ]
    captions += [safe(f"{number(missing)} not downloaded")] if missing else []
    st.html(
        f'<p class="gp-basket"><b>{counted(len(tiles), "tile")} selected</b> · {counted(buildings, "building")} · '
        f"{' · '.join(captions)}</p>"
    )


def _add_form(catalog: Catalog, tile: Tile) -> None:
    aoi = st.selectbox("Area", catalog.aois, catalog.aois.index(tile.aoi), key=f"basket area {tile.aoi}")
    only_labeled = st.checkbox("Only downloaded tiles with labels", value=True, key="only labelled")
    area = catalog.of_aoi(aoi).labeled if only_labeled else catalog.of_aoi(aoi)
    if st.button(f"Add all {counted(len(area.tiles), 'tile')}", width="stretch", disabled=not area.tiles):
        add_tiles(area.tiles)
        st.rerun()
    count = st.number_input("Random sample size", 1, 10_000, 12)
    if st.button("Add random tiles", width="stretch"):
        candidates = [tile for tile in area.tiles if tile.id not in state.selection()]
        add_tiles(tuple(sample(candidates, min(count, len(candidates)))))
        st.rerun()
    if st.button(f"Add {plain(tile.short_id)}", width="stretch", disabled=tile.id in state.selection()):
        add_tiles((tile,))
        st.rerun()
