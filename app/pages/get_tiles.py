"""Get tiles: real tiles from SpaceNet's public bucket, chosen on the map, by number or at random."""

import streamlit as st

from app.components.catalog.download_form import add_index, choose_tiles, get_them, last_download, request_facts
from core.catalog.store import read_catalog
from core.spacenet.bucket import AREAS

catalog = read_catalog()
choice, facts = st.columns(2, gap="large")
with choice:
    st.subheader("Real tiles from SpaceNet")
    st.caption("Pictures with building footprints, from SpaceNet's public bucket. No account is needed.")
    request = choose_tiles(catalog)
    add_index(known=not AREAS.keys().isdisjoint(catalog.aois))
with facts:
    if request is None:
        st.subheader("No tile is named yet")
        st.write("Write the numbers of tiles, such as 1-20, 225, or choose them on the map of Explore.")
    else:
        lacking = request.lacking(catalog)
        st.subheader("Size and licence")
        request_facts(request, lacking)
        get_them(lacking)
    last_download(catalog)
