"""Arrays as pictures: stretched images and coloured labels, on the tile's own grid or warped for a browser map."""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
import shapely
from affine import Affine
from PIL import Image
from rasterio.enums import Resampling
from rasterio.features import rasterize

from core.catalog.spacenet_names import colour_bands
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.errors import GroundplanError
from core.geo import raster as rasters
from core.geo import xyz_tiles
from core.geo.grid import WEB_MERCATOR, Grid
from core.geo.raster import Raster
from core.labels.labels import CLIP_M, Labels
from core.rendering import colors
from core.types import Bounds, Distance, Geometries, Mask, Pixels, Probability

#: Red, green and blue of what is shown, by their bands counted from 1.
Bands: TypeAlias = tuple[int, int, int]
#: No picture is made with a longer side than this; larger rasters are shown smaller.
LONGEST = 2048
THUMBNAIL = 224
#: How many images of an area are looked at for its stretch, and at which size in pixels.
_LOOKED_AT, _COPY = 16, 96
#: Where the legend of the signed distance has its marks, in metres.
DISTANCE_MARKS = (-64, -16, -4, 0, 4, 16, 64)


#: Satellite images are dark where shadows and asphalt are; this gamma shows what lies in them.
_BRIGHTER = np.round(255 * (np.arange(256) / 255) ** 0.8).astype(np.uint8)


def parse_bands(text: str) -> Bands | None:
    """Three bands from text like 7,5,3 or 7-5-3; None where it is something else."""
    found = re.fullmatch(r"([1-9]\d{0,2})[-,]([1-9]\d{0,2})[-,]([1-9]\d{0,2})", text, re.ASCII)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


@dataclass(frozen=True)
class Picture:
    """An encoded picture and the ground it covers (west, south, east, north in degrees)."""

    data: bytes
    media_type: str
    bounds: Bounds


@dataclass(frozen=True)
class Stretch:
    """What is shown black and what white, one value a band."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, rasters_: Iterable[Raster]) -> "Stretch":
        """From the 2nd to the 98th percentile of all pixels with a picture."""
        seen = np.concatenate([raster.pixels[:, raster.valid] for raster in rasters_], axis=1)
        if not seen.size:
            return cls(np.zeros(len(seen)), np.ones(len(seen)))
        some = seen[:, :: max(1, seen.shape[1] // 200_000)].astype(np.float64)
        some[~np.isfinite(some)] = np.nan
        some[:, 0] = np.where(np.isnan(some).all(axis=1), 0, some[:, 0])  # a band without a number
        low, high = np.nanpercentile(some, (2, 98), axis=1)
        return cls(low, high)


def stretched(raster: Raster, stretch: Stretch | None = None) -> Pixels:
    """(rows, columns, 4) uint8 of three bands, or of one in grey, gamma 0.8; transparent where there is no picture."""
    low, high = (end.astype(np.float32)[:, None, None] for end in astuple(stretch or Stretch.of([raster])))
    levels = (np.clip(raster.pixels, low, high) - low) * (255.0 / np.maximum(high - low, 1e-6))
    rgb = _BRIGHTER[np.nan_to_num(levels).astype(np.uint8)]
    return np.dstack(
        [*(rgb if len(rgb) == 3 else rgb.repeat(3, axis=0)), np.where(raster.valid, 255, 0).astype(np.uint8)]
    )


def stretch_of(tile: Tile, bands: Bands | None = None) -> Stretch:
    """The one its area has, so that tiles join without seams; uploads have nothing in common."""
    return area_stretch(_alike(tile), bands)


def stretch_version(tile: Tile, bands: Bands | None = None) -> str:
    """Tells one state of the stretch from another: it changes when tiles come into the area."""
    return blake2b(repr(_looked_at(_alike(tile), bands)).encode(), digest_size=6).hexdigest()


def _alike(tile: Tile) -> Sequence[Tile]:
    return [tile] if tile.name else read_catalog().here.of_aoi(tile.aoi).tiles


def area_stretch(tiles: Sequence[Tile], bands: Bands | None = None) -> Stretch:
    """One stretch for an area, so that its tiles join without seams: from small copies of up to 16 of its images.

    Uploads have nothing in common but their area's name: of them, hand in one.
    """
    return _area_stretch(_looked_at(tiles, bands), bands)


def _looked_at(tiles: Sequence[Tile], bands: Bands | None) -> tuple[tuple[Path, int], ...]:
    """Up to 16 images of the area, and when they changed last."""
    here = [tile for tile in tiles if tile.is_here]
    images = [shown_file(tile, bands) for tile in here[:: -(-len(here) // _LOOKED_AT) or 1]]
    return tuple((path, path.stat().st_mtime_ns if path.exists() else 0) for path in images)


@lru_cache(maxsize=64)
def _area_stretch(images: tuple[tuple[Path, int], ...], bands: Bands | None) -> Stretch:
    copies: list[Raster] = []
    for path, _changed in images:
        # A damaged file is told when it is its own turn to be drawn; its neighbours are shown all the same.
        with suppress(GroundplanError):
            copies.append(_image(path, (_COPY, _COPY), bands))
    colour = [copy for copy in copies if len(copy.pixels) == 3]
    return Stretch.of(colour or copies) if copies else Stretch(np.zeros(3), np.ones(3))


def coloured_mask(mask: Mask, colour: str) -> Pixels:
    """(rows, columns, 4) uint8: one colour where the mask is set, transparent elsewhere."""
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[mask > 0] = (*colors.rgb(colour), 255)
    return rgba


def coloured_distance(distance: Distance) -> Pixels:
    """(rows, columns, 4) uint8: blue outside, white at the wall, red inside; the square root spreads small metres."""
    level = distance_level(distance) * 127.5 + 127.5
    return _ramp("RdBu_r")[level.astype(np.uint8)]


def distance_level(metres: Distance | float) -> np.ndarray:
    """Place of a distance on the colour ramp, -1 to 1."""
    return np.sign(metres) * np.sqrt(np.abs(metres) / CLIP_M)


def coloured_probability(probability: Probability) -> Pixels:
    """(rows, columns, 4) uint8: viridis, the less probable the more transparent."""
    level = (np.nan_to_num(probability) * 255).astype(np.uint8)
    rgba = _ramp("viridis")[level]
    rgba[..., 3] = np.minimum(level.astype(np.uint16) * 2, 255)
    return rgba


@lru_cache(maxsize=8)
def _ramp(name: str) -> Pixels:
    ramp: Pixels = mpl.colormaps[name](np.linspace(0, 1, 256), bytes=True)
    return ramp


@lru_cache(maxsize=8)
def ramp_css(name: str) -> str:
    """A colour ramp as the stops of a CSS gradient, for legends."""
    return ", ".join(mpl.colors.to_hex(mpl.colormaps[name](level)) for level in np.linspace(0, 1, 9))


#: What can be drawn of a tile's labels.
_LAYERS: dict[str, Callable[[Labels], Pixels]] = {
    "mask": lambda labels: coloured_mask(labels.mask, colors.TRUTH),
    "distance": lambda labels: coloured_distance(labels.distance),
    "boundary": lambda labels: coloured_mask(labels.boundary, colors.BOUNDARY),
    "contact": lambda labels: coloured_mask(labels.contact, colors.CONTACT),
}
LAYERS = ("image", "outlines", *_LAYERS)
#: Those that show the ground itself.
PHOTOS = ("image", "outlines")


def draw(tile: Tile, layer: str, stretch: Stretch | None = None) -> Raster:
    """A layer of a tile as RGBA (4, rows, columns) on its own grid, at most LONGEST px a side.

    Raises NoImage, NoLabels and what reading raises; `layer` is one of LAYERS; `stretch` is for its image.
    """
    if layer == "image":
        image = _image(tile.image, _shown_grid(rasters.describe(tile.image).grid).shape)
        return Raster(np.moveaxis(stretched(image, stretch), 2, 0), image.grid)
    labels = read_tile_labels(tile)
    shown = labels.at_most(LONGEST)
    if layer == "outlines":
        return outlined(draw(tile, "image", stretch), shown.pixels, colors.TRUTH)
    return Raster(np.moveaxis(_LAYERS[layer](shown), 2, 0), shown.grid)


def outlined(rgba: Raster, shapes: Geometries, colour: str) -> Raster:
    """A picture with outlines (in its pixels) drawn over it: a thin line on a dark halo."""
    pixels = rgba.pixels.copy()
    lines = shapely.boundary(shapes)
    for paint, width in ((colors.HALO, 2.2), (colour, 1.2)):
        if len(lines):
            line = rasterize(shapely.buffer(lines, width), out_shape=rgba.grid.shape, dtype="uint8") > 0
            pixels[:, line] = np.array([*colors.rgb(paint), 255], np.uint8)[:, None]
    return Raster(pixels, rgba.grid)


def on_black(rgba: Raster) -> Raster:
    """The picture with what is transparent painted nearly black, as the pages are."""
    alpha = rgba.pixels[3:] / np.float32(255)
    ground = np.array(colors.rgb(colors.HALO), np.float32)[:, None, None]
    return Raster((rgba.pixels[:3] * alpha + ground * (1 - alpha)).astype(np.uint8), rgba.grid)


def _shown_grid(grid: Grid) -> Grid:
    shrink = max(1.0, max(grid.shape) / LONGEST)
    return grid if shrink == 1 else grid.resized(_side(grid.width / shrink), _side(grid.height / shrink))


def _side(pixels: float) -> int:
    """Whole pixels, one at least."""
    return max(1, round(pixels))


def _image(path: Path, shape: tuple[int, int], bands: Bands | None = None) -> Raster:
    return rasters.read(path, bands or _colours(path), shape, Resampling.average)


def _colours(path: Path) -> tuple[int, ...]:
    count = rasters.describe(path).bands
    return colour_bands(path, count) if count >= 3 else (1,)


def shown_file(tile: Tile, bands: Bands | None = None) -> Path:
    """The file with the colours, or with the most bands where some are asked for; raises NoImage."""
    return tile.image if bands is None else tile.eight_bands or tile.image


def square(tile: Tile, place: tuple[int, int, int], stretch: Stretch, bands: Bands | None = None) -> Picture:
    """A square (z, x, y) of a browser map with the image of a tile, transparent beside it.

    `bands` are three of the file with the most bands, counted from 1. Raises NoImage and what read_square raises.
    """
    path = shown_file(tile, bands)
    found = xyz_tiles.read_square(path, place, bands or _colours(path))
    if found is None:
        return _blank()
    rgba = Raster(np.moveaxis(stretched(found, stretch), 2, 0), found.grid)
    return Picture(encoded(rgba, photo=True), "image/webp", found.grid.bounds)


@lru_cache(maxsize=1)
def _blank() -> Picture:
    """What a map shows where a raster is not."""
    grid = Grid(xyz_tiles.SIDE, xyz_tiles.SIDE, Affine.identity(), WEB_MERCATOR)
    nothing = Raster(np.zeros((4, *grid.shape), np.uint8), grid)
    return Picture(encoded(nothing, photo=False), "image/webp", grid.bounds)


def encoded(rgba: Raster, photo: bool) -> bytes:
    """WebP of the picture on its own grid: photographs at a tenth of the size, labels without loss."""
    how = {"quality": 85, "method": 2} if photo else {"lossless": True, "quality": 20, "method": 1}
    file = io.BytesIO()
    Image.fromarray(np.moveaxis(rgba.pixels, 0, 2)).save(file, "WEBP", **how)
    return file.getvalue()


def overlay(rgba: Raster, photo: bool = True) -> Picture:
    """The picture warped into Web Mercator, to lie on a browser map between its bounds."""
    flat = rasters.to_web_mercator(rgba)
    return Picture(encoded(flat, photo), "image/webp", flat.grid.bounds)


def thumbnail(tile: Tile, stretch: Stretch | None = None) -> Picture:
    """The image of a tile for a browser map, at most THUMBNAIL px a side."""
    grid = rasters.describe(tile.image).grid
    shrink = max(1.0, max(grid.shape) / THUMBNAIL)
    shape = _side(grid.height / shrink), _side(grid.width / shrink)
    image = _image(tile.image, shape)
    return overlay(Raster(np.moveaxis(stretched(image, stretch), 2, 0), image.grid))


def flat(rgba: Raster, photo: bool = True) -> Picture:
    """The picture as it lies on its own pixels, dark where it is transparent."""
    return Picture(encoded(on_black(rgba), photo), "image/webp", rgba.grid.bounds)


def map_bounds(path: Path) -> Bounds:
    """Between which degrees the overlay of a raster lies, without drawing it."""
    return rasters.web_mercator_grid(_shown_grid(rasters.describe(path).grid)).bounds


def probability_overlay(path: Path) -> Picture:
    """A probability GeoTIFF for a browser map."""
    raster = rasters.read(path, (1,), _shown_grid(rasters.describe(path).grid).shape)
    rgba = np.moveaxis(coloured_probability(raster.pixels[0]), 2, 0)
    return overlay(Raster(rgba, raster.grid))


def depth_overlay(path: Path) -> Picture:
    """The distance to the nearest wall of a probability GeoTIFF, in metres, for a browser map; raises MissingBand."""
    raster = rasters.read(path, (2,), _shown_grid(rasters.describe(path).grid).shape)
    rgba = np.moveaxis(coloured_distance(raster.pixels[0]), 2, 0)
    return overlay(Raster(rgba, raster.grid))
