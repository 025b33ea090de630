"""The views of one tile's labels side by side, their numbers and their files."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import streamlit as st

from app.components.catalog.tile_inspector import big_numbers, table
from app.components.common.text import number, plain, share
from app.components.map.layer_panel import distance_legend
from app.components.map.linked_views import View, linked_views
from app.components.map.tile_map import labels_version, page_url
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.labels.labels import BOUNDARY_M, CLIP_M, CONTACT_M, Labels
from core.labels.writers import FILES, write_label
from core.rendering.images import LONGEST

#: Pixels from which on the distance takes seconds and a gigabyte: not in the process that answers everybody.
_MOST_PIXELS = 4096**2
_DISTANCES = ("distance.tif", "distance.npy")

_VIEWS = {
    "image": ("Image", "2nd to 98th percentile of each band"),
    "outlines": ("Outlines", "footprints in pixel coordinates"),
    "mask": ("Building mask", "pixel centres inside a footprint"),
    "distance": ("Signed distance", "metres to the nearest wall, positive inside"),
    "boundary": ("Boundary", f"{BOUNDARY_M} m along every wall"),
    "contact": ("Contact", f"less than {CONTACT_M:.0f} m between two buildings"),
}


def label_views(tile: Tile, names: Sequence[str] = tuple(_VIEWS)) -> None:
    """Image, outlines, mask, signed distance, boundary and contact, or some of them; linked."""
    names = names if tile.is_labelled else ("image",)
    state = labels_version(tile)
    views = [
        View(page_url("tiles", tile.id, layer) + state + "&pixels=1", *_VIEWS[layer], legend=_legend(layer))
        for layer in names
    ]
    linked_views(tile.id, views, tile.width, tile.height, key=f"views {len(views)}")


def _legend(layer: str) -> dict[str, Any] | None:
    return distance_legend() if layer == "distance" else None


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
            "Signed distance": _distance_range(tile),
            **({"Mended in the file": tile.repairs} if tile.repairs else {}),
        }
    )


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs={Tile: lambda tile: tile.id + labels_version(tile)})
def _distance_range(tile: Tile) -> str:
    """In words; of large images from a copy as large as the one that is shown, which still takes half a second."""
    labels = read_tile_labels(tile)
    small = labels.at_most(LONGEST)
    about = "" if small is labels else "about "
    return f"{about}{small.distance.min():.1f} to {small.distance.max():.1f} m (clip ±{CLIP_M:.0f})"


def label_downloads(tile: Tile, labels: Labels) -> None:
    """A button a file, which is made when its button is pressed; of large images the command for the distance."""
    st.markdown("**Take them home**")
    too_large = labels.grid.width * labels.grid.height > _MOST_PIXELS
    files = [file for file in FILES if not (too_large and file in _DISTANCES)]
    for column, file in zip(st.columns(2) * len(files), files, strict=False):
        column.download_button(
            file, _maker(tile, labels, file), f"{tile.id}_{file}", help=FILES[file], width="stretch",
            on_click="ignore", key=f"{tile.id} {file}", icon=":material/download:",
        )  # fmt: skip
    if too_large:
        _distance_command(tile)


def _distance_command(tile: Tile) -> None:
    st.caption("The signed distance of an image this large is made on the server, with all other files:")
    files = ["--image", str(tile.image), "--footprints", str(tile.labels)]
    st.code(shlex.join(["python", "-m", "core", "labels", *files, "--out", "labels"]), language="bash", wrap_lines=True)
    if tile.offset_m != (0.0, 0.0):
        st.caption("It takes the labels as the file has them, without the metres by which they were moved here.")


def _maker(tile: Tile, labels: Labels, file: str) -> Callable[[], bytes]:
    def make() -> bytes:
        with TemporaryDirectory() as folder:
            return write_label(labels, file, Path(folder), tile.id, tile.attribution).read_bytes()

    return make


def no_labels(tile: Tile) -> None:
    """What to do with a tile that has no footprints."""
    st.info(
        f"{plain(tile.title)} has no building footprints, so there is no mask and no signed distance to show. "
        + (
            "Add its labels on the Upload page."
            if tile.name
            else "Choose a labelled tile, or put its GeoJSON beside the image and add the folder again."
        ),
        icon=":material/info:",
    )
