"""Linked image views of the same extent side by side: zoom and pointer are shared, without a rerun."""

from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

from app.assets import ASSETS

_views = st.components.v2.component(
    "groundplan_views",
    html='<div class="views"></div>',
    css=(ASSETS / "views.css").read_text("utf-8"),
    js=(ASSETS / "views.js").read_text("utf-8"),
)


@dataclass(frozen=True)
class View:
    """Image view by URL, relative to the page."""

    src: str
    title: str
    note: str
    legend: dict[str, Any] | None = None


def linked_views(extent_id: str, views: list[View], width: int, height: int, key: str) -> None:
    """Show linked views of one tile; the zoom is kept until the tile changes.

    Args:
        extent_id: ID of the extent; a new one resets the zoom.
        views: The images with titles, notes and legends.
        width: Columns of the tile [pixels].
        height: Rows of the tile [pixels].
        key: Key of the component.
    """
    payload = [asdict(view) for view in views]
    _views(data={"ground": extent_id, "views": payload, "width": width, "height": height}, key=key)
