"""The map of tiles: plain values in, the id of the clicked tile out. Panning and layers never rerun the page."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import folium
import streamlit as st
from streamlit_folium import st_folium

from app.components.leaflet import ROOT, Layers, OfflineMap, Scene
from app.components.text import safe
from core import colours
from core.catalog.tile import Tile
from core.pictures import DISTANCE_MARKS, distance_level, ramp_css
from core.types import Bounds


@dataclass(frozen=True)
class MapLayer:
    """Something to draw: a picture between bounds or vectors, by URL."""

    key: str
    url: str
    kind: str = "image"
    bounds: Bounds | None = None
    attribution: str = ""  #: HTML: the map shows it as such
    z: int = 1
    hover: bool = False  #: whether pointing at a shape tells its words
    style: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Focus:
    """Where the map is told to look, in degrees; another turn moves it even if it is the same place again."""

    bounds: Bounds
    turn: int


def _row(key: str, name: str, swatch: str, on: bool = False, opacity: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"key": key, "name": name, "swatch": swatch, "on": on, "opacity": opacity, **more}


def distance_legend() -> dict[str, Any]:
    """Colours and marks of the signed distance, in metres."""
    marks = [
        (float(distance_level(m)) * 50 + 50, f"{m} m" if m == DISTANCE_MARKS[-1] else str(m)) for m in DISTANCE_MARKS
    ]
    return {"ramp": ramp_css("RdBu_r"), "marks": marks}


_PHOTO = "background: linear-gradient(135deg, #6b8e5a, #b9a48a 60%, #4c566a)"
_DISTANCE = f"background: linear-gradient(to right, {ramp_css('RdBu_r')})"
_PROBABILITY = f"background: linear-gradient(to right, {ramp_css('viridis')})"
_PROBABILITY_LEGEND = {"ramp": ramp_css("viridis"), "marks": [(0, "0"), (50, "0.5"), (100, "1")]}
_VERDICTS = ", ".join(
    f"{colour} {n * 33}% {n * 33 + 33}%" for n, colour in enumerate((colours.RIGHT, colours.INVENTED, colours.MISSED))
)
_ROWS = {
    "image": _row("image", "Image", _PHOTO, on=True),
    "distance": _row("distance", "Signed distance", _DISTANCE, opacity=0.75, legend=distance_legend()),
    "mask": _row("mask", "Building mask", f"background: {colours.TRUTH}", opacity=0.55),
    "boundary": _row("boundary", "Boundary", f"background: {colours.BOUNDARY}", opacity=0.8),
    "contact": _row("contact", "Contact", f"background: {colours.CONTACT}", opacity=0.8),
    "outlines": _row("outlines", "Truth", f"border: 2px solid {colours.TRUTH}", on=True),
    "probability": _row("probability", "Probability", _PROBABILITY, opacity=0.7, legend=_PROBABILITY_LEGEND),
    "verdicts": _row("verdicts", "Right and wrong", f"background: linear-gradient(90deg, {_VERDICTS})", on=True),
}
TRUTH_STYLE = {"color": colours.TRUTH, "weight": 2}
PREDICTION_STYLE = {"color": colours.PREDICTION, "weight": 2, "fill": 0.2}
VERDICT_STYLE = {
    "color": colours.PREDICTION,
    "by": {
        "TP": {"color": colours.RIGHT, "fill": 0.45, "weight": 2},
        "FP": {"color": colours.INVENTED, "dash": "6 4", "fill": 0.15, "weight": 2.5},
        "FN": {"color": colours.MISSED, "dash": "2 5", "weight": 3},
    },
}


def page_url(*parts: str) -> str:
    """The address of a layer as a page must ask for it; each part is escaped."""
    return "layers/" + "/".join(quote(part, safe="") for part in parts)


def layer_url(*parts: str) -> str:
    """The address of a layer as the map's frame must ask for it."""
    return ROOT + page_url(*parts)


def version(*files: Path | None) -> str:
    """Tells one state of files from another in an address, so that browsers may keep what it gives."""
    return f"?v={max((file.stat().st_mtime_ns for file in files if file and file.exists()), default=0)}"


def label_layers(tile: Tile, bounds: Bounds) -> list[MapLayer]:
    """The layers every tile can show: its image, and its labels where it has some."""
    image = layer_url("tiles", tile.id, "image") + version(tile.image)
    layers = [MapLayer("image", image, "image", bounds, safe(tile.attribution))]
    if not tile.is_labelled:
        return layers
    state = version(tile.image, tile.footprints)
    pictures = ("distance", "mask", "boundary", "contact")
    layers += [
        MapLayer(key, layer_url("tiles", tile.id, key) + state, "image", bounds, z=n)
        for n, key in enumerate(pictures, 2)
    ]
    outlines = layer_url("tiles", tile.id, "outlines.geojson") + state
    return [*layers, MapLayer("outlines", outlines, "vector", style=TRUTH_STYLE)]


def tile_map(
    layers: list[MapLayer],
    panel: tuple[str, ...],
    focus: Focus,
    selected: str | None = None,
    grid: bool = True,
    height: int = 640,
    key: str = "map",
) -> str | None:
    """Draws the map and returns the id of the tile clicked last.

    `focus` moves the view once a turn; `panel` names the rows of the layer panel (part of the frame: fixed
    for a page); `grid` draws every tile of the catalogue and makes it answer to clicks.
    """
    base = OfflineMap((0, 0), zoom_start=2, tiles=None, maxZoom=23, zoomSnap=0.1, zoomDelta=0.5)
    base.add_child(Layers([_ROWS[name] for name in panel], f"{ROOT}layers/tiles.geojson" if grid else None))
    scene = folium.FeatureGroup("scene")
    scene.add_child(
        Scene(
            {
                "layers": [asdict(item) for item in layers],
                "focus": focus.bounds,
                "turn": focus.turn,
                "selected": selected,
            }
        )
    )
    answer = st_folium(
        base, key=key, height=height, use_container_width=True, feature_group_to_add=scene,
        returned_objects=["last_active_drawing"],
    )  # fmt: skip
    clicked = (answer or {}).get("last_active_drawing") or {}
    return _new_click(clicked.get("properties") or {}, f"{key} seen")


def _new_click(properties: dict[str, Any], seen: str) -> str | None:
    """The clicked id, once: the component repeats its last answer at every rerun."""
    if not properties or st.session_state.get(seen) == properties.get("at"):
        return None
    st.session_state[seen] = properties.get("at")
    name = properties.get("id")
    return name if isinstance(name, str) else None
