"""Explore: map of all tiles, tile inspector, and selection of training tiles."""

import streamlit as st

from app import state
from app.components.catalog.band_picker import choose_bands
from app.components.catalog.empty_states import empty_catalog, not_downloaded
from app.components.catalog.label_offset import label_offset
from app.components.catalog.tile_inspector import adjacent_tiles, building_areas, choose_tile, tile_facts, tile_files
from app.components.catalog.tile_selection import handle_click, selection_bar, selection_split, split_positions
from app.components.common.navigation import go_to
from app.components.map.tile_map import grid_url, take_click, tile_layers, tile_map
from core.catalog.store import read_catalog

catalog = read_catalog()
if not catalog.tiles:
    empty_catalog()
    st.stop()

handle_click(take_click("explore"), catalog)
map_side, facts_side = st.columns([2, 1], gap="medium")
with facts_side:
    tile = choose_tile(catalog)
    tile_facts(tile)
    bands = choose_bands(tile)
tile_split = selection_split(catalog)
with map_side.container(key="explore-map"):
    tile_map(
        tile_layers(tile, bands),
        panel=("image", "outlines", "mask", "distance", "boundary", "contact"),
        focus=state.map_focus(),
        selected=tile.id,
        grid=grid_url(),
        split=split_positions(catalog, tile_split),
        key="explore",
    )
    selection_bar(catalog, tile, tile_split)
with facts_side:
    if tile.is_readable:
        if tile.is_labeled and st.button("View labels", width="stretch", icon=":material/layers:"):
            go_to("labels")
        building_areas(tile)
        if tile.is_labeled:
            with st.expander("Shift labels (fix misalignment)"):
                label_offset(tile)
        tile_files(tile)
    else:
        not_downloaded(tile)
    adjacent_tiles(catalog, tile)
