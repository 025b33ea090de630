"""The map of tiles: plain values in, what was clicked out. Panning and layers never rerun the page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import folium
import streamlit as st
from streamlit_folium import st_folium

from app.components.common.text import safe
from app.components.map.layer_panel import PARTS, ROWS
from app.components.map.leaflet import ROOT, Layers, OfflineMap, Scene
from app.map_focus import Focus
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.geo.raster import describe
from core.geo.xyz_tiles import deepest_zoom
from core.rendering import colors
from core.rendering.images import Bands, map_bounds, shown_file, stretch_version
from core.spacenet.selection import spell_numbers
from core.types import Bounds


@dataclass(frozen=True)
class MapLayer:
    """Something to draw, by its address: a picture between bounds, the squares of one, or vectors."""

    key: str
    url: str
    kind: str = "image"  #: or "tiles" or "vector"
    bounds: Bounds | None = None
    attribution: str = ""  #: HTML: the map shows it as such
    z: int = 1
    pane: str = ""  #: "first" or "second": left or right of the handle
    hover: bool = False  #: whether pointing at a shape tells its words
    shapes: bool = False  #: whether a click chooses a shape
    style: dict[str, Any] = field(default_factory=dict)
    deepest: int | None = None  #: the zoom from which on the browser enlarges squares itself


TRUTH_STYLE = {"color": colors.TRUTH, "weight": 2}
PREDICTION_STYLE = {"color": colors.PREDICTION, "weight": 2, "fill": 0.2}
VERDICT_STYLE = {
    "color": colors.PREDICTION,
    "by": {
        "TP": {"color": colors.RIGHT, "fill": 0.45, "weight": 2},
        "FP": {"color": colors.INVENTED, "dash": "6 4", "fill": 0.15, "weight": 2.5},
        "FN": {"color": colors.MISSED, "dash": "2 5", "weight": 3},
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


def labels_version(tile: Tile, *files: Path) -> str:
    """The state of a tile's labels and further files: also the image they lie on, and by how much they were moved."""
    east, north = tile.offset_m
    return f"{version(tile.image, tile.footprints, *files)}&moved={east:g},{north:g}"


def image_layer(tile: Tile, bands: Bands | None = None) -> MapLayer:
    """The image of a tile, in squares as the map asks for them, so that its size does not matter."""
    path = shown_file(tile, bands)
    grid = describe(path).grid
    state = f"{version(path)}-{stretch_version(tile, bands)}" + (f"&bands={','.join(map(str, bands))}" if bands else "")
    url = f"{ROOT}tiles/{quote(tile.id, safe='')}/{{z}}/{{x}}/{{y}}.webp{state}"
    return MapLayer("image", url, "tiles", grid.bounds, safe(tile.attribution), deepest=deepest_zoom(grid))


def label_layers(tile: Tile) -> list[MapLayer]:
    """The layers of a tile's labels, where it has some."""
    if not tile.is_labelled:
        return []
    state, bounds = labels_version(tile), map_bounds(tile.image)
    pictures = ("distance", "mask", "boundary", "contact")
    layers = [
        MapLayer(key, layer_url("tiles", tile.id, key) + state, "image", bounds, z=n)
        for n, key in enumerate(pictures, 2)
    ]
    outlines = layer_url("tiles", tile.id, "outlines.geojson") + state
    return [*layers, MapLayer("outlines", outlines, "vector", style=TRUTH_STYLE)]


def tile_layers(tile: Tile, bands: Bands | None = None) -> list[MapLayer]:
    """All there is to show of a tile; nothing of one whose image is not on this machine."""
    if not (tile.is_readable and shown_file(tile, bands).is_file()):
        return []
    return [image_layer(tile, bands), *label_layers(tile)]


def grid_url() -> str:
    """The address of the ground of all tiles, as the catalogue is now."""
    return f"{layer_url('tiles.geojson')}?v={read_catalog().geojson_version}"


def ranges(places: Sequence[int]) -> str:
    """Ascending whole numbers as grid.js reads them: 0-19,25."""
    return spell_numbers(places).replace(" ", "")


@dataclass(frozen=True)
class Click:
    """What somebody did on the map: look at a tile, pick it, take all between bounds, choose a building or judge it."""

    act: str  #: "look", "pick", "view", "area", "shape" or "decide"
    id: str = ""
    bounds: Bounds | None = None  #: degrees
    aoi: str = ""  #: of the area whose dot was clicked
    verdict: str = ""  #: of the building


def tile_map(
    layers: list[MapLayer],
    panel: tuple[str, ...],
    focus: Focus,
    selected: str | None = None,
    grid: str | None = None,
    split: Mapping[str, str] | None = None,
    height: int = 640,
    shape: str | None = None,
    key: str = "map",
) -> None:
    """Draws the map; what is done on it is told by `clicked` when the page runs next.

    `focus` moves the view once a turn. `panel` names the rows of the layer panel, part of the frame and fixed for a
    page. `grid` is the address of the tiles that answer to clicks, `split` their places by part of PARTS, `shape` the
    id of the chosen building.
    """
    base = OfflineMap((0, 0), zoom_start=2, tiles=None, maxZoom=23, zoomSnap=0.1, zoomDelta=0.5)
    base.add_child(Layers([ROWS[name] for name in (*panel, "street")], PARTS, grid is not None))
    scene = folium.FeatureGroup("scene")
    shown = {
        "layers": [asdict(item) for item in layers], "focus": focus.bounds, "turn": focus.turn, "selected": selected,
        "grid": grid, "split": split, "swipe": any(item.pane for item in layers),
        "shape": shape,
    }  # fmt: skip
    scene.add_child(Scene(shown))
    st_folium(
        base, key=key, height=height, use_container_width=True, feature_group_to_add=scene,
        returned_objects=["last_active_drawing"],
    )  # fmt: skip


def clicked(key: str) -> Click | None:
    """What was done on the map of this key, once: asked before the map is drawn, so that one run shows it."""
    drawing = (heard(key) or {}).get("last_active_drawing") or {}
    properties, seen = drawing.get("properties") or {}, f"{key} seen"
    if not properties or st.session_state.get(seen) == properties.get("at"):
        return None
    st.session_state[seen] = properties.get("at")
    act, bounds = str(properties.get("act", "look")), properties.get("bounds")
    if act == "view" and isinstance(bounds, list) and len(bounds) == 4:
        west, south, east, north = map(float, bounds)
        return Click(act, bounds=(west, south, east, north))
    if act == "area":
        return Click(act, aoi=str(properties.get("aoi", "")))
    if act not in ("shape", "decide") and "verdict" in properties:  # a building, and nothing to be done with it
        return None
    if act == "decide":
        return Click(act, str(properties.get("id", "")), verdict=str(properties.get("verdict", "")))
    return Click(act, str(properties.get("id", "")))


def heard(key: str) -> dict[str, Any] | None:
    """The component's last answer; it repeats it at every run."""
    return cast(dict[str, Any] | None, st.session_state.get(key))
