"""The peer of benchmarks.map: the plain way to show tiles, folium.GeoJson in streamlit-folium, as its readme has it.

Made as good as it gets without another way of drawing: the GeoJSON is read once, only clicks make the page run again,
and Leaflet comes from this server, so that no internet is needed. The file is named by GROUNDPLAN_PEER_TILES.
With ?mark in the address the clicked tile is drawn in another colour, as it is on our map.
"""

import json
import os
from pathlib import Path
from typing import Any

import folium
import streamlit as st
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from xstatic.pkg import jquery, leaflet


class LocalMap(folium.Map):
    """folium's map with its scripts from this server."""

    default_js = [("jquery", "../../assets/jquery/jquery.min.js"), ("leaflet", "../../assets/leaflet/leaflet.js")]  # noqa: RUF012
    default_css = [("leaflet_css", "../../assets/leaflet/leaflet.css")]  # noqa: RUF012


@st.cache_resource
def tiles() -> Any:
    return json.loads(Path(os.environ["GROUNDPLAN_PEER_TILES"]).read_bytes())


def page() -> None:
    # Declares its component to the server, which is not there yet when this file is imported.
    from streamlit_folium import st_folium

    st.set_page_config(layout="wide")
    marked = st.session_state.get("chosen") if "mark" in st.query_params else None
    chart = LocalMap((0, 0), zoom_start=2, tiles=None)
    colour = {marked: "#ffffff"}
    folium.GeoJson(
        tiles(), style_function=lambda feature: {"color": colour.get(feature["properties"]["id"], "#3388ff")}
    ).add_to(chart)
    clicked = st_folium(chart, key="map", height=640, returned_objects=["last_active_drawing"])
    chosen = ((clicked.get("last_active_drawing") or {}).get("properties") or {}).get("id", marked)
    st.html(f'<p class="gp-title">{chosen}</p>')
    if st.session_state.get("chosen") != chosen:
        st.session_state["chosen"] = chosen
        if "mark" in st.query_params:
            st.rerun()


if __name__ == "__main__":
    page()
else:
    assets = {"jquery": jquery, "leaflet": leaflet}
    routes = [Mount(f"/assets/{name}", StaticFiles(directory=of.BASE_DIR)) for name, of in assets.items()]
    app = st.App(__file__, routes=routes)
