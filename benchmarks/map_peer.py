"""Baseline of benchmarks.map: tiles by folium.GeoJson in streamlit-folium, as in its README.

It is optimized without changing the drawing method: the GeoJSON is read once, only clicks rerun the page, and Leaflet
is served from this server. GROUNDPLAN_PEER_TILES is the path of the GeoJSON. With ?mark in the URL the clicked tile is
highlighted, as on the Explore page.
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
    """Folium map with scripts from this server."""

    default_js = [("jquery", "../../assets/jquery/jquery.min.js"), ("leaflet", "../../assets/leaflet/leaflet.js")]  # noqa: RUF012
    default_css = [("leaflet_css", "../../assets/leaflet/leaflet.css")]  # noqa: RUF012


@st.cache_resource
def tiles() -> Any:
    return json.loads(Path(os.environ["GROUNDPLAN_PEER_TILES"]).read_bytes())


def page() -> None:
    # The import registers a component with the server, which does not exist yet when this file is imported.
    from streamlit_folium import st_folium

    st.set_page_config(layout="wide")
    highlighted = st.session_state.get("chosen") if "mark" in st.query_params else None
    chart = LocalMap((0, 0), zoom_start=2, tiles=None)
    color = {highlighted: "#ffffff"}
    folium.GeoJson(
        tiles(), style_function=lambda feature: {"color": color.get(feature["properties"]["id"], "#3388ff")}
    ).add_to(chart)
    clicked = st_folium(chart, key="map", height=640, returned_objects=["last_active_drawing"])
    selected = ((clicked.get("last_active_drawing") or {}).get("properties") or {}).get("id", highlighted)
    st.html(f'<p class="gp-title">{selected}</p>')
    if st.session_state.get("chosen") != selected:
        st.session_state["chosen"] = selected
        if "mark" in st.query_params:
            st.rerun()


if __name__ == "__main__":
    page()
else:
    assets = {"jquery": jquery, "leaflet": leaflet}
    routes = [Mount(f"/assets/{name}", StaticFiles(directory=package.BASE_DIR)) for name, package in assets.items()]
    app = st.App(__file__, routes=routes)
