"""Explore: where are tiles, what is on this one, which ones to train on."""

import streamlit as st

from app import state
from app.components.catalog.band_picker import choose_bands
from app.components.catalog.empty_states import empty_catalog, not_downloaded
from app.components.catalog.label_offset import label_nudge
from app.components.catalog.tile_inspector import building_areas, choose_tile, neighbours, tile_facts, tile_files
from app.components.catalog.tile_selection import answer, basket_bar, parts, split_places
from app.components.common.navigation import go_to
from app.components.map.tile_map import clicked, grid_url, tile_layers, tile_map
from core.catalog.store import read_catalog

catalog = read_catalog()
if not catalog.tiles:
    empty_catalog()
    st.stop()

answer(clicked("explore"), catalog)
map_side, facts_side = st.columns([2, 1], gap="medium")
with facts_side:
    tile = choose_tile(catalog)
    tile_facts(tile)
    bands = choose_bands(tile)
found = parts(catalog)
with map_side.container(key="explore-map"):
    tile_map(
        tile_layers(tile, bands),
        panel=("image", "outlines", "mask", "distance", "boundary", "contact"),
        focus=state.focus(),
        selected=tile.id,
        grid=grid_url(),
        split=split_places(catalog, found),
        key="explore",
    )
    basket_bar(catalog, tile, found)
with facts_side:
    if tile.is_readable:
        if tile.is_labelled and st.button("See its labels", width="stretch", icon=":material/layers:"):
            go_to("labels")
        building_areas(tile)
        if tile.is_labelled:
            with st.expander("Labels beside the roofs?"):
                label_nudge(tile)
        tile_files(tile)
    else:
        not_downloaded(tile)
    neighbours(catalog, tile)
