"""The city as pixels: which material lies in each one, how bright, how high and how steep."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.ops import substring

from core.catalog.sample.city import City, Part, Patch, Roof, Tree
from core.catalog.sample.crowns import plant
from core.catalog.sample.palette import SWATCH, UNEVENNESS
from core.catalog.sample.plan import PAVEMENT_M, Plan, Street

#: Side of a pixel in metres.
GSD_M = 0.3
_TEXTURE = 2048


@dataclass
class Surface:
    """Arrays (rows, columns); painting changes them in place."""

    swatch: NDArray[np.uint8]  #: material, a row of palette.SPECTRA
    tone: NDArray[np.float32]  #: factor on its reflectance
    height: NDArray[np.float32]  #: metres above the street
    east: NDArray[np.float32]  #: rise over run towards the east
    south: NDArray[np.float32]  #: rise over run towards the south
    drift: NDArray[np.float32]  #: slow noise, also that of the haze
    transform: Affine  #: (column, row) to city metres


def make_surface(city: City, plan: Plan, shape: tuple[int, int], rim: int, rng: np.random.Generator) -> Surface:
    """The city in shape (rows, columns) pixels and `rim` more on each side."""
    transform = Affine(GSD_M, 0, -rim * GSD_M, 0, GSD_M, -rim * GSD_M)
    padded = (shape[0] + 2 * rim, shape[1] + 2 * rim)
    surface = Surface(*_blank(padded), transform)
    carriageway = _carriageway(plan.streets, shapely.box(*_extent(surface, 20)))
    _lay(surface, city.ground + _pavements(carriageway) + city.paving + _streets(carriageway, plan.streets, rng))
    _raise(surface, city.parts, rng)
    standing = _beside(city.trees, carriageway, shapely.box(*_extent(surface, -GSD_M)))
    plant(surface.height, surface.swatch, surface.tone, surface.east, surface.south, standing, transform, rng)
    _roughen(surface, rng)
    return surface


def _blank(shape: tuple[int, int]) -> tuple[NDArray[Any], ...]:
    zeros = [np.zeros(shape, np.float32) for _ in range(4)]
    return np.full(shape, SWATCH["soil"], np.uint8), np.ones(shape, np.float32), *zeros


def _extent(surface: Surface, margin: float) -> tuple[float, float, float, float]:
    rows, columns = surface.height.shape
    west, north = surface.transform @ (0, 0)
    east, south = surface.transform @ (columns, rows)
    return west - margin, north - margin, east + margin, south + margin


def _carriageway(streets: Sequence[Street], extent: shapely.Polygon) -> shapely.Geometry:
    """Asphalt between the kerbs of all streets, corners rounded."""
    ribbons = [street.line.intersection(extent).buffer(street.width / 2, cap_style="flat") for street in streets]
    return shapely.union_all(ribbons).buffer(4, quad_segs=6).buffer(-4, quad_segs=6)


def _pavements(carriageway: shapely.Geometry) -> list[Patch]:
    return [Patch(carriageway.buffer(PAVEMENT_M, quad_segs=4), SWATCH["pavement"], 1.0)]


def _streets(carriageway: shapely.Geometry, streets: Sequence[Street], rng: np.random.Generator) -> list[Patch]:
    """Kerb, asphalt, then what years and traffic did to it, then marks."""
    layers = [Patch(carriageway.buffer(0.32), SWATCH["kerb"], 1.0), Patch(carriageway, SWATCH["asphalt"], 1.0)]
    marks = []
    for street in streets:
        tone = rng.uniform(0.85, 1.45)
        whole = street.line.buffer(street.width / 2 - 0.3, cap_style="flat").intersection(carriageway)
        layers.append(Patch(whole, SWATCH["asphalt"], tone))
        for s in rng.uniform(5, street.line.length - 5, int(street.line.length / 70)):
            piece = substring(street.line, s, s + rng.uniform(2, 40))
            strip = piece.offset_curve(rng.uniform(-0.3, 0.3) * street.width).buffer(rng.uniform(0.5, 1.6), cap_style="flat")
            layers.append(Patch(strip, SWATCH["patched asphalt"], tone * rng.uniform(0.9, 1.6)))
        if street.width > 8.2:
            marks += _marks(street)
    return layers + marks


def _marks(street: Street) -> list[Patch]:
    """A middle line, on wide streets also dashed lanes; none near the ends, where streets meet."""
    end = 14 if street.is_arterial else 10
    if street.line.length < 3 * end:
        return []
    middle = substring(street.line, end, street.line.length - end)
    if not street.is_arterial:
        return [Patch(_dashes(middle, 3, 9), SWATCH["lane mark"], 0.8)]
    double = shapely.union_all([middle.offset_curve(v).buffer(0.17) for v in (-0.35, 0.35)])
    lanes = shapely.union_all([_dashes(middle.offset_curve(v), 3, 9) for v in (-street.width / 4, street.width / 4)])
    return [Patch(double, SWATCH["lane mark"], 0.8), Patch(lanes, SWATCH["lane mark"], 0.95)]


def _dashes(line: shapely.LineString, dash: float, period: float) -> shapely.Geometry:
    starts = np.arange(0, line.length - dash, period)
    ends = shapely.line_interpolate_point(line, np.stack([starts, starts + dash], axis=1))
    segments = shapely.linestrings(shapely.get_coordinates(ends).reshape(-1, 2, 2))
    return shapely.union_all(shapely.buffer(segments, 0.17, cap_style="flat"))


def _beside(trees: Sequence[Tree], carriageway: shapely.Geometry, extent: shapely.Polygon) -> NDArray[np.float64]:
    """The trees (n, 5) in the picture whose trunk does not stand on a street."""
    rows = np.array(trees, dtype=float).reshape(-1, 5)
    ground = shapely.difference(extent, carriageway)
    shapely.prepare(ground)
    return rows[shapely.contains_xy(ground, rows[:, :2])]


def _numbers(surface: Surface, outlines: Sequence[shapely.Geometry]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Flat pixel positions inside the outlines, and which outline it is; later ones lie over earlier ones."""
    shapes = ((outline, n) for n, outline in enumerate(outlines, 1) if not outline.is_empty)
    ids = rasterize(shapes, surface.height.shape, transform=surface.transform, dtype="int32")
    where = np.flatnonzero(ids)
    return where, ids.ravel()[where] - 1


def _lay(surface: Surface, patches: Sequence[Patch]) -> None:
    where, number = _numbers(surface, [patch.outline for patch in patches])
    surface.swatch.ravel()[where] = np.array([patch.swatch for patch in patches], np.uint8)[number]
    surface.tone.ravel()[where] = np.array([patch.tone for patch in patches], np.float32)[number]


def _raise(surface: Surface, parts: Sequence[Part], rng: np.random.Generator) -> None:
    streaks = rng.normal(0, 1, 4096).astype(np.float32)
    rim = shapely.box(*_extent(surface, 0))
    near = shapely.intersects(rim, np.array([p.outline for p in parts], dtype=object))
    seen = [p for p, is_near in zip(parts, near, strict=True) if is_near]
    for layer in sorted({p.layer for p in seen}):
        _raise_layer(surface, [p for p in seen if p.layer == layer], streaks)


def _raise_layer(surface: Surface, parts: Sequence[Part], streaks: NDArray[np.float32]) -> None:
    """Puts parts that do not overlap on the surface, wherever they are higher than what is there."""
    where, number = _numbers(surface, [p.outline for p in parts])
    table = np.array([(*p.frame, p.half_length, p.half_width, p.eaves, p.pitch, p.tone) for p in parts], np.float32)
    x, y, angle, length, width, eaves, pitch, tone = table.T
    row, column = np.divmod(where, surface.height.shape[1])
    dx = ((column + 0.5) * GSD_M + surface.transform.c).astype(np.float32) - x[number]
    dy = ((row + 0.5) * GSD_M + surface.transform.f).astype(np.float32) - y[number]
    cos, sin = np.cos(angle)[number], np.sin(angle)[number]
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    kind = np.array([p.roof for p in parts], np.uint8)[number]
    swatch = np.array([p.swatch for p in parts], np.uint8)[number]
    rise, du, dv, seam = _form(kind, u, v, length[number], width[number], pitch[number])
    height = eaves[number] + rise
    flat = surface.height.ravel()
    is_decal = kind == Roof.DECAL
    on_top = (height > flat[where]) | is_decal
    shade = tone[number] * (1 + seam) * _courses(swatch, u, v, number, streaks)
    _put(surface.swatch, where, on_top, swatch)
    _put(surface.tone, where, on_top, shade)
    solid = on_top & ~is_decal
    _put(surface.height, where, solid, height)
    _put(surface.east, where, solid, du * cos - dv * sin)
    _put(surface.south, where, solid, du * sin + dv * cos)


def _put(target: NDArray[Any], where: NDArray[np.intp], chosen: NDArray[np.bool_], values: NDArray[Any]) -> None:
    target.ravel()[where[chosen]] = values[chosen]


def _courses(
    swatch: NDArray[np.uint8], u: NDArray, v: NDArray, number: NDArray[np.int32], streaks: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Rows of tiles along the roof, and streaks running down it."""
    strength = UNEVENNESS[:, 3][swatch]
    rows = np.sin(v * np.float32(5.2) + np.sin(u * np.float32(1.3)))
    streak = streaks[(np.floor(u * 1.4).astype(np.int32) + number * 37) % len(streaks)]
    return 1 + strength * (np.float32(0.8) * rows + np.float32(0.5) * streak) + np.float32(0.02) * streak


def _form(
    kind: NDArray[np.uint8], u: NDArray, v: NDArray, length: NDArray, width: NDArray, pitch: NDArray
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Rise over the eaves, its slopes along u and v, and how much brighter ridges and rims are; float32 (n,) each."""
    out = tuple(np.zeros(len(u), np.float32) for _ in range(4))
    for roof, form in _FORMS.items():
        at = np.flatnonzero(kind == roof)
        if len(at):
            for array, values in zip(out, form(u[at], v[at], length[at], width[at], pitch[at]), strict=True):
                array[at] = values
    return out


def _gable(u: NDArray, v: NDArray, length: NDArray, width: NDArray, pitch: NDArray) -> tuple[Any, ...]:
    return pitch * (width - np.abs(v)), 0, -pitch * np.sign(v), 0.22 * (np.abs(v) < 0.2)


def _hip(u: NDArray, v: NDArray, length: NDArray, width: NDArray, pitch: NDArray) -> tuple[Any, ...]:
    end, side = length - np.abs(u), width - np.abs(v)
    at_end = end < side
    ridge = (np.abs(end - side) < 0.22) | (~at_end & (np.abs(v) < 0.2))
    rise = pitch * np.minimum(end, side)
    return rise, -pitch * np.sign(u) * at_end, -pitch * np.sign(v) * ~at_end, 0.22 * ridge


def _flat(u: NDArray, v: NDArray, length: NDArray, width: NDArray, pitch: NDArray) -> tuple[Any, ...]:
    at_rim = np.minimum(length - np.abs(u), width - np.abs(v)) < 0.45
    return pitch * at_rim, 0, 0, 0.12 * (at_rim & (pitch > 0))


def _shed(u: NDArray, v: NDArray, length: NDArray, width: NDArray, pitch: NDArray) -> tuple[Any, ...]:
    return pitch * (v + width), 0, pitch, 0


def _barrel(u: NDArray, v: NDArray, length: NDArray, width: NDArray, pitch: NDArray) -> tuple[Any, ...]:
    return pitch * (width - v * v / width), 0, -2 * pitch * v / width, 0


def _sawtooth(u: NDArray, v: NDArray, length: NDArray, width: NDArray, pitch: NDArray) -> tuple[Any, ...]:
    run = np.mod(v + width, 7.5)
    return pitch * run, 0, pitch, -0.35 * (run < 0.9)


_FORMS: dict[Roof, Callable[..., tuple[Any, ...]]] = {
    Roof.FLAT: _flat, Roof.GABLE: _gable, Roof.HIP: _hip, Roof.SHED: _shed, Roof.BARREL: _barrel,
    Roof.SAWTOOTH: _sawtooth,
}  # fmt: skip


def texture(rng: np.random.Generator, *sizes: float) -> NDArray[np.float32]:
    """Smooth noise of unit variance that repeats after 2048 pixels; sizes of its clumps in pixels."""
    white = np.fft.rfft2(rng.standard_normal((_TEXTURE, _TEXTURE), np.float32)).astype(np.complex64)
    down, across = np.fft.fftfreq(_TEXTURE)[:, None], np.fft.rfftfreq(_TEXTURE)[None]
    square = (down**2 + across**2).astype(np.float32)
    keep = sum(size * np.exp(-0.5 * square * (2 * np.pi * size / 2) ** 2) for size in sizes)
    noise = np.fft.irfft2(white * keep).astype(np.float32)
    return (noise - noise.mean()) / noise.std()


def _roughen(surface: Surface, rng: np.random.Generator) -> None:
    """Grain, clumps and drift, each as strong as the material says."""
    rows, columns = surface.height.shape
    repeat = np.ix_(np.arange(rows) % _TEXTURE, np.arange(columns) % _TEXTURE)
    change = np.ones_like(surface.tone)
    for n, sizes in enumerate([(1.2,), (4, 9, 18), (60, 180)]):
        noise = texture(rng, *sizes)[repeat]
        change += UNEVENNESS[:, n][surface.swatch] * noise
    surface.drift[:] = noise
    surface.tone *= np.maximum(change, 0.25)
