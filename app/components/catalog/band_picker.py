"""Band combination: the three bands shown as red, green and blue."""

import streamlit as st

from app import state
from core.catalog.tile import Tile
from core.rendering.images import Bands

#: WorldView's bands, in the order of SpaceNet's 8-band files (https://spacenet.ai/spacenet-buildings-dataset-v2/).
_WORLDVIEW = ("coastal", "blue", "green", "yellow", "red", "red edge", "near infrared 1", "near infrared 2")
_NATURAL, _CUSTOM = "Natural color", "Custom"
_COMBINATIONS: dict[str, Bands | None] = {
    _NATURAL: None,
    "Natural color, multispectral (5-3-2)": (5, 3, 2),
    "Color infrared (7-5-3)": (7, 5, 3),
    "Urban false color (8-4-1)": (8, 4, 1),
}


def choose_bands(tile: Tile) -> Bands | None:
    """Draw the band combination box of tiles with more than three bands; None for natural color."""
    count = 8 if tile.eight_bands else tile.bands
    if not tile.is_downloaded or count <= 3:
        return None
    combinations = {name: bands for name, bands in _COMBINATIONS.items() if bands is None or count >= 8}
    current = state.bands()
    valid_bands = current if current and max(current) <= count else None
    choices = list(combinations.values())
    index = choices.index(valid_bands) if valid_bands in choices else len(choices)
    choice = st.selectbox(
        "Band combination", [*combinations, _CUSTOM], index, key=f"colours {tile.id}",
        help="The bands shown as red, green and blue.",
    )  # fmt: skip
    bands = combinations[choice] if choice in combinations else _custom_bands(valid_bands or (1, 2, 3), count, tile.id)
    if bands != current:
        state.set_bands(bands)
    return bands


def _custom_bands(current: Bands, count: int, tile_id: str) -> Bands:
    band_names = {n: f"{n} {name}" for n, name in enumerate(_WORLDVIEW, 1)} if count == len(_WORLDVIEW) else {}
    red, green, blue = (
        column.selectbox(
            name, range(1, count + 1), band - 1, lambda n: band_names.get(n, str(n)), key=f"{name} {tile_id}"
        )
        for column, name, band in zip(st.columns(3), ("Red", "Green", "Blue"), current, strict=True)
    )
    return red, green, blue
