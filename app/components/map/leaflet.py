"""folium's map without the internet: Leaflet from our own port, and layers that come and go without a remount.

The base map's script never changes, so the component keeps its frame; what is shown is handed to `gpShow` (map.js)
through `feature_group_to_add`, which compares it with what is there (facts: the hash trap of streamlit-folium).
"""

from typing import Any

import folium
from branca.element import MacroElement
from folium.template import Template

#: From the component's frame to the root of the server, also right under a base path.
ROOT = "../../"


class OfflineMap(folium.Map):
    """A folium map whose scripts and styles come from this server."""

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
    """The panel of layers with opacities, and whether tiles can be picked; see map.js for what a row is."""

    _template = Template(
        """{% macro script(this, kwargs) %}
        gpStart({{ this._parent.get_name() }}, {{ this.rows|tojson }},
                {{ this.colours|tojson }}, {{ this.picks|tojson }});
        {% endmacro %}"""
    )

    def __init__(self, rows: list[dict[str, Any]], colours: dict[str, str], picks: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self.rows, self.colours, self.picks = "Layers", rows, colours, picks


class Scene(MacroElement):
    """What the map shows now; lives in `feature_group_to_add`."""

    _template = Template("{% macro script(this, kwargs) %}gpShow({{ this.scene|tojson }});{% endmacro %}")

    def __init__(self, scene: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self.scene = "Scene", scene
