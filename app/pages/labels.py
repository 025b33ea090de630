"""Labels: image, outlines, mask and signed distance of a tile side by side, with statistics and downloads."""

import streamlit as st

from app import state
from app.components.catalog.empty_states import empty_catalog, not_downloaded
from app.components.catalog.label_views import label_downloads, label_numbers, label_views, no_labels
from app.components.catalog.tile_inspector import attribution, choose_tile, tile_name
from app.components.common.navigation import go_to
from core.catalog.store import read_catalog
from core.catalog.tile_labels import read_tile_labels

catalog = read_catalog()
if not catalog.tiles:
    empty_catalog()
    st.stop()

tile = choose_tile(catalog, horizontal=True)
if not tile.is_readable:
    not_downloaded(tile)
    st.stop()
views, facts = st.columns([2.6, 1], gap="medium")
with views:
    label_views(tile)
    attribution(tile.attribution)
with facts:
    tile_name(tile)
    if tile.is_labeled:
        labels = read_tile_labels(tile)
        label_numbers(tile, labels)
        label_downloads(tile, labels)
        if st.button("Train on this tile", type="primary", width="stretch", icon=":material/model_training:"):
            state.set_selection([tile.id])
            go_to("train")
    else:
        no_labels(tile)
