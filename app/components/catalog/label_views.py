"""Label views of a tile side by side, label statistics and downloads."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from app.components.catalog.tile_inspector import key_figures, table
from app.components.common.text import number, plain, share
from app.components.map.layer_panel import distance_legend
from app.components.map.linked_views import View, linked_views
from app.components.map.tile_map import labels_version, page_url
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.labels.labels import BOUNDARY_M, CLIP_M, CONTACT_M, Labels
from core.labels.writers import FILES, write_label
from core.rendering.images import MAX_SIDE

#: Pixels above which the distance takes seconds and a gigabyte: too much for the web server's process.
_MAX_PIXELS = 4096**2
_DISTANCES = ("distance.tif", "distance.npy")

_VIEWS = {
    "image": ("Image", "contrast stretch: 2–98 % per band"),
    "outlines": ("Footprint outlines", "vector labels"),
    "mask": ("Building mask", "binary mask"),
    "distance": ("Signed distance", "distance to nearest building edge (m), positive inside"),
    "boundary": ("Building edges", f"{BOUNDARY_M:g} m wide"),
    "contact": ("Building gaps", f"gaps between adjacent buildings (< {CONTACT_M:g} m)"),
}


def label_views(tile: Tile, names: Sequence[str] = tuple(_VIEWS)) -> None:
    """Draw linked views of image, outlines, mask, signed distance, boundary and contact, or some of them."""
    names = names if tile.is_labeled else ("image",)
    version = labels_version(tile)
    legends = {"distance": distance_legend()}
    views = [
        View(page_url("tiles", tile.id, layer) + version + "&pixels=1", *_VIEWS[layer], legend=legends.get(layer))
        for layer in names
    ]
    linked_views(tile.id, views, tile.width, tile.height, key=f"views {len(views)}")


def label_numbers(tile: Tile, labels: Labels) -> None:
    """Show counts and areas of the buildings, and the range of the signed distance."""
    areas = sorted(labels.area_m2)
    key_figures(
        {
            "buildings": number(len(labels)),
            "built-up area": share(tile.built_share),
            "median building size": number(areas[len(areas) // 2] if areas else None, "m²"),
        }
    )
    pixel_width_m, pixel_height_m = labels.grid.pixel_m
    table(
        {
            "Total building area": number(sum(areas), "m²"),
            "Size range": f"{number(areas[0])}–{number(areas[-1], 'm²')}" if areas else "–",
            "Pixel size (GSD)": f"{pixel_width_m:.3f} × {pixel_height_m:.3f} m",
            "Signed distance": _distance_range(tile),
            **({"Label repairs": tile.repairs} if tile.repairs else {}),
        }
    )


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs={Tile: lambda tile: tile.id + labels_version(tile)})
def _distance_range(tile: Tile) -> str:
    """Format the range of the distance; computed at display size for large images (half a second)."""
    labels = read_tile_labels(tile)
    reduced = labels.at_most(MAX_SIDE)
    prefix = "" if reduced is labels else "about "
    return f"{prefix}{reduced.distance.min():.1f} to {reduced.distance.max():.1f} m (clipped at ±{CLIP_M:.0f} m)"


def label_downloads(tile: Tile, labels: Labels) -> None:
    """Draw a button per label file, written on demand; large images get a command for the distance."""
    st.markdown("**Download labels**")
    too_large = labels.grid.width * labels.grid.height > _MAX_PIXELS
    files = [file for file in FILES if not (too_large and file in _DISTANCES)]
    for column, file in zip(st.columns(2) * len(files), files, strict=False):
        column.download_button(
            file, _label_file(tile, labels, file), f"{tile.id}_{file}", help=FILES[file], width="stretch",
            on_click="ignore", key=f"{tile.id} {file}", icon=":material/download:",
        )  # fmt: skip
    if too_large:
        _distance_command(tile)


def _distance_command(tile: Tile) -> None:
    st.caption("For an image of this size, compute the signed distance on the server (writes all label files):")
    files = ["--image", str(tile.image), "--footprints", str(tile.labels)]
    st.code(shlex.join(["python", "-m", "core", "labels", *files, "--out", "labels"]), language="bash", wrap_lines=True)
    if tile.offset_m != (0.0, 0.0):
        st.caption("The command reads the label file without the offset set here.")


def _label_file(tile: Tile, labels: Labels, file: str) -> Callable[[], bytes]:
    def make() -> bytes:
        with TemporaryDirectory() as folder:
            return write_label(labels, file, Path(folder), tile.id, tile.attribution).read_bytes()

    return make


def no_labels(tile: Tile) -> None:
    """Empty state of a tile without footprints."""
    st.info(
        f"{plain(tile.title)} has no building footprints, so there is no mask or signed distance to show. "
        + (
            "Add labels on the Upload page."
            if tile.name
            else "Choose a labeled tile, or put its GeoJSON next to the image and register the folder again."
        ),
        icon=":material/info:",
    )
