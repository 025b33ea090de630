"""Old-town district: perimeter blocks of adjoining houses around a courtyard."""

from math import pi

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from core.synthetic_city.city import City, Frame, Lot, Part, Roof, bent, part, pick
from core.synthetic_city.gardens import clutter, scatter_trees, tree
from core.synthetic_city.plan import Bend, Block

_ROOFS = ("old terracotta", "old terracotta", "terracotta", "brown shingle", "slate", "grey shingle")


def old_town(city: City, block: Block, bend: Bend, rng: np.random.Generator) -> None:
    """Many houses around one courtyard, or one house around it; a square where the block is too narrow for both."""
    rim = _polygon(block.outline.buffer(0.6, join_style="mitre").simplify(3))
    city.lay(bent(rim, bend).buffer(1.2), "cobbles", rng.uniform(0.8, 1.1))
    depth = rng.uniform(9, 12)
    inner = _polygon(rim.buffer(-depth, join_style="mitre", mitre_limit=20))
    if len(inner.exterior.coords) != len(rim.exterior.coords) or inner.area < 60:
        _square(city, bent(rim, bend), rng)
        return
    outside, inside = (bend(_from_corner(ring)) for ring in (rim, inner))
    yard = Polygon(inside)
    city.lay(yard, pick(rng, ("cobbles", "soil", "grass", "old asphalt")), rng.uniform(0.7, 1))
    sides = list(np.stack([outside, np.roll(outside, -1, axis=0), np.roll(inside, -1, axis=0), inside], axis=1))
    if Polygon(outside).area < 1500 or rng.random() < 0.2:
        _courtyard_house(city, sides, rng)
    else:
        _courtyard_row(city, sides, yard, rng)
    clutter(city, Frame.on(yard.centroid, bend.turn), 12, 12, rng)
    scatter_trees(city, yard.buffer(-1.5), rng, 0.006)


def _polygon(shape: BaseGeometry) -> Polygon:
    """The shape where it is in one piece, else an empty polygon."""
    return shape if isinstance(shape, Polygon) else Polygon()


def _square(city: City, ground: Polygon, rng: np.random.Generator) -> None:
    """A paved square with rows of trees."""
    city.lay(ground, "pavers", rng.uniform(0.8, 1.1))
    rim = ground.buffer(-3).exterior
    for s in np.arange(0, rim.length, 7.5):
        point = rim.interpolate(s)
        tree(city, Frame(point.x, point.y, 0), rng, 2.4)


def _from_corner(ring: Polygon) -> NDArray[np.float64]:
    """The ring's corners in one direction, starting with the one nearest to the north-west."""
    points = np.array(shapely.normalize(ring).exterior.coords)[:-1]
    return np.roll(points, -int(np.argmin(points.sum(axis=1))), axis=0)


def _courtyard_house(city: City, sides: list[NDArray], rng: np.random.Generator) -> None:
    """One building around its courtyard, all roofs of one kind."""
    eaves, pitch, tone = rng.uniform(8, 12), rng.uniform(0.4, 0.6), rng.uniform(0.9, 1.1)
    material = pick(rng, _ROOFS)
    chimneys = [chimney for side in sides for chimney in _chimneys(side, eaves, pitch, rng)]
    city.build([_ridge(side, eaves, pitch, material, tone) for side in sides], chimneys)


def _courtyard_row(city: City, sides: list[NDArray], yard: BaseGeometry, rng: np.random.Generator) -> None:
    """Each side cut into houses; where two sides meet, their ends are one corner house."""
    cut = [_houses(side, rng) for side in sides]
    for n, houses in enumerate(cut):
        eaves, pitch = rng.uniform(7, 12.5), rng.uniform(0.4, 0.65)
        material, tone = pick(rng, _ROOFS), rng.uniform(0.75, 1.2)
        corner = (cut[n - 1][-1], houses[0])
        chimneys = [chimney for end in corner for chimney in _chimneys(end, eaves, pitch, rng)]
        city.build([_ridge(end, eaves, pitch, material, tone) for end in corner], chimneys)
        for house in houses[1:-1]:
            wing = _wing(house, yard, rng)
            _house(city, house, wing, rng)
            yard = yard if wing is None else yard - wing.outline.buffer(1)


def _houses(side: NDArray, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Corners of the houses of one side, walls square to the street; the two ends belong to corner houses."""
    a, b, c, d = side
    street, yard = b - a, c - d
    length, depth = float(np.hypot(*street)), Lot(side).depth
    end = min(depth * rng.uniform(1.25, 1.6), length * 0.45)
    number = max(1, round((length - 2 * end) / rng.uniform(8, 14)))
    step = rng.uniform(0.7, 1.3, number).cumsum()
    along = np.array([end, *(end + (length - 2 * end) * step / step[-1])]) / length
    outer = a + street * along[:, None]
    inner = d + yard * np.clip((outer - d) @ yard / (yard @ yard), 0.02, 0.98)[:, None]
    outer, inner = np.vstack([a, outer, b]), np.vstack([d, inner, c])
    return [np.array(q) for q in zip(outer[:-1], outer[1:], inner[1:], inner[:-1], strict=True)]


def _wing(corners: NDArray, yard: BaseGeometry, rng: np.random.Generator) -> Part | None:
    """A low wing into the courtyard, where there is still room; its material is that of the house, set there."""
    lot, out = Lot(corners), rng.uniform(3, 6)
    frame = lot.frame.moved(0, lot.depth + out / 2 - 0.5, pi / 2)
    wing = part(frame, out + 1, lot.width * 0.45, Roof.SHED, 5, 0.1, _ROOFS[0], layer=1)
    has_room = shapely.union(yard, lot.outline).buffer(0.01).covers(wing.outline)
    return wing if has_room and rng.random() < 0.5 else None


def _house(city: City, corners: NDArray, wing: Part | None, rng: np.random.Generator) -> None:
    """A house with a ridge along the street or a flat roof; seldom a gap instead."""
    lot, tone, eaves = Lot(corners), rng.uniform(0.75, 1.2), rng.uniform(6.5, 12)
    if not lot.outline.is_valid or rng.random() < 0.06:
        city.lay(lot.outline.convex_hull, "soil", 0.9)
        return
    if rng.random() < 0.15:
        middle = Frame.on(lot.outline.centroid, lot.frame.angle)
        material = pick(rng, ("gravel roof", "tar roof"))
        body = part(middle, 1e4, 1e4, Roof.FLAT, eaves, 0, material, tone, 0, lot.outline)
        fixtures = [part(middle.moved(rng.uniform(-1, 1), 0), 2.5, 2, Roof.FLAT, eaves + 2, 0, "machine", 0.8, 4)]
    else:
        material, pitch = pick(rng, _ROOFS), rng.uniform(0.4, 0.65)
        body = _ridge(corners, eaves, pitch, material, tone)
        fixtures = _chimneys(corners, eaves, pitch, rng)
    wings = [] if wing is None else [wing._replace(swatch=body.swatch, tone=tone, eaves=eaves * 0.6)]
    city.build([body, *wings], fixtures)


def _ridge(corners: NDArray, eaves: float, pitch: float, material: str, tone: float) -> Part:
    """A gable roof along the street side of a strip, cut to the strip's outline."""
    depth = Lot(corners).depth
    frame = Lot(corners).frame.moved(0, depth / 2)
    return part(frame, 999, depth, Roof.GABLE, eaves, pitch, material, tone, 0, Polygon(corners))


def _chimneys(corners: NDArray, eaves: float, pitch: float, rng: np.random.Generator) -> list[Part]:
    """Chimneys near the ridge, and windows in the roof."""
    lot, chimneys = Lot(corners), []
    depth = lot.depth
    top = eaves + pitch * depth / 2 + 0.7
    for u in np.arange(-lot.width / 2 + 1.5, lot.width / 2 - 1, rng.uniform(5, 11)):
        spot = lot.frame.moved(u, depth * rng.uniform(0.42, 0.58))
        chimneys.append(part(spot, 0.8, rng.uniform(0.9, 1.9), Roof.FLAT, top, 0, "old terracotta", 0.8, 4))
        window = lot.frame.moved(u + rng.uniform(1.2, 2.5), depth * rng.choice([0.25, 0.75]))
        chimneys.append(part(window, 0.9, 1.3, Roof.DECAL, 0, 0, pick(rng, ("skylight", "glass")), 0.7, 5))
    return [chimney for chimney in chimneys if lot.outline.covers(chimney.outline)]
