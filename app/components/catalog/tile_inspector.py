"""The facts of one tile, and the boxes that choose it."""

from collections.abc import Sequence
from math import atan2, pi
from urllib.parse import quote

import altair as alt
import pandas as pd
import streamlit as st

from app import state
from app.components.common.text import counted, distinct, number, plain, safe, share
from core.catalog.spacenet_names import LABELS
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.rendering import colors
from core.types import Bounds

#: Tiles before and after the selected one in the tile box; any other can be typed.
_MAX_OPTIONS = 60
#: Adjacent tiles shown at most: dozens of image strips can overlap.
_MAX_ADJACENT = 12
_FAILED_SEARCHES = "tiles not found"
_ARROWS = ("→", "↗", "↑", "↖", "←", "↙", "↓", "↘")


def choose_tile(catalog: Catalog, horizontal: bool = False) -> Tile:
    """Draw boxes for area and tile with previous and next buttons; returns the selected tile."""
    tile = state.selected_tile(catalog)
    area_side, tile_side = st.columns([1, 1.6]) if horizontal else (st.container(), st.container())
    aoi = area_side.selectbox("Area", catalog.aois, index=catalog.aois.index(tile.aoi), key=f"aoi {tile.id}")
    if aoi != tile.aoi:
        _select_and_rerun(catalog.of_aoi(aoi).default_tile)
    # If any tile of the area is downloaded, next and previous skip those that are not.
    area = catalog.of_aoi(aoi)
    tiles = (area.downloaded if tile.is_downloaded else area).tiles
    index = tiles.index(tile)
    with tile_side.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        target = _tile_box(catalog, tiles, index)
        if st.button("", icon=":material/chevron_left:", help="Previous tile", shortcut="p", key="previous tile"):
            target = tiles[index - 1]
        if st.button("", icon=":material/chevron_right:", help="Next tile", shortcut="n", key="next tile"):
            target = tiles[(index + 1) % len(tiles)]
    if target != tile:
        _select_and_rerun(target)
    return tile


def _tile_box(catalog: Catalog, tiles: Sequence[Tile], index: int) -> Tile:
    """Draw the tile box with nearby tiles only: ten thousand names would be sent to the browser at every click."""
    tile, first = tiles[index], max(0, index - _MAX_OPTIONS)
    options = {candidate.id: candidate for candidate in tiles[first : index + _MAX_OPTIONS + 1]}
    labels = distinct({name: _option_label(candidate) for name, candidate in options.items()})
    choice = st.selectbox(
        "Tile", list(options), index - first, format_func=lambda candidate: labels.get(candidate, candidate),
        key=f"tile {tile.id} {st.session_state.get(_FAILED_SEARCHES, 0)}", accept_new_options=True,
        help="Type a tile number to jump to it.",
    )  # fmt: skip
    if choice in options:
        return options[choice]
    query = str(choice).strip()
    matches = catalog.search(query, tile.aoi)
    if matches is None:
        st.toast(f"{plain(tile.aoi)} has no tile {plain(query)}.", icon=":material/search_off:")
        # A new widget key clears the typed text.
        st.session_state[_FAILED_SEARCHES] = st.session_state.get(_FAILED_SEARCHES, 0) + 1
        st.rerun()
    return matches or tile


def _select_and_rerun(tile: Tile) -> None:
    state.select(tile)
    st.rerun()


def _option_label(tile: Tile) -> str:
    if not tile.is_downloaded:
        return f"{tile.short_id} · not downloaded"
    summary = counted(tile.buildings, "building") if tile.buildings is not None else "no labels"
    return f"{tile.short_id} · {summary}"


def tile_name(tile: Tile) -> None:
    """Show the name of a tile, with size, resolution, data type and CRS of its image."""
    properties = (
        f"{tile.width} × {tile.height} px · {number(tile.gsd_m, 'm')} · {safe(tile.dtype)} · {safe(tile.crs)}"
        if tile.is_downloaded
        else "not downloaded"
    )
    st.html(f'<p class="gp-title">{safe(tile.title)}</p><p class="gp-sub">{properties}</p>')


def tile_facts(tile: Tile) -> None:
    """Show the metadata of a tile."""
    tile_name(tile)
    if not tile.is_downloaded:
        table({"Area": tile.aoi, "Center": _center_text(tile.bounds), "License": tile.attribution or "not provided"})
        return
    if not tile.is_readable:
        st.warning("The image of this tile was moved or deleted.")
    key_figures(
        {
            "buildings": number(tile.buildings) if tile.is_labeled else "no labels",
            "built-up area": share(tile.built_share),
            "no data": share(tile.nodata_share),
        }
    )
    table(
        {
            "Extent": f"about {number(tile.gsd_m * tile.width)} × {number(tile.gsd_m * tile.height, 'm')}",
            "Bands": _band_text(tile),
            "Source products": ", ".join(tile.products),
            "Labels": tile.footprints.name if tile.footprints else "none",
            **({"Label offset": _offset_text(tile)} if any(tile.offset_m) else {}),
            **({"Label repairs": tile.repairs} if tile.repairs else {}),
            "Center": _center_text(tile.bounds),
        }
    )
    attribution(tile.attribution)


def _band_text(tile: Tile) -> str:
    """Format the number of bands and their kind, such as "3 (RGB) + 8 (multispectral)"."""
    kinds = {3: " (RGB)", 8: " (multispectral)"}
    suffix = " + 8 (multispectral)" if tile.eight_bands not in (None, tile.image) else ""
    return f"{tile.bands}{kinds.get(tile.bands, '')}{suffix}"


def _offset_text(tile: Tile) -> str:
    """Format the label offset, such as "0.5 m E, 1 m S"."""
    axes = zip(tile.offset_m, ("EW", "NS"), strict=True)
    return ", ".join(f"{abs(meters):g} m {directions[meters < 0]}" for meters, directions in axes if meters)


def _center_text(bounds: Bounds) -> str:
    west, south, east, north = bounds
    return f"{(south + north) / 2:.5f}°, {(west + east) / 2:.5f}°"


def attribution(text: str) -> None:
    """Show the attribution of an image; required wherever its pixels are shown."""
    st.html(f'<p class="gp-note">Attribution: {safe(text or "not provided")}</p>')


def key_figures(numbers: dict[str, str]) -> None:
    """Show key figures in large type."""
    cells = "".join(f"<div><b>{safe(value)}</b><span>{safe(name)}</span></div>" for name, value in numbers.items())
    st.html(f'<div class="gp-big">{cells}</div>')


def table(values: dict[str, str]) -> None:
    """Show names and values as a table."""
    rows = "".join(f"<tr><td>{safe(name)}</td><td>{safe(value)}</td></tr>" for name, value in values.items())
    st.html(f'<table class="gp-facts">{rows}</table>')


def building_areas(tile: Tile) -> None:
    """Plot a histogram of building sizes."""
    if not (tile.is_labeled and tile.is_readable and tile.buildings):
        return
    counts = read_tile_labels(tile).area_counts()
    rows = [{"size": size_class, "buildings": count} for size_class, count in counts.items()]
    bars = alt.Chart(pd.DataFrame(rows)).mark_bar(color=colors.TRAINING)
    chart = bars.encode(
        x=alt.X("size:N", sort=list(counts), title="Building size (m²)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("buildings:Q", title=None, axis=alt.Axis(tickMinStep=1, tickCount=4)),
        tooltip=["size:N", "buildings:Q"],
    )
    st.altair_chart(chart.properties(height=150), width="stretch")


def adjacent_tiles(catalog: Catalog, tile: Tile) -> None:
    """Draw a button for every adjacent tile, which selects it."""
    adjacent = catalog.adjacent(tile)
    if not adjacent:
        st.caption("No adjacent tiles")
        return
    st.caption("Adjacent tiles")
    with st.container(horizontal=True, gap="small"):
        for neighbor in sorted(adjacent[:_MAX_ADJACENT], key=lambda candidate: _ARROWS.index(_arrow(tile, candidate))):
            suffix = "" if neighbor.is_downloaded else " (not downloaded)"
            label, help_ = f"{_arrow(tile, neighbor)} {plain(neighbor.short_id)}", f"{plain(neighbor.id)}{suffix}"
            if st.button(label, key=f"to {neighbor.id}", help=help_):
                _select_and_rerun(neighbor)


def _arrow(tile: Tile, neighbor: Tile) -> str:
    center, neighbor_center = tile.footprint.centroid, neighbor.footprint.centroid
    return _ARROWS[_octant(neighbor_center.x - center.x, neighbor_center.y - center.y)]


def _octant(east: float, north: float) -> int:
    """Return the compass octant of a direction, counterclockwise from east."""
    return round(atan2(north, east) / (pi / 4)) % 8


def tile_files(tile: Tile) -> None:
    """Show download links to the source files of a tile."""
    files = [*tile.products, *([LABELS] if tile.footprints else [])]
    links = " · ".join(
        f'<a href="files/{safe(quote(tile.id, safe=""))}/{safe(quote(name, safe=""))}" download>{safe(name)}</a>'
        for name in files
    )
    st.html(f'<p class="gp-note gp-files">Download: {links}</p>')
