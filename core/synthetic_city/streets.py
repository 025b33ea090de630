"""Streets: sidewalks, curbs, asphalt with wear, and lane markings."""

from collections.abc import Sequence

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from core.synthetic_city.city import Patch
from core.synthetic_city.palette import SWATCH
from core.synthetic_city.plan import PAVEMENT_M, Street

_MARK_M = 0.34


def carriageway(streets: Sequence[Street], extent: Polygon) -> BaseGeometry:
    """Asphalt between the kerbs of all streets, corners rounded."""
    ribbons = [street.line.intersection(extent).buffer(street.width / 2, cap_style="flat") for street in streets]
    return shapely.union_all(ribbons).buffer(4, quad_segs=6).buffer(-4, quad_segs=6)


def pavements(asphalt: BaseGeometry) -> list[Patch]:
    """The ground beside the carriageway."""
    return [Patch(asphalt.buffer(PAVEMENT_M, quad_segs=4), SWATCH["pavement"], 1.0)]


def surfacing(asphalt: BaseGeometry, streets: Sequence[Street], rng: np.random.Generator) -> list[Patch]:
    """Kerb, asphalt of various age, mended strips, marks; later patches lie over earlier ones."""
    layers = [Patch(asphalt.buffer(0.32), SWATCH["kerb"], 1.0), Patch(asphalt, SWATCH["asphalt"], 1.0)]
    marks = []
    for street in streets:
        tone = rng.uniform(0.85, 1.45)
        whole = street.line.buffer(street.width / 2 - 0.3, cap_style="flat").intersection(asphalt)
        layers += [Patch(whole, SWATCH["asphalt"], tone), *_mended(street, tone, rng)]
        marks += _marks(street)
    return layers + marks


def _mended(street: Street, tone: float, rng: np.random.Generator) -> list[Patch]:
    strips = []
    for s in rng.uniform(5, street.line.length - 5, int(street.line.length / 60)):
        piece = _offset(_between(street.line, s, s + rng.uniform(2, 40)), rng.uniform(-0.35, 0.35) * street.width)
        strip = piece.buffer(rng.uniform(0.4, 1.6), cap_style="flat")
        strips.append(Patch(strip, SWATCH["patched asphalt"], tone * rng.uniform(0.85, 1.7)))
    return strips


def _marks(street: Street) -> list[Patch]:
    """A dashed middle line; wide streets have a double one and dashed lanes; none near the ends, where streets meet."""
    end = 14 if street.is_arterial else 10
    if street.width < 8.2 or street.line.length < 3 * end:
        return []
    middle = _between(street.line, end, street.line.length - end)
    if not street.is_arterial:
        return [Patch(_dashes(middle), SWATCH["lane mark"], 0.8)]
    double = shapely.union_all([_offset(middle, v).buffer(_MARK_M / 2) for v in (-0.35, 0.35)])
    lanes = shapely.union_all([_dashes(_offset(middle, v)) for v in (-street.width / 4, street.width / 4)])
    return [Patch(double, SWATCH["lane mark"], 0.8), Patch(lanes, SWATCH["lane mark"], 0.95)]


def _between(line: LineString, start: float, end: float) -> LineString:
    return LineString(substring(line, start, end).coords)


def _offset(line: LineString, right: float) -> LineString:
    """The line moved sideways, in one piece."""
    return LineString(shapely.get_coordinates(line.offset_curve(right)))


def _dashes(line: LineString) -> BaseGeometry:
    """Three metres of paint in every nine."""
    starts = np.arange(0, line.length - 3, 9)
    ends = shapely.line_interpolate_point(line, np.stack([starts, starts + 3], axis=1))
    segments = shapely.linestrings(shapely.get_coordinates(ends).reshape(-1, 2, 2))
    return shapely.union_all(shapely.buffer(segments, _MARK_M / 2, cap_style="flat"))
