"""The facts of one tile, and the boxes that choose it."""

import streamlit as st

from app import state
from app.components.text import number, safe, share
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.types import Bounds


def choose_tile(catalog: Catalog, in_a_row: bool = False) -> Tile:
    """Boxes for area and tile with buttons for the next and the previous one; returns the chosen tile."""
    tile = state.selected_tile(catalog)
    area_side, tile_side = st.columns([1, 1.6]) if in_a_row else (st.container(), st.container())
    aoi = area_side.selectbox("Area", catalog.aois, index=catalog.aois.index(tile.aoi), key=f"aoi {tile.id}")
    tiles = catalog.of_aoi(aoi).tiles
    if aoi != tile.aoi:
        _go(catalog.of_aoi(aoi).showpiece)
    place = tiles.index(tile)
    with tile_side.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = st.selectbox("Tile", tiles, place, format_func=_label, key=f"tile {tile.id}")
        if st.button("", icon=":material/chevron_left:", help="Previous tile", shortcut="p", key="previous tile"):
            chosen = tiles[place - 1]
        if st.button("", icon=":material/chevron_right:", help="Next tile", shortcut="n", key="next tile"):
            chosen = tiles[(place + 1) % len(tiles)]
    if chosen != tile:
        _go(chosen)
    return tile


def _go(tile: Tile) -> None:
    state.select(tile)
    st.rerun()


def _label(tile: Tile) -> str:
    what = f"{tile.buildings} buildings" if tile.buildings is not None else "no labels"
    return f"{tile.short_id} · {what}"


def tile_name(tile: Tile) -> None:
    """The tile's id, and what its image is made of."""
    st.html(
        f'<p class="gp-title">{safe(tile.id)}</p>'
        f'<p class="gp-sub">{tile.width} × {tile.height} px · {number(tile.gsd_m, "m")} · '
        f"{safe(tile.dtype)} · {safe(tile.crs)}</p>"
    )


def tile_facts(tile: Tile) -> None:
    """Everything the catalogue knows of a tile."""
    tile_name(tile)
    big_numbers(
        {
            "buildings": number(tile.buildings) if tile.is_labelled else "no labels",
            "built": share(tile.built_share),
            "without picture": share(tile.nodata_share),
        }
    )
    side = tile.gsd_m * (tile.width * tile.height) ** 0.5
    facts = {
        "Ground": f"about {number(side, 'm')} a side",
        "Bands": str(tile.bands) + (" and 8 more" if tile.eight_bands not in (None, tile.image) else ""),
        "Products": ", ".join(tile.products),
        "Labels": tile.footprints.name if tile.footprints else "none",
        **({"Mended in the labels": tile.repairs} if tile.repairs else {}),
        "Centre": _degrees(tile.bounds),
    }
    table(facts)
    attribution(tile.attribution)


def _degrees(bounds: Bounds) -> str:
    west, south, east, north = bounds
    return f"{(south + north) / 2:.5f}°, {(west + east) / 2:.5f}°"


def attribution(text: str) -> None:
    """Who made the picture; shown wherever its pixels are."""
    st.html(f'<p class="gp-note">Image: {safe(text or "source not stated")}</p>')


def big_numbers(numbers: dict[str, str]) -> None:
    """A few figures one should see at once."""
    cells = "".join(f"<div><b>{safe(value)}</b><span>{safe(name)}</span></div>" for name, value in numbers.items())
    st.html(f'<div class="gp-big">{cells}</div>')


def table(facts: dict[str, str]) -> None:
    """Names and values, one a line."""
    rows = "".join(f"<tr><td>{safe(name)}</td><td>{safe(value)}</td></tr>" for name, value in facts.items())
    st.html(f'<table class="gp-facts">{rows}</table>')
