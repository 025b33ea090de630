"""The facts of one tile, and the boxes that choose it."""

from collections.abc import Sequence
from math import atan2, pi
from urllib.parse import quote

import altair as alt
import pandas as pd
import streamlit as st

from app import state
from app.components.common.text import distinct, number, plain, safe, share
from core.catalog.spacenet_names import LABELS
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.rendering import colors
from core.types import Bounds

#: So many tiles before and after the chosen one are offered by name; any other can be typed.
_OFFERED = 60
#: Strips of images may lie on top of one another by the dozen: no more neighbours than this are shown.
_NEIGHBOURS = 12
_TRIES = "tiles not found"
_ARROWS = ("→", "↗", "↑", "↖", "←", "↙", "↓", "↘")


def choose_tile(catalog: Catalog, in_a_row: bool = False) -> Tile:
    """Boxes for area and tile with buttons for the next and the previous one; returns the chosen tile."""
    tile = state.selected_tile(catalog)
    area_side, tile_side = st.columns([1, 1.6]) if in_a_row else (st.container(), st.container())
    aoi = area_side.selectbox("Area", catalog.aois, index=catalog.aois.index(tile.aoi), key=f"aoi {tile.id}")
    if aoi != tile.aoi:
        _go(catalog.of_aoi(aoi).showpiece)
    # Where something is here, next and previous pass over what is merely listed.
    area = catalog.of_aoi(aoi)
    tiles = (area.here if tile.is_here else area).tiles
    place = tiles.index(tile)
    with tile_side.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen = _box(catalog, tiles, place)
        if st.button("", icon=":material/chevron_left:", help="Previous tile", shortcut="p", key="previous tile"):
            chosen = tiles[place - 1]
        if st.button("", icon=":material/chevron_right:", help="Next tile", shortcut="n", key="next tile"):
            chosen = tiles[(place + 1) % len(tiles)]
    if chosen != tile:
        _go(chosen)
    return tile


def _box(catalog: Catalog, tiles: Sequence[Tile], place: int) -> Tile:
    """The tiles around the chosen one by name: ten thousand names would be sent to the browser at every click."""
    tile, first = tiles[place], max(0, place - _OFFERED)
    offered = {one.id: one for one in tiles[first : place + _OFFERED + 1]}
    labels = distinct({name: _label(one) for name, one in offered.items()})
    named = st.selectbox(
        "Tile", list(offered), place - first, format_func=lambda one: labels.get(one, one),
        key=f"tile {tile.id} {st.session_state.get(_TRIES, 0)}", accept_new_options=True,
        help="Any other tile: type its number.",
    )  # fmt: skip
    if named in offered:
        return offered[named]
    typed = str(named).strip()
    found = catalog.guess(typed, tile.aoi)
    if found is None:
        st.toast(f"{plain(tile.aoi)} has no tile {plain(typed)}.", icon=":material/search_off:")
        st.session_state[_TRIES] = st.session_state.get(_TRIES, 0) + 1  # a box of another key forgets the word
        st.rerun()
    return found or tile


def _go(tile: Tile) -> None:
    state.select(tile)
    st.rerun()


def _label(tile: Tile) -> str:
    if not tile.is_here:
        return f"{tile.short_id} · not downloaded"
    what = f"{tile.buildings} buildings" if tile.buildings is not None else "no labels"
    return f"{tile.short_id} · {what}"


def tile_name(tile: Tile) -> None:
    """The tile's name, and what its image is made of."""
    made = (
        f"{tile.width} × {tile.height} px · {number(tile.gsd_m, 'm')} · {safe(tile.dtype)} · {safe(tile.crs)}"
        if tile.is_here
        else "listed, not downloaded"
    )
    st.html(f'<p class="gp-title">{safe(tile.title)}</p><p class="gp-sub">{made}</p>')


def tile_facts(tile: Tile) -> None:
    """Everything the catalogue knows of a tile."""
    tile_name(tile)
    if not tile.is_here:
        table({"Area": tile.aoi, "Centre": _degrees(tile.bounds), "Licence": tile.attribution or "not stated"})
        return
    if not tile.is_readable:
        st.warning("The image of this tile was moved or deleted, so there is nothing to show of it.")
    big_numbers(
        {
            "buildings": number(tile.buildings) if tile.is_labelled else "no labels",
            "built": share(tile.built_share),
            "without picture": share(tile.nodata_share),
        }
    )
    east, north = tile.offset_m
    moved = f"{east:g} m east, {north:g} m north" if east or north else "no"
    side = tile.gsd_m * (tile.width * tile.height) ** 0.5
    table(
        {
            "Ground": f"about {number(side, 'm')} a side",
            "Bands": str(tile.bands) + (" and 8 more" if tile.eight_bands not in (None, tile.image) else ""),
            "Products": ", ".join(tile.products),
            "Labels": tile.footprints.name if tile.footprints else "none",
            **({"Labels moved": moved} if tile.is_labelled else {}),
            **({"Mended in the labels": tile.repairs} if tile.repairs else {}),
            "Centre": _degrees(tile.bounds),
        }
    )
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


def building_areas(tile: Tile) -> None:
    """How many buildings of which size, as bars."""
    if not (tile.is_labelled and tile.is_readable and tile.buildings):
        return
    counts = read_tile_labels(tile).area_counts()
    rows = [{"size": words, "buildings": count} for words, count in counts.items()]
    bars = alt.Chart(pd.DataFrame(rows)).mark_bar(color=colors.TRAIN)
    chart = bars.encode(
        x=alt.X("size:N", sort=list(counts), title="area of a building, m²", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("buildings:Q", title=None, axis=alt.Axis(tickMinStep=1, tickCount=4)),
        tooltip=["size:N", "buildings:Q"],
    )
    st.altair_chart(chart.properties(height=150), width="stretch")


def neighbours(catalog: Catalog, tile: Tile) -> None:
    """The tiles that touch this one, each a button that leads there."""
    found = catalog.neighbours(tile)
    if not found:
        st.caption("No tile touches this one.")
        return
    st.caption("Neighbours")
    with st.container(horizontal=True, gap="small"):
        for other in sorted(found[:_NEIGHBOURS], key=lambda one: _ARROWS.index(_arrow(tile, one))):
            here = "" if other.is_here else " (not downloaded)"
            words, help_ = f"{_arrow(tile, other)} {plain(other.short_id)}", f"{plain(other.id)}{here}"
            if st.button(words, key=f"to {other.id}", help=help_):
                _go(other)


def _arrow(tile: Tile, other: Tile) -> str:
    here, there = tile.footprint.centroid, other.footprint.centroid
    return _ARROWS[_eighth(there.x - here.x, there.y - here.y)]


def _eighth(east: float, north: float) -> int:
    """Which of eight directions leads there, counted from east against the clock."""
    return round(atan2(north, east) / (pi / 4)) % 8


def tile_files(tile: Tile) -> None:
    """The tile's own files, as they lie on the server."""
    files = [*tile.products, *([LABELS] if tile.footprints else [])]
    links = " · ".join(
        f'<a href="files/{safe(quote(tile.id, safe=""))}/{safe(quote(name, safe=""))}" download>{safe(name)}</a>'
        for name in files
    )
    st.html(f'<p class="gp-note gp-files">Download: {links}</p>')
