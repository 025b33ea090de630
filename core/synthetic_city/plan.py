"""City plan: streets and blocks by recursive subdivision, then smooth bending.

Plan coordinates (before bending) and city coordinates (after bending) are in meters; the latter count east and south
from the north-west corner of the city.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, hypot, pi

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.affinity import rotate
from shapely.geometry.base import BaseGeometry

#: Metres from the kerb to the nearest lot.
PAVEMENT_M = 2.2


@dataclass(frozen=True)
class DistrictKind:
    """Layout parameters of a district [m]."""

    name: str
    depth: float  #: of a block, two rows of lots
    length: float  #: of a block
    street: float  #: width between kerbs
    skew: float  #: standard deviation of a cut's angle in radians: old towns are crooked


# In the order in which a growing city gets them: the smallest one has houses, and what lies beyond the twelfth
# is one of the last six, so that there is one park and one building site.
_KINDS = (
    DistrictKind("suburb", 66, 165, 8.5, 0.03),
    DistrictKind("terraces", 52, 120, 7.5, 0.03),
    DistrictKind("old town", 50, 62, 5.5, 0.09),
    DistrictKind("industry", 105, 150, 11, 0.01),
    DistrictKind("park", 1e4, 1e4, 6, 0),
    DistrictKind("bare ground", 1e4, 1e4, 6, 0),
    DistrictKind("suburb", 70, 190, 8.5, 0.05),
    DistrictKind("estate", 85, 110, 8, 0.02),
    DistrictKind("suburb", 62, 130, 8, 0.07),
    DistrictKind("terraces", 48, 140, 7, 0.05),
    DistrictKind("old town", 46, 56, 5, 0.12),
    DistrictKind("industry", 90, 130, 10, 0.02),
)
_ARTERIAL = DistrictKind("arterial", 225, 265, 17, 0.03)


@dataclass(frozen=True)
class Bend:
    """Smooth displacement field that curves straight streets without compressing the lots between them."""

    waves: NDArray[np.float64]  #: (n, 2) wave vectors, radians a metre
    phases: NDArray[np.float64]  #: (n,)
    sideways: NDArray[np.float64]  #: (n, 2) displacement in metres, across the wave
    centre: NDArray[np.float64]  #: (2,) of the city, in both coordinates
    turn: float  #: radians by which the grid is turned

    @classmethod
    def random(cls, rng: np.random.Generator, centre: tuple[float, float]) -> "Bend":
        """Five waves of 300 to 900 m, each turning a street by up to 7 degrees."""
        heading, length = rng.uniform(0, 2 * pi, 5), rng.uniform(300, 900, 5)
        along = np.column_stack([np.cos(heading), np.sin(heading)])
        across = along[:, ::-1] * [-1, 1]
        waves = along * (2 * pi / length)[:, None]
        turn = rng.uniform(0.12, 0.32) * rng.choice([-1, 1])
        return cls(waves, rng.uniform(0, 2 * pi, 5), across * (0.12 * length / (2 * pi))[:, None],
                   np.array(centre), turn)  # fmt: skip

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Plan metres (n, 2) to city metres."""
        moved = points + np.sin(points @ self.waves.T + self.phases) @ self.sideways
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return (moved - self.centre) @ np.array([[cos, sin], [-sin, cos]]) + self.centre

    def area(self, width: float, height: float, margin: float) -> Polygon:
        """The part of the plan that, bent, covers a city of this size and `margin` around it."""
        x, y = self.centre
        rim = shapely.box(
            x - width / 2 - margin, y - height / 2 - margin, x + width / 2 + margin, y + height / 2 + margin
        )
        return rotate(rim, -self.turn, origin=(x, y), use_radians=True)


@dataclass(frozen=True)
class Street:
    """Center line of a street in city coordinates, and its width between curbs [m]."""

    line: LineString
    width: float
    is_arterial: bool


@dataclass(frozen=True)
class Block:
    """Block between streets: a convex polygon in plan coordinates [m]."""

    outline: Polygon
    kind: DistrictKind


@dataclass(frozen=True)
class Plan:
    """All streets and blocks of a city."""

    streets: tuple[Street, ...]
    blocks: tuple[Block, ...]
    bend: Bend


def make_plan(rng: np.random.Generator, width: float, height: float) -> Plan:
    """A plan that covers width × height metres and some ground around it."""
    bend = Bend.random(rng, (width / 2, height / 2))
    streets: list[Street] = []
    districts = list(_cut(bend.area(width, height, 75), _ARTERIAL, rng, bend, streets))
    kinds = [_KINDS[n] if n < len(_KINDS) else _KINDS[-1 - n % 6] for n in rng.permutation(len(districts))]
    blocks = [
        Block(outline, kind)
        for district, kind in zip(districts, kinds, strict=True)
        for outline in _cut(district, kind, rng, bend, streets)
    ]
    return Plan(tuple(streets), tuple(blocks), bend)


def _cut(
    area: BaseGeometry, kind: DistrictKind, rng: np.random.Generator, bend: Bend, streets: list[Street]
) -> Iterator[Polygon]:
    """Blocks of the kind's size; the streets between them are appended to `streets`."""
    origin, along, across, length, depth = axes(area)
    gap = kind.street / 2 + PAVEMENT_M
    if depth > 1.4 * kind.depth + 2 * gap:
        rows = max(2, round((depth + 2 * gap) / (kind.depth + 2 * gap)))
        origin_of_cut, heading = origin + across * (depth * (rows // 2) / rows) + along * length / 2, along
    elif length > 1.5 * kind.length:
        count = max(2, ceil(length / kind.length))
        share = (count // 2 + rng.uniform(-0.12, 0.12)) / count
        origin_of_cut, heading = origin + along * (length * share) + across * depth / 2, across
    else:
        yield Polygon(shapely.get_coordinates(area))
        return
    angle = rng.normal(0, kind.skew)
    heading = heading * np.cos(angle) + heading[::-1] * [-1, 1] * np.sin(angle)
    streets.append(_street(area, origin_of_cut, heading, kind, bend))
    for side in (-1, 1):
        piece = area.intersection(_half_plane(origin_of_cut, heading, side, gap))
        if piece.area > 150:
            yield from _cut(piece, kind, rng, bend, streets)


def axes(area: BaseGeometry) -> tuple[NDArray, NDArray, NDArray, float, float]:
    """The tightest rectangle around it: corner, unit vectors along the long and the short side, their lengths."""
    a, b, c, *_ = shapely.get_coordinates(shapely.oriented_envelope(area))
    first, second = hypot(*(b - a)), hypot(*(c - b))
    if first >= second:
        return a, (b - a) / first, (c - b) / second, first, second
    return b, (c - b) / second, (a - b) / first, second, first


def _half_plane(origin: NDArray, heading: NDArray, side: int, gap: float) -> Polygon:
    far, normal = heading * 5e3, heading[::-1] * [-1, 1] * side
    start = origin + normal * gap
    return Polygon([start - far, start + far, start + far + normal * 5e3, start - far + normal * 5e3])


def _street(area: BaseGeometry, origin: NDArray, heading: NDArray, kind: DistrictKind, bend: Bend) -> Street:
    """The cut as a bent line, long enough to meet the streets it ends at."""
    inside = area.intersection(LineString([origin - heading * 5e3, origin + heading * 5e3]))
    ends = np.array(inside.coords)
    reach = heading * (PAVEMENT_M + 3)
    straight = LineString([ends[0] - reach, ends[-1] + reach])
    points = np.array(straight.segmentize(6).coords)
    return Street(LineString(bend(points)), kind.street, kind is _ARTERIAL)
