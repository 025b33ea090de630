"""Leaflet map by folium, served offline, whose layers change without a remount.

streamlit-folium remounts its frame, and loses the view, when the base map's script changes. So that script stays
constant; layers are passed to `gpShow` (map.js) in `feature_group_to_add`. `gpShow` compares them with the layers on
the map, because streamlit-folium's hash ignores parts of URLs (every `_[a-z0-9]+`) and would keep stale overlays.
"""

from typing import Any

import folium
from branca.element import MacroElement
from folium.template import Template

#: Path from the component's frame to the server root; also valid under a base path.
ROOT = "../../"


class OfflineMap(folium.Map):
    """Folium map with scripts and styles from this server."""

    default_js = [  # noqa: RUF012
        ("jquery", f"{ROOT}assets/jquery/jquery.min.js"),
        ("leaflet", f"{ROOT}assets/leaflet/leaflet.js"),
        ("link", f"{ROOT}assets/groundplan/link.js"),
        ("grid", f"{ROOT}assets/groundplan/grid.js"),
        ("swipe", f"{ROOT}assets/groundplan/swipe.js"),
        ("groundplan", f"{ROOT}assets/groundplan/map.js"),
    ]
    default_css = [  # noqa: RUF012
        ("leaflet_css", f"{ROOT}assets/leaflet/leaflet.css"),
        ("groundplan_css", f"{ROOT}assets/groundplan/map.css"),
    ]


class Layers(MacroElement):
    """Layer panel with opacities, and the tile selection mode; map.js describes the rows."""

    _template = Template(
        """{% macro script(this, kwargs) %}
        gpStart({{ this._parent.get_name() }}, {{ this.rows|tojson }},
                {{ this.colors|tojson }}, {{ this.selectable|tojson }});
        {% endmacro %}"""
    )

    def __init__(self, rows: list[dict[str, Any]], colors: dict[str, str], selectable: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self.rows, self.colors, self.selectable = "Layers", rows, colors, selectable


class MapScene(MacroElement):
    """State of the map (layers, view, selection), passed in `feature_group_to_add`."""

    _template = Template("{% macro script(this, kwargs) %}gpShow({{ this.scene|tojson }});{% endmacro %}")

    def __init__(self, scene: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self.scene = "Scene", scene
