"""Image rendering: contrast stretch, colored labels and probabilities, PNG and WebP, reprojection for the map."""

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

from core.catalog.spacenet_names import color_bands
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

#: Band numbers shown as red, green and blue, counted from 1.
Bands: TypeAlias = tuple[int, int, int]
#: Longest side of an image [px]; larger rasters are reduced.
MAX_SIDE = 2048
#: Longest side of a thumbnail [px].
THUMBNAIL_SIDE = 224
#: Most images sampled for the stretch of an area, and the side [px] they are reduced to.
_STRETCH_IMAGES, _STRETCH_SIDE = 16, 96
#: Marks of the signed distance's legend [m].
DISTANCE_MARKS = (-64, -16, -4, 0, 4, 16, 64)

#: Lookup table of gamma 0.8, which brightens shadows and asphalt.
_GAMMA = np.round(255 * (np.arange(256) / 255) ** 0.8).astype(np.uint8)


def parse_bands(text: str) -> Bands | None:
    """Parse three band numbers such as 7,5,3 or 7-5-3; None for anything else."""
    match = re.fullmatch(r"([1-9]\d{0,2})[-,]([1-9]\d{0,2})[-,]([1-9]\d{0,2})", text, re.ASCII)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


@dataclass(frozen=True)
class EncodedImage:
    """Encoded image with its bounds: west, south, east, north [degrees]."""

    data: bytes
    media_type: str
    bounds: Bounds


@dataclass(frozen=True)
class Stretch:
    """Contrast stretch: the values shown as black and as white, (bands,) each."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, images: Iterable[Raster]) -> "Stretch":
        """Compute the 2nd and the 98th percentile of all valid pixels of some rasters."""
        pixels = np.concatenate([raster.pixels[:, raster.valid] for raster in images], axis=1)
        if not pixels.size:
            return cls(np.zeros(len(pixels)), np.ones(len(pixels)))
        sample = pixels[:, :: max(1, pixels.shape[1] // 200_000)].astype(np.float64)
        sample[~np.isfinite(sample)] = np.nan
        sample[:, 0] = np.where(np.isnan(sample).all(axis=1), 0, sample[:, 0])  # a band without any finite value
        low, high = np.nanpercentile(sample, (2, 98), axis=1)
        return cls(low, high)


def apply_stretch(raster: Raster, stretch: Stretch | None = None) -> Pixels:
    """Render a raster of one or three bands with a contrast stretch and gamma 0.8.

    Args:
        raster: One band, shown in gray, or red, green and blue.
        stretch: The raster's own stretch by default.

    Returns:
        (rows, cols, 4) uint8 RGBA, transparent where the raster has no data.
    """
    low, high = (limit.astype(np.float32)[:, None, None] for limit in astuple(stretch or Stretch.of([raster])))
    levels = (np.clip(raster.pixels, low, high) - low) * (255.0 / np.maximum(high - low, 1e-6))
    rgb = _GAMMA[np.nan_to_num(levels).astype(np.uint8)]
    return np.dstack(
        [*(rgb if len(rgb) == 3 else rgb.repeat(3, axis=0)), np.where(raster.valid, 255, 0).astype(np.uint8)]
    )


def stretch_of(tile: Tile, bands: Bands | None = None) -> Stretch:
    """Compute the stretch of a tile's area, so that tiles join without seams; an upload gets its own."""
    return area_stretch(_similar_tiles(tile), bands)


def stretch_version(tile: Tile, bands: Bands | None = None) -> str:
    """Digest of the images behind `stretch_of`, for caching; it changes when tiles are added to the area."""
    return blake2b(repr(_sample_tiles(_similar_tiles(tile), bands)).encode(), digest_size=6).hexdigest()


def _similar_tiles(tile: Tile) -> Sequence[Tile]:
    return [tile] if tile.name else read_catalog().downloaded.of_aoi(tile.aoi).tiles


def area_stretch(tiles: Sequence[Tile], bands: Bands | None = None) -> Stretch:
    """Compute one stretch for an area from reduced copies of up to 16 of its images.

    Uploads share no area: pass one at a time.
    """
    return _area_stretch(_sample_tiles(tiles, bands), bands)


def _sample_tiles(tiles: Sequence[Tile], bands: Bands | None) -> tuple[tuple[Path, int], ...]:
    """Choose up to 16 image files of the tiles, with their modification times."""
    downloaded = [tile for tile in tiles if tile.is_downloaded]
    images = [display_file(tile, bands) for tile in downloaded[:: -(-len(downloaded) // _STRETCH_IMAGES) or 1]]
    return tuple((path, path.stat().st_mtime_ns if path.exists() else 0) for path in images)


@lru_cache(maxsize=64)
def _area_stretch(images: tuple[tuple[Path, int], ...], bands: Bands | None) -> Stretch:
    copies: list[Raster] = []
    for path, _changed in images:
        # A damaged file is reported when it is drawn itself; it must not keep the other tiles from being shown.
        with suppress(GroundplanError):
            copies.append(_read_reduced(path, (_STRETCH_SIDE, _STRETCH_SIDE), bands))
    rgb = [copy for copy in copies if len(copy.pixels) == 3]
    return Stretch.of(rgb or copies) if copies else Stretch(np.zeros(3), np.ones(3))


def color_mask(mask: Mask, color: str) -> Pixels:
    """Render a mask in one color.

    Args:
        mask: (rows, cols); set where greater than 0.
        color: Hexadecimal color.

    Returns:
        (rows, cols, 4) uint8 RGBA, transparent where the mask is not set.
    """
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[mask > 0] = (*colors.rgb(color), 255)
    return rgba


def color_distance(distance: Distance) -> Pixels:
    """Render a signed distance: blue outside, white at the boundary, red inside.

    Args:
        distance: (rows, cols) [m].

    Returns:
        (rows, cols, 4) uint8 RGBA.
    """
    level = distance_level(distance) * 127.5 + 127.5
    return _color_ramp("RdBu_r")[level.astype(np.uint8)]


def distance_level(distance: Distance | float) -> np.ndarray:
    """Map a distance to the color ramp; the square root spreads small distances.

    Args:
        distance: Signed distance [m], any shape.

    Returns:
        Position on the ramp, -1 to 1, same shape.
    """
    return np.sign(distance) * np.sqrt(np.abs(distance) / CLIP_M)


def color_probability(probability: Probability) -> Pixels:
    """Render a probability with the viridis color map, more transparent the lower it is.

    Args:
        probability: (rows, cols), 0 to 1; NaN counts as 0.

    Returns:
        (rows, cols, 4) uint8 RGBA.
    """
    level = (np.nan_to_num(probability) * 255).astype(np.uint8)
    rgba = _color_ramp("viridis")[level]
    rgba[..., 3] = np.minimum(level.astype(np.uint16) * 2, 255)
    return rgba


@lru_cache(maxsize=8)
def _color_ramp(name: str) -> Pixels:
    ramp: Pixels = mpl.colormaps[name](np.linspace(0, 1, 256), bytes=True)
    return ramp


@lru_cache(maxsize=8)
def ramp_css(name: str) -> str:
    """Format a color map as the stops of a CSS gradient, for legends."""
    return ", ".join(mpl.colors.to_hex(mpl.colormaps[name](level)) for level in np.linspace(0, 1, 9))


#: Label layers by name.
_LAYERS: dict[str, Callable[[Labels], Pixels]] = {
    "mask": lambda labels: color_mask(labels.mask, colors.TRUTH),
    "distance": lambda labels: color_distance(labels.distance),
    "boundary": lambda labels: color_mask(labels.boundary_mask, colors.BOUNDARY),
    "contact": lambda labels: color_mask(labels.contact_mask, colors.CONTACT),
}
LAYERS = ("image", "outlines", *_LAYERS)
#: Layers that show the image itself.
IMAGE_LAYERS = ("image", "outlines")


def draw(tile: Tile, layer: str, stretch: Stretch | None = None) -> Raster:
    """Render a layer of a tile on the tile's own grid, at most MAX_SIDE pixels a side.

    Args:
        tile: Tile to render.
        layer: One of LAYERS.
        stretch: Contrast stretch of the image; its own by default.

    Returns:
        RGBA, (4, rows, cols) uint8.

    Raises:
        NoImage: The tile has no image.
        NoLabels: The layer needs labels and the tile has none.
    """
    if layer == "image":
        image = _read_reduced(tile.image, _display_grid(rasters.read_info(tile.image).grid).shape)
        return Raster(np.moveaxis(apply_stretch(image, stretch), 2, 0), image.grid)
    labels = read_tile_labels(tile)
    reduced = labels.at_most(MAX_SIDE)
    if layer == "outlines":
        return draw_outlines(draw(tile, "image", stretch), reduced.pixels, colors.TRUTH)
    return Raster(np.moveaxis(_LAYERS[layer](reduced), 2, 0), reduced.grid)


def draw_outlines(rgba: Raster, shapes: Geometries, color: str) -> Raster:
    """Draw outlines over an image, as a thin line on a dark halo.

    Args:
        rgba: RGBA image, (4, rows, cols) uint8.
        shapes: (n,) polygons in pixels of the image.
        color: Hexadecimal color.
    """
    pixels = rgba.pixels.copy()
    lines = shapely.boundary(shapes)
    for line_color, width in ((colors.HALO, 2.2), (color, 1.2)):
        if len(lines):
            line_mask = rasterize(shapely.buffer(lines, width), out_shape=rgba.grid.shape, dtype="uint8") > 0
            pixels[:, line_mask] = np.array([*colors.rgb(line_color), 255], np.uint8)[:, None]
    return Raster(pixels, rgba.grid)


def on_black(rgba: Raster) -> Raster:
    """Composite an RGBA image on the near-black background of the pages."""
    alpha = rgba.pixels[3:] / np.float32(255)
    background = np.array(colors.rgb(colors.HALO), np.float32)[:, None, None]
    return Raster((rgba.pixels[:3] * alpha + background * (1 - alpha)).astype(np.uint8), rgba.grid)


def _display_grid(grid: Grid) -> Grid:
    rows, columns = _reduced_shape(grid, MAX_SIDE)
    return grid if (rows, columns) == grid.shape else grid.resized(columns, rows)


def _reduced_shape(grid: Grid, side: int) -> tuple[int, int]:
    """Reduce a grid's (rows, cols) to at most `side` pixels each."""
    shrink = max(1.0, max(grid.shape) / side)
    return max(1, round(grid.height / shrink)), max(1, round(grid.width / shrink))


def _read_reduced(path: Path, shape: tuple[int, int], bands: Bands | None = None) -> Raster:
    return rasters.read(path, bands or _default_bands(path), shape, Resampling.average)


def _default_bands(path: Path) -> tuple[int, ...]:
    count = rasters.read_info(path).bands
    return color_bands(path, count) if count >= 3 else (1,)


def display_file(tile: Tile, bands: Bands | None = None) -> Path:
    """Choose the file to show: the RGB image, or the eight-band one if bands are given; raises NoImage."""
    return tile.image if bands is None else tile.eight_bands or tile.image


def xyz_image(tile: Tile, zxy: tuple[int, int, int], stretch: Stretch, bands: Bands | None = None) -> EncodedImage:
    """Render a tile's image for an XYZ tile of the map, transparent beside the image.

    Args:
        tile: Tile to render.
        zxy: Zoom, column and row of the XYZ tile.
        stretch: Contrast stretch.
        bands: Three bands of the file with the most bands, counted from 1; the default bands if None.

    Raises:
        NoImage: The tile has no image.
        NoSuchMapTile: There is no such XYZ tile.
    """
    path = display_file(tile, bands)
    image = xyz_tiles.read_xyz_tile(path, zxy, bands or _default_bands(path))
    if image is None:
        return _blank()
    rgba = Raster(np.moveaxis(apply_stretch(image, stretch), 2, 0), image.grid)
    return EncodedImage(encode_image(rgba, photo=True), "image/webp", image.grid.bounds)


@lru_cache(maxsize=1)
def _blank() -> EncodedImage:
    """Build the transparent image of an XYZ tile without data."""
    grid = Grid(xyz_tiles.SIDE, xyz_tiles.SIDE, Affine.identity(), WEB_MERCATOR)
    transparent = Raster(np.zeros((4, *grid.shape), np.uint8), grid)
    return EncodedImage(encode_image(transparent, photo=False), "image/webp", grid.bounds)


def encode_image(rgba: Raster, photo: bool) -> bytes:
    """Encode RGBA as WebP on its own grid: lossy at a tenth of the size for photos, lossless for labels."""
    options = {"quality": 85, "method": 2} if photo else {"lossless": True, "quality": 20, "method": 1}
    file = io.BytesIO()
    Image.fromarray(np.moveaxis(rgba.pixels, 0, 2)).save(file, "WEBP", **options)
    return file.getvalue()


def overlay(rgba: Raster, photo: bool = True) -> EncodedImage:
    """Reproject RGBA to Web Mercator and encode it, as an overlay of the map between its bounds."""
    warped = rasters.to_web_mercator(rgba)
    return EncodedImage(encode_image(warped, photo), "image/webp", warped.grid.bounds)


def thumbnail(tile: Tile, stretch: Stretch | None = None) -> EncodedImage:
    """Render a tile's image for the map, at most THUMBNAIL_SIDE pixels a side."""
    image = _read_reduced(tile.image, _reduced_shape(rasters.read_info(tile.image).grid, THUMBNAIL_SIDE))
    return overlay(Raster(np.moveaxis(apply_stretch(image, stretch), 2, 0), image.grid))


def on_background(rgba: Raster, photo: bool = True) -> EncodedImage:
    """Encode RGBA on its own grid, on the dark background of the pages."""
    return EncodedImage(encode_image(on_black(rgba), photo), "image/webp", rgba.grid.bounds)


def map_bounds(path: Path) -> Bounds:
    """Compute the bounds [degrees] of a raster's map overlay without rendering it."""
    return rasters.web_mercator_grid(_display_grid(rasters.read_info(path).grid)).bounds


def probability_overlay(path: Path) -> EncodedImage:
    """Render a probability GeoTIFF as a map overlay."""
    raster = rasters.read(path, (1,), _display_grid(rasters.read_info(path).grid).shape)
    rgba = np.moveaxis(color_probability(raster.pixels[0]), 2, 0)
    return overlay(Raster(rgba, raster.grid))


def depth_overlay(path: Path) -> EncodedImage:
    """Render the boundary distance of a probability GeoTIFF as a map overlay; raises MissingBand."""
    raster = rasters.read(path, (2,), _display_grid(rasters.read_info(path).grid).shape)
    rgba = np.moveaxis(color_distance(raster.pixels[0]), 2, 0)
    return overlay(Raster(rgba, raster.grid))
