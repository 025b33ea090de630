"""Pictures of the same ground side by side; zooming or pointing in one does so in all, without a rerun."""

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
    """One picture by its address, relative to the page."""

    src: str
    title: str
    note: str
    legend: dict[str, Any] | None = None


def linked_views(ground: str, views: list[View], width: int, height: int, key: str) -> None:
    """The views of a tile of so many pixels; as long as the ground is the same, the zoom stays."""
    shown = [asdict(view) for view in views]
    _views(data={"ground": ground, "views": shown, "width": width, "height": height}, key=key)
