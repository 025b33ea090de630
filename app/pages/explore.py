"""Explore: where are tiles, what is on this one."""

import streamlit as st

from app import state
from app.components.empty import empty_catalog
from app.components.inspector import choose_tile, tile_facts
from app.components.tile_map import label_layers, tile_map
from core.catalog.store import read_catalog
from core.pictures import map_bounds

catalog = read_catalog()
if not catalog.tiles:
    empty_catalog()
    st.stop()

map_side, facts_side = st.columns([2, 1], gap="medium")
with facts_side:
    tile = choose_tile(catalog)
    tile_facts(tile)
    if st.button("See its labels", type="primary", width="stretch", icon=":material/layers:"):
        st.switch_page("app/pages/labels.py")
    if st.button("Train on this area", width="stretch", icon=":material/model_training:"):
        state.train_on([])
        st.switch_page("app/pages/train.py")
    if st.button("Show the whole area", width="stretch", icon=":material/zoom_out_map:"):
        state.look_at(catalog.of_aoi(tile.aoi).bounds)
with map_side:
    clicked = tile_map(
        label_layers(tile, map_bounds(tile.image)),
        panel=("image", "outlines", "mask", "distance", "boundary", "contact"),
        focus=state.focus(),
        selected=tile.id,
        key="explore",
    )
if clicked:
    state.select(catalog.tile(clicked), move=False)
    st.rerun()
