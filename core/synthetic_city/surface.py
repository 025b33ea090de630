"""Surface raster of the city: material, brightness, height and slope per pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from core.synthetic_city.city import City, Part, Patch, Roof
from core.synthetic_city.crowns import plant
from core.synthetic_city.palette import SWATCH, UNEVENNESS
from core.synthetic_city.plan import Plan
from core.synthetic_city.roofs import Spots, form
from core.synthetic_city.streets import carriageway, pavements, surfacing

#: Side of a pixel in metres.
GSD_M = 0.3
#: Noise repeats after at most so many pixels.
_REPEAT = 2048


@dataclass(frozen=True)
class Surface:
    """Surface arrays (rows, cols), modified in place by rendering."""

    swatch: NDArray[np.uint8]  #: material, a row of palette.SPECTRA
    tone: NDArray[np.float32]  #: factor on its reflectance
    height: NDArray[np.float32]  #: metres above the street
    east: NDArray[np.float32]  #: rise over run towards the east
    south: NDArray[np.float32]  #: rise over run towards the south
    drift: NDArray[np.float32]  #: slow noise, also that of the haze
    transform: Affine  #: (column, row) to city metres

    @classmethod
    def blank(cls, shape: tuple[int, int], rim: int) -> "Surface":
        """Level soil, `rim` pixels more on each side than shape (rows, columns)."""
        rows, columns = shape[0] + 2 * rim, shape[1] + 2 * rim
        height, east, south, drift = np.zeros((4, rows, columns), np.float32)
        transform = Affine(GSD_M, 0, -rim * GSD_M, 0, GSD_M, -rim * GSD_M)
        soil = np.full((rows, columns), SWATCH["soil"], np.uint8)
        return cls(soil, np.ones_like(height), height, east, south, drift, transform)

    def extent(self, margin: float) -> Polygon:
        """The ground of the picture and `margin` metres more, in city metres."""
        rows, columns = self.height.shape
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (columns, rows)
        return shapely.box(west - margin, north - margin, east + margin, south + margin)


def make_surface(city: City, plan: Plan, shape: tuple[int, int], rim: int, rng: np.random.Generator) -> Surface:
    """The city in shape (rows, columns) pixels and `rim` more on each side."""
    surface = Surface.blank(shape, rim)
    asphalt = carriageway(plan.streets, surface.extent(20))
    _lay(surface, city.ground + pavements(asphalt) + city.paving + surfacing(asphalt, plan.streets, rng))
    _raise(surface, city.parts, rng)
    ground = surface.extent(-GSD_M) - asphalt
    shapely.prepare(ground)
    trees = np.array(city.trees, dtype=float).reshape(-1, 5)
    trees = trees[shapely.contains_xy(ground, trees[:, :2])]  # trunks that do not stand on a street
    plant(surface.height, surface.swatch, surface.tone, surface.east, surface.south, trees, surface.transform, rng)
    _roughen(surface, rng)
    return surface


def _numbers(surface: Surface, outlines: Sequence[BaseGeometry]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Flat pixel positions inside the outlines, and which outline it is; later ones lie over earlier ones."""
    shapes = [(outline, n) for n, outline in enumerate(outlines, 1) if not outline.is_empty]
    ids = rasterize(shapes, surface.height.shape, transform=surface.transform, dtype="int32")
    indices = np.flatnonzero(ids)
    return indices, ids.ravel()[indices] - 1


def _lay(surface: Surface, patches: Sequence[Patch]) -> None:
    indices, number = _numbers(surface, [patch.outline for patch in patches])
    surface.swatch.ravel()[indices] = np.array([patch.swatch for patch in patches], np.uint8)[number]
    surface.tone.ravel()[indices] = np.array([patch.tone for patch in patches], np.float32)[number]


def _raise(surface: Surface, parts: Sequence[Part], rng: np.random.Generator) -> None:
    streaks = rng.normal(0, 1, 4096).astype(np.float32)
    is_near = shapely.intersects(surface.extent(0), np.array([p.outline for p in parts], dtype=object))
    visible = [p for p, near in zip(parts, is_near, strict=True) if near]
    for layer in sorted({p.layer for p in visible}):
        _raise_layer(surface, [p for p in visible if p.layer == layer], streaks)


def _raise_layer(surface: Surface, parts: Sequence[Part], streaks: NDArray[np.float32]) -> None:
    """Puts parts that do not overlap on the surface, wherever they are higher than what is there."""
    indices, number = _numbers(surface, [p.outline for p in parts])
    columns = [(*p.frame, p.half_length, p.half_width, p.pitch, p.eaves, p.tone) for p in parts]
    x, y, angle, length, width, pitch, eaves, tone = np.array(columns, np.float32).T
    cos, sin = np.cos(angle)[number], np.sin(angle)[number]
    dx, dy = _offsets(surface, indices, x[number], y[number])
    spots = Spots(dx * cos + dy * sin, dy * cos - dx * sin, length[number], width[number], pitch[number])
    kind = np.array([p.roof for p in parts], np.uint8)[number]
    swatch = np.array([p.swatch for p in parts], np.uint8)[number]
    roof = form(kind, spots)
    height, is_decal = eaves[number] + roof.rise, kind == Roof.DECAL
    is_top = (height > surface.height.ravel()[indices]) | is_decal
    _put(surface.swatch, indices, is_top, swatch)
    _put(surface.tone, indices, is_top, tone[number] * (1 + roof.seam) * _courses(swatch, spots, number, streaks))
    is_solid = is_top & ~is_decal
    _put(surface.height, indices, is_solid, height)
    _put(surface.east, indices, is_solid, roof.along * cos - roof.across * sin)
    _put(surface.south, indices, is_solid, roof.along * sin + roof.across * cos)


def _offsets(
    surface: Surface, indices: NDArray[np.intp], x: NDArray[np.float32], y: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """From points (x, y) to the middles of pixels, metres east and south."""
    row, column = np.divmod(indices, surface.height.shape[1])
    east = ((column + 0.5) * GSD_M + surface.transform.c).astype(np.float32)
    south = ((row + 0.5) * GSD_M + surface.transform.f).astype(np.float32)
    return east - x, south - y


def _put(target: NDArray[Any], indices: NDArray[np.intp], chosen: NDArray[np.bool_], values: NDArray[Any]) -> None:
    target.ravel()[indices[chosen]] = values[chosen]


def _courses(
    swatch: NDArray[np.uint8], spots: Spots, number: NDArray[np.int32], streaks: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Rows of tiles along the roof, and streaks running down it."""
    rows = np.sin(spots.v * np.float32(7.3) + np.sin(spots.u * np.float32(1.3)))
    streak = streaks[(np.floor(spots.u * 1.4).astype(np.int32) + number * 37) % len(streaks)]
    strength = UNEVENNESS[:, 3][swatch]
    return 1 + strength * (np.float32(0.8) * rows + np.float32(0.5) * streak) + np.float32(0.02) * streak


def texture(rng: np.random.Generator, side: int, sizes: tuple[float, ...]) -> NDArray[np.float32]:
    """Smooth noise of unit variance (side, side) that continues over its rim; sizes of its clumps in pixels."""
    white = np.fft.rfft2(rng.standard_normal((side, side), np.float32)).astype(np.complex64)
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    square = (down**2 + across**2).astype(np.float32)
    amplitudes = np.sum([size * np.exp(-0.5 * square * (np.pi * size) ** 2) for size in sizes], axis=0)
    noise = np.fft.irfft2(white * amplitudes).astype(np.float32)
    return (noise - noise.mean()) / noise.std()


def _roughen(surface: Surface, rng: np.random.Generator) -> None:
    """Grain, clumps and drift, each as strong as the material says."""
    rows, columns = surface.height.shape
    side = min(_REPEAT, 2 ** ceil(log2(max(rows, columns))))
    repeat = np.ix_(np.arange(rows) % side, np.arange(columns) % side)
    grain, clumps, drift = (texture(rng, side, sizes)[repeat] for sizes in ((1.2,), (4, 9, 18), (60, 180)))
    surface.drift[:] = drift
    change = np.ones_like(surface.tone)
    for n, noise in enumerate((grain, clumps, drift)):
        change += UNEVENNESS[:, n][surface.swatch] * noise
    np.multiply(surface.tone, np.maximum(change, 0.25), out=surface.tone)
