"""The views of one tile's labels side by side, their numbers and their files."""

from collections.abc import Callable

import streamlit as st

from app.components.inspector import big_numbers, table
from app.components.text import number, safe, share
from core import pictures
from core.catalog.tile import Tile
from core.exports.labels import FILES, write_label
from core.labels import BOUNDARY_M, CLIP_M, CONTACT_M, Labels
from core.settings import settings

_VIEWS = {
    "image": ("Image", "2nd to 98th percentile of each band"),
    "outlines": ("Outlines", "footprints in pixel coordinates"),
    "mask": ("Building mask", "pixel centres inside a footprint"),
    "distance": ("Signed distance", "metres to the nearest wall, positive inside"),
    "boundary": ("Boundary", f"{BOUNDARY_M} m along every wall"),
    "contact": ("Contact", f"less than {CONTACT_M:.0f} m between two buildings"),
}


@st.cache_data(max_entries=64, show_spinner="Drawing the labels …", hash_funcs={Tile: repr})
def _picture(tile: Tile, layer: str) -> bytes:
    return pictures.png(pictures.on_black(pictures.draw(tile, layer)))


def label_views(tile: Tile) -> None:
    """Image, outlines, mask and signed distance side by side, boundary and contact after them."""
    names = list(_VIEWS) if tile.is_labelled else ["image"]
    for start in range(0, len(names), 3):
        for column, layer in zip(st.columns(3), names[start : start + 3], strict=False):
            with column:
                _view(tile, layer)


def _view(tile: Tile, layer: str) -> None:
    title, what = _VIEWS[layer]
    st.image(_picture(tile, layer), width="stretch")
    if layer == "distance":
        _distance_legend()
    st.html(f'<p class="gp-note"><b>{title}</b> · {what}</p>')


def _distance_legend() -> None:
    marks = "".join(
        f'<span style="left:{float(pictures.distance_level(mark)) * 50 + 50:.1f}%">{mark} m</span>'
        for mark in pictures.DISTANCE_MARKS
    )
    ramp = f'<div class="gp-ramp" style="background:linear-gradient(to right,{pictures.ramp_css("RdBu_r")})"></div>'
    st.html(f'{ramp}<div class="gp-marks">{marks}</div>')


def label_numbers(tile: Tile, labels: Labels) -> None:
    """Counts and areas of the buildings, and the range of the distance."""
    areas = sorted(labels.area_m2)
    big_numbers(
        {
            "buildings": number(len(labels)),
            "built": share(tile.built_share),
            "median building": number(areas[len(areas) // 2] if areas else None, "m²"),
        }
    )
    across, down = labels.grid.pixel_m
    table(
        {
            "Buildings together": number(sum(areas), "m²"),
            "Smallest, largest": f"{number(areas[0], 'm²')}, {number(areas[-1], 'm²')}" if areas else "–",
            "Pixel on the ground": f"{across:.3f} × {down:.3f} m",
            "Signed distance": f"{labels.distance.min():.1f} to {labels.distance.max():.1f} m (clip ±{CLIP_M:.0f})",
            **({"Mended in the file": tile.repairs} if tile.repairs else {}),
        }
    )


def label_downloads(tile: Tile, labels: Labels) -> None:
    """A button a file; a file is made when its button is pressed."""
    st.markdown("**Take them home**")
    for column, (file, what) in zip(st.columns(2) * len(FILES), FILES.items(), strict=False):
        column.download_button(
            file, _maker(tile, labels, file), f"{tile.id}_{file}", help=what, width="stretch", on_click="ignore",
            key=f"{tile.id} {file}", icon=":material/download:",
        )  # fmt: skip


def _maker(tile: Tile, labels: Labels, file: str) -> Callable[[], bytes]:
    folder = settings().labels / tile.id
    return lambda: write_label(labels, file, folder, tile.id, tile.attribution).read_bytes()


def no_labels(tile: Tile) -> None:
    """What to do with a tile that has no footprints."""
    st.info(
        f"{safe(tile.id)} has no building footprints, so there is no mask and no signed distance to show. "
        "Choose a labelled tile, or put its GeoJSON beside the image and add the folder again.",
        icon=":material/info:",
    )
