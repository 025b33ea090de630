"""Download tiles: SpaceNet tiles with building footprints, selected on the map, by number or at random."""

import streamlit as st

from app.components.catalog.download_form import add_index, choose_tiles, last_download, request_facts, submit_download
from core.catalog.store import read_catalog
from core.spacenet.bucket import AREAS

catalog = read_catalog()
choice, facts = st.columns(2, gap="large")
with choice:
    st.subheader("Download SpaceNet tiles")
    st.caption("Images with labeled footprints, from SpaceNet's public bucket (AWS). No account is needed.")
    request = choose_tiles(catalog)
    add_index(has_index=not AREAS.keys().isdisjoint(catalog.aois))
with facts:
    if request is None:
        st.subheader("No tiles selected")
        st.write("Enter tile numbers, such as 1-20, 225, or select tiles on the map in Explore.")
    else:
        missing = request.missing(catalog)
        st.subheader("Size and license")
        request_facts(request, missing)
        submit_download(missing)
    last_download(catalog)
