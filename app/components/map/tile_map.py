"""Tile map: layers and selection in, click events out. Panning and layer changes never rerun the page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import folium
import streamlit as st
from streamlit_folium import st_folium

from app.components.common.text import safe
from app.components.map.layer_panel import ROWS, SPLIT_COLORS
from app.components.map.leaflet import ROOT, Layers, MapScene, OfflineMap
from app.map_focus import Focus
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.geo.raster import read_info
from core.geo.xyz_tiles import max_zoom
from core.rendering import colors
from core.rendering.images import Bands, display_file, map_bounds, stretch_version
from core.spacenet.selection import format_numbers
from core.types import Bounds


@dataclass(frozen=True)
class MapLayer:
    """Map layer by URL: an image with bounds, XYZ tiles, or vectors."""

    key: str
    url: str
    kind: str = "image"  #: "image", "tiles" or "vector"
    bounds: Bounds | None = None
    attribution: str = ""  #: HTML, not escaped by the map
    z: int = 1
    pane: str = ""  #: "first" or "second": left or right of the swipe handle
    hover: bool = False  #: show a tooltip of features
    shapes: bool = False  #: select features by click
    style: dict[str, Any] = field(default_factory=dict)
    max_zoom: int | None = None  #: the browser upscales tiles above this zoom


TRUTH_STYLE = {"color": colors.TRUTH, "weight": 2}
PREDICTION_STYLE = {"color": colors.PREDICTION, "weight": 2, "fill": 0.2}
VERDICT_STYLE = {
    "color": colors.PREDICTION,
    "by": {
        "TP": {"color": colors.TRUE_POSITIVE, "fill": 0.45, "weight": 2},
        "FP": {"color": colors.FALSE_POSITIVE, "dash": "6 4", "fill": 0.15, "weight": 2.5},
        "FN": {"color": colors.FALSE_NEGATIVE, "dash": "2 5", "weight": 3},
    },
}


def page_url(*parts: str) -> str:
    """Return the URL of a layer relative to a page; each part is escaped."""
    return "layers/" + "/".join(quote(segment, safe="") for segment in parts)


def layer_url(*parts: str) -> str:
    """Return the URL of a layer relative to the map's frame."""
    return ROOT + page_url(*parts)


def version(*files: Path | None) -> str:
    """Return a query string with the version of files, so that browsers may cache the response."""
    return f"?v={max((file.stat().st_mtime_ns for file in files if file and file.exists()), default=0)}"


def labels_version(tile: Tile, *files: Path) -> str:
    """Return the version of a tile's image, labels, label offset and further files."""
    east, north = tile.offset_m
    return f"{version(tile.image, tile.footprints, *files)}&moved={east:g},{north:g}"


def image_layer(tile: Tile, bands: Bands | None = None) -> MapLayer:
    """Return the image layer of a tile as XYZ tiles, which suits images of any size."""
    path = display_file(tile, bands)
    grid = read_info(path).grid
    version_query = f"{version(path)}-{stretch_version(tile, bands)}"
    if bands:
        version_query += f"&bands={','.join(map(str, bands))}"
    url = f"{ROOT}tiles/{quote(tile.id, safe='')}/{{z}}/{{x}}/{{y}}.webp{version_query}"
    return MapLayer("image", url, "tiles", grid.bounds, safe(tile.attribution), max_zoom=max_zoom(grid))


def label_layers(tile: Tile) -> list[MapLayer]:
    """Return the label layers of a tile; none if it has no labels."""
    if not tile.is_labeled:
        return []
    version_query, bounds = labels_version(tile), map_bounds(tile.image)
    raster_keys = ("distance", "mask", "boundary", "contact")
    layers = [
        MapLayer(key, layer_url("tiles", tile.id, key) + version_query, "image", bounds, z=n)
        for n, key in enumerate(raster_keys, 2)
    ]
    outlines = layer_url("tiles", tile.id, "outlines.geojson") + version_query
    return [*layers, MapLayer("outlines", outlines, "vector", style=TRUTH_STYLE)]


def tile_layers(tile: Tile, bands: Bands | None = None) -> list[MapLayer]:
    """Return all layers of a tile; none without a local image."""
    if not (tile.is_readable and display_file(tile, bands).is_file()):
        return []
    return [image_layer(tile, bands), *label_layers(tile)]


def grid_url() -> str:
    """Return the URL of the outlines of all tiles, with the version of the catalog."""
    return f"{layer_url('tiles.geojson')}?v={read_catalog().geojson_version}"


def ranges(positions: Sequence[int]) -> str:
    """Format ascending integers as ranges for grid.js, such as 0-19,25."""
    return format_numbers(positions).replace(" ", "")


@dataclass(frozen=True)
class Click:
    """Map event: show a tile, add or remove it, add all in view, select a building, or review it."""

    act: str  #: "look", "pick", "view", "area", "shape" or "decide"; the names are shared with map.js
    id: str = ""
    bounds: Bounds | None = None  #: degrees
    aoi: str = ""  #: of the clicked area marker
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
    sides: tuple[str, str] | None = None,
    key: str = "map",
) -> None:
    """Draw the map; `clicked` returns its events at the next run of the page.

    Args:
        layers: Layers to draw.
        panel: Rows of the layer panel, fixed for a page since the frame is never remounted.
        focus: Bounds to zoom to; a new `change_id` moves the view.
        selected: ID of the tile in the inspector.
        grid: Address of the tiles that react to clicks.
        split: Their positions by role in the split (PARTS).
        height: Height [pixels].
        shape: ID of the selected building.
        sides: Names of the layers left and right of the swipe handle.
        key: Key of the component.
    """
    base = OfflineMap((0, 0), zoom_start=2, tiles=None, maxZoom=23, zoomSnap=0.1, zoomDelta=0.5)
    base.add_child(Layers([ROWS[name] for name in (*panel, "street")], SPLIT_COLORS, grid is not None))
    scene = folium.FeatureGroup("scene")
    payload = {
        "layers": [asdict(item) for item in layers], "focus": focus.bounds, "turn": focus.change_id,
        "selected": selected, "grid": grid, "split": split, "shape": shape,
        "swipe": any(item.pane for item in layers) and (sides or True),
    }  # fmt: skip
    scene.add_child(MapScene(payload))
    st_folium(
        base, key=key, height=height, use_container_width=True, feature_group_to_add=scene,
        returned_objects=["last_active_drawing"],
    )  # fmt: skip


def take_click(key: str) -> Click | None:
    """Take the last map event of a key, once, before the map is drawn, so that one run of the page shows it."""
    drawing = (last_event(key) or {}).get("last_active_drawing") or {}
    properties, seen_key = drawing.get("properties") or {}, f"{key} seen"
    if not properties or st.session_state.get(seen_key) == properties.get("at"):
        return None
    st.session_state[seen_key] = properties.get("at")
    act, bounds = str(properties.get("act", "look")), properties.get("bounds")
    if act == "view" and isinstance(bounds, list) and len(bounds) == 4:
        west, south, east, north = map(float, bounds)
        return Click(act, bounds=(west, south, east, north))
    if act == "area":
        return Click(act, aoi=str(properties.get("aoi", "")))
    if act not in ("shape", "decide") and "verdict" in properties:  # a click on a building of a map without selection
        return None
    if act == "decide":
        return Click(act, str(properties.get("id", "")), verdict=str(properties.get("verdict", "")))
    return Click(act, str(properties.get("id", "")))


def last_event(key: str) -> dict[str, Any] | None:
    """Return the component's last event; it is repeated at every run."""
    return cast(dict[str, Any] | None, st.session_state.get(key))
