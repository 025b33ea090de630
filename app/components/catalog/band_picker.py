"""Which three bands of an image are shown as red, green and blue."""

import streamlit as st

from app import state
from app.components.common.text import plain
from core.catalog.tile import Tile
from core.rendering.images import Bands

#: WorldView's bands, in the order of SpaceNet's 8-band files (https://spacenet.ai/spacenet-buildings-dataset-v2/).
_WORLDVIEW = ("coastal", "blue", "green", "yellow", "red", "red edge", "near infrared 1", "near infrared 2")
_OWN, _OTHER = "Colours of the image", "Three bands of my choice"
_USUAL: dict[str, Bands | None] = {
    _OWN: None,
    "True colour (5, 3, 2)": (5, 3, 2),
    "Plants red: infrared (7, 5, 3)": (7, 5, 3),
    "Roofs: infrared, yellow, coastal (8, 4, 1)": (8, 4, 1),
}


def choose_bands(tile: Tile) -> Bands | None:
    """A box where the tile has more than three bands; returns what to show, None for the image's own colours."""
    count = 8 if tile.eight_bands else tile.bands
    if not tile.is_here or count <= 3:
        return None
    known = {name: bands for name, bands in _USUAL.items() if bands is None or count >= 8}
    now = state.bands()
    asked = now if now and max(now) <= count else None
    place = list(known.values()).index(asked) if asked in known.values() else len(known)
    chosen = st.selectbox("Colours", [*known, _OTHER], place, key=f"colours {tile.id}")
    bands = known[chosen] if chosen in known else _own_choice(asked or (1, 2, 3), count, tile.id)
    if bands != now:
        state.show_bands(bands)
    return bands


def _own_choice(now: Bands, count: int, tile: str) -> Bands:
    red, green, blue = (
        column.selectbox(
            name, range(1, count + 1), band - 1, format_func=lambda n: _band_name(n, count), key=f"{name} {tile}"
        )
        for column, name, band in zip(st.columns(3), ("Red", "Green", "Blue"), now, strict=True)
    )
    return red, green, blue


def _band_name(band: int, count: int) -> str:
    return plain(f"{band} {_WORLDVIEW[band - 1]}") if count == len(_WORLDVIEW) else str(band)
