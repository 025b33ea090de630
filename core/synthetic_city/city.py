"""Shapes of the sample city: ground, building parts, trees and lots, in meters east (x) and south (y) of its origin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from math import atan2, cos, hypot, sin
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Point, Polygon
from shapely.geometry.base import BaseGeometry

from core.synthetic_city.palette import SWATCH
from core.synthetic_city.plan import Bend
from core.types import Geometries


class Roof(IntEnum):
    """Roof types. `pitch` is rise over run, for FLAT the height of the parapet [m]."""

    FLAT = 0
    GABLE = 1
    HIP = 2
    SHED = 3
    BARREL = 4
    SAWTOOTH = 5
    DECAL = 6  #: colour only: a panel on a roof, a windscreen


class Frame(NamedTuple):
    """Local coordinate frame: origin and direction; u runs along it, v to its right (y points south)."""

    x: float
    y: float
    angle: float

    @classmethod
    def on(cls, point: Point, angle: float) -> "Frame":
        """A frame at a point."""
        return cls(point.x, point.y, angle)

    def at(self, u: float, v: float) -> tuple[float, float]:
        """City coordinates of a point of the frame."""
        c, s = cos(self.angle), sin(self.angle)
        return self.x + u * c - v * s, self.y + u * s + v * c

    def moved(self, u: float, v: float, turn: float = 0) -> "Frame":
        """The frame at another of its points, turned."""
        return Frame(*self.at(u, v), self.angle + turn)

    def box(self, length: float, width: float) -> Polygon:
        """A rectangle around the frame's origin."""
        return Polygon([self.at(u * length / 2, v * width / 2) for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1))])


class Patch(NamedTuple):
    """Flat polygon of one material."""

    outline: BaseGeometry
    swatch: int
    tone: float


class Part(NamedTuple):
    """Raised object, such as a roof, wall or car; its form is defined in its frame, half_length × half_width."""

    outline: Polygon
    frame: Frame
    half_length: float
    half_width: float
    roof: Roof
    eaves: float
    pitch: float
    swatch: int
    tone: float
    layer: int  #: parts of one layer do not overlap
    building: int = -1  #: which building it belongs to; -1 for what is none


class Tree(NamedTuple):
    """Tree crown."""

    x: float
    y: float
    radius: float
    height: float
    swatch: int


def part(
    frame: Frame, length: float, width: float, roof: Roof, eaves: float, pitch: float, material: str,
    tone: float = 1.0, layer: int = 0, outline: Polygon | None = None,
) -> Part:  # fmt: skip
    """A part with a rectangular outline, or with another one cut from the same roof."""
    shape = frame.box(length, width) if outline is None else outline
    return Part(shape, frame, length / 2, width / 2, roof, eaves, pitch, SWATCH[material], tone, layer)


def pick(rng: np.random.Generator, options: Sequence[str], odds: Sequence[float] | None = None) -> str:
    """One of the options by chance."""
    return options[int(rng.choice(len(options), p=odds))]


def bent(outline: Polygon, bend: Bend) -> Polygon:
    """A plan outline in city metres, its sides curved."""
    return Polygon(bend(np.array(outline.segmentize(8).exterior.coords)))


def fitting(lot: "Lot", make: Callable[[float], list[Part]]) -> list[Part]:
    """The largest of five sizes (factor 1 to 0.64) at which all parts lie on the lot; none where even that is large."""
    ground = shapely.buffer(lot.outline, -0.3)
    for size in (1, 0.91, 0.82, 0.73, 0.64):
        parts = make(size)
        if shapely.covers(ground, np.array([p.outline for p in parts], dtype=object)).all():
            return parts
    return []


@dataclass
class City:
    """Builder that collects the shapes of all districts."""

    ground: list[Patch] = field(default_factory=list)  #: under the streets, later over earlier
    paving: list[Patch] = field(default_factory=list)  #: over pavements and under the kerb: drive-ways
    parts: list[Part] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    count: int = 0

    def lay(self, outline: BaseGeometry, material: str, tone: float = 1.0) -> None:
        """Covers ground with a material."""
        self.ground.append(Patch(outline, SWATCH[material], tone))

    def pave(self, outline: BaseGeometry, material: str, tone: float = 1.0) -> None:
        """Covers ground and pavement with a material."""
        self.paving.append(Patch(outline, SWATCH[material], tone))

    def stand(self, parts: Sequence[Part]) -> None:
        """Sets up what is no building."""
        self.parts += parts

    def build(self, parts: Sequence[Part], extras: Sequence[Part] = ()) -> None:
        """Adds a building of touching parts; extras lie on its roof and do not count for its outline."""
        self.parts += [p._replace(building=self.count) for p in parts]
        self.parts += extras
        self.count += 1

    def plant(self, x: float, y: float, radius: float, height: float, kind: str) -> None:
        """Adds a tree."""
        self.trees.append(Tree(x, y, radius, height, SWATCH[kind]))

    def buildings(self) -> Geometries:
        """One polygon a building, in metres: the outline of its roof."""
        owners = np.array([p.building for p in self.parts], dtype=int)
        outlines = np.array([p.outline for p in self.parts], dtype=object)
        order = np.argsort(owners, kind="stable")[np.count_nonzero(owners < 0) :]
        starts = np.flatnonzero(np.diff(owners[order], prepend=-1))
        unions = [shapely.union_all(group) for group in np.split(outlines[order], starts[1:])]
        return np.array(unions if len(order) else [], dtype=object)


@dataclass(frozen=True)
class Lot:
    """Lot of a block. Corners (4, 2): left and right at the street, right and left at the back."""

    corners: NDArray[np.float64]

    @property
    def outline(self) -> Polygon:
        """The lot as a polygon."""
        return Polygon(self.corners)

    @property
    def frame(self) -> Frame:
        """Origin in the middle of the street side, u along it, v into the lot."""
        left, right, back_right, back_left = self.corners
        u, middle = right - left, (left + right) / 2
        inward = (back_left + back_right) / 2 - middle
        angle = atan2(u[1], u[0])
        if -sin(angle) * inward[0] + cos(angle) * inward[1] < 0:
            angle = atan2(-u[1], -u[0])
        return Frame(middle[0], middle[1], angle)

    @property
    def width(self) -> float:
        """The narrower of front and back, metres."""
        left, right, back_right, back_left = self.corners
        return min(hypot(*(right - left)), hypot(*(back_right - back_left)))

    @property
    def depth(self) -> float:
        """Metres from the street to the nearer of the back corners, square to the street."""
        left, right, *backs = self.corners
        along = (right - left) / hypot(*(right - left))
        return min(abs(along[0] * (back - left)[1] - along[1] * (back - left)[0]) for back in backs)

    def border(self, share: float) -> list[tuple[float, float]]:
        """The left side from a share of its length to the back, then the back."""
        left, _, back_right, back_left = self.corners
        return [tuple(left + (back_left - left) * share), tuple(back_left), tuple(back_right)]

    def band(self, near: float, far: float) -> Polygon:
        """The strip between two distances from the street; neighbours' strips share their corners."""
        left, right, back_right, back_left = self.corners
        on_left, on_right = back_left - left, back_right - right
        on_left, on_right = on_left / hypot(*on_left), on_right / hypot(*on_right)
        return Polygon([left + on_left * near, right + on_right * near, right + on_right * far, left + on_left * far])
