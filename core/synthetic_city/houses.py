"""Suburban district: detached houses with garage, driveway, yard and often a pool."""

from math import pi

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from core.synthetic_city.cars import car
from core.synthetic_city.city import City, Frame, Lot, Part, Roof, bent, fitting, part, pick
from core.synthetic_city.gardens import clutter, garden_trees, pool, scatter_trees, tree, wall
from core.synthetic_city.lots import rows_of_lots
from core.synthetic_city.plan import PAVEMENT_M, Bend, Block

_TILES = ("tan tile", "tan tile", "sand tile", "terracotta", "terracotta", "brown shingle", "grey shingle", "slate")
_YARDS = ("gravel", "gravel", "soil", "bark", "dry grass", "grass")
_GARAGE_M = 6.4


def suburb(city: City, block: Block, bend: Bend, rng: np.random.Generator) -> None:
    """Two rows of houses, most of them in the neighbourhood's style."""
    ground = bent(block.outline, bend)
    city.lay(ground.buffer(0.5), pick(rng, ("gravel", "soil", "dry grass")), rng.uniform(0.85, 1.1))
    style = pick(rng, ("tan tile", "terracotta", "brown shingle", "sand tile", "grey shingle"))
    for row in rows_of_lots(block.outline, bend, rng.uniform(17, 22), rng, 21):
        for lot in row:
            _plot(city, lot, rng, style)
    scatter_trees(city, ground, rng, 0.0006)


def _plot(city: City, lot: Lot, rng: np.random.Generator, style: str) -> None:
    """A lot with its house, or with trees where no house fits; `style` is a roof's material."""
    city.lay(lot.outline.buffer(0.3), pick(rng, _YARDS), rng.uniform(0.8, 1.15))
    material = style if rng.random() < 0.6 else pick(rng, _TILES)
    side, setback = float(rng.choice([-1, 1])), rng.uniform(4.5, 6.5)
    length, deep = min(lot.width - rng.uniform(2.2, 3.6), 22), rng.uniform(10.5, 14)
    front = lot.frame.moved(0, setback)
    parts = (
        fitting(lot, lambda size: _house(front, length * size, deep * size, side, material, rng)) if length > 9 else []
    )
    if not parts:
        garden_trees(city, lot, rng, 6)
        return
    city.build(parts, _roof_things(parts, rng))
    _front_yard(city, lot, rng, side * (parts[0].half_length - _GARAGE_M / 2), setback)
    _back_yard(city, lot, rng, -side, shapely.union_all([p.outline for p in parts]), setback + deep)


def _house(
    front: Frame, length: float, deep: float, side: float, material: str, rng: np.random.Generator
) -> list[Part]:
    """The body along the street, a garage wing towards it, often a wing at the back."""
    eaves, pitch, tone = rng.choice([3.2, 3.4, 5.9]), rng.uniform(0.38, 0.58), rng.uniform(0.85, 1.12)
    low, step = min(eaves, 3.2), rng.uniform(1.5, 3.5)
    body_roof = Roof(rng.choice([Roof.HIP, Roof.HIP, Roof.GABLE]))
    wing_roof = Roof(rng.choice([Roof.HIP, Roof.GABLE]))
    middle = front.moved(0, step + (deep - step) / 2)
    garage = front.moved(side * (length - _GARAGE_M) / 2, deep * 0.3, pi / 2)
    parts = [
        part(middle, length, deep - step, body_roof, eaves, pitch, material, tone),
        part(garage, deep * 0.6, _GARAGE_M, wing_roof, low, pitch, material, tone, 1),
    ]
    if rng.random() < 0.6:
        wide, out = rng.uniform(4.5, min(7.5, max(length / 2, 4.6))), rng.uniform(2, 5)
        u = -side * (length / 2 - wide / 2 - rng.uniform(0, 2))
        behind = front.moved(u, deep * 0.6 + (deep * 0.4 + out) / 2, pi / 2)
        parts.append(part(behind, deep * 0.4 + out, wide, wing_roof, low, pitch, material, tone, 2))
    return parts


def _roof_things(parts: list[Part], rng: np.random.Generator) -> list[Part]:
    """Solar panels and vents on the body's roof."""
    body, run = parts[0], parts[0].half_width
    fixtures = []
    if rng.random() < 0.2 and body.half_length > 6:
        panels = body.frame.moved(rng.uniform(-2, 2), run * 0.5 * rng.choice([-1, 1]))
        fixtures.append(part(panels, rng.uniform(3, 6), run * 0.55, Roof.DECAL, 0, 0, "solar panel", 1, 4))
    for _ in range(rng.integers(1, 4)):
        v = rng.uniform(-0.6, 0.6) * run
        vent = body.frame.moved(rng.uniform(-0.6, 0.6) * body.half_length, v)
        top = body.eaves + body.pitch * (run - abs(v)) + 0.5
        size = rng.uniform(0.5, 1.1)
        fixtures.append(
            part(vent, size, size, Roof.FLAT, top, 0, pick(rng, ("machine", "glass")), rng.uniform(0.6, 1.3), 5)
        )
    return fixtures


def _front_yard(city: City, lot: Lot, rng: np.random.Generator, drive: float, setback: float) -> None:
    """Drive-way, lawn, a parked car, a few trees; `drive` is where along the street the garage lies."""
    frame, reach = lot.frame, setback + PAVEMENT_M + 0.4
    path = frame.moved(drive, setback - reach / 2 + 0.3, pi / 2)
    city.pave(
        path.box(reach, rng.uniform(4.8, 6)), pick(rng, ("concrete", "concrete", "pavers")), rng.uniform(0.75, 1.1)
    )
    opposite = -float(np.sign(drive)) * lot.width / 4
    if rng.random() < 0.6:
        lawn = frame.moved(opposite, setback * 0.45).box(lot.width * 0.4, setback * 0.8)
        city.lay(lawn.buffer(-1).buffer(1), pick(rng, ("grass", "lush grass", "bark")), rng.uniform(0.8, 1.1))
    if rng.random() < 0.55:
        city.stand(car(path.moved(rng.uniform(-1, 1), rng.choice([-1.3, 1.3]), rng.choice([0, pi])), rng))
    for _ in range(rng.integers(0, 4)):
        tree(city, frame.moved(opposite + rng.normal(0, 3), rng.uniform(0.5, setback - 1)), rng, 1.9)


def _back_yard(city: City, lot: Lot, rng: np.random.Generator, side: float, house: BaseGeometry, start: float) -> None:
    """Walls, lawn, terrace, pool or shed, trees; `start` is the house's back, metres from the street."""
    frame, depth, tone = lot.frame, lot.depth - start, rng.uniform(0.75, 1.1)
    city.stand([wall(lot.border(0.4), tone)])
    yard = frame.moved(0, start + depth / 2)
    if rng.random() < 0.6:
        city.lay(yard.box(lot.width * 0.86, depth * 0.8), pick(rng, ("grass", "lush grass", "soil", "gravel")))
    patio = frame.moved(rng.uniform(-2, 2), start + 1.2)
    city.lay(patio.box(rng.uniform(6, 11), 4), "concrete", rng.uniform(0.7, 1.15))
    clutter(city, yard, lot.width * 0.8, depth * 0.8, rng)
    if depth > 7.5 and rng.random() < 0.5:
        pool(city, frame.moved(side * rng.uniform(0, lot.width / 5), start + depth * rng.uniform(0.45, 0.55)), rng)
    elif depth > 6 and rng.random() < 0.35:
        corner, material = (
            frame.moved(side * (lot.width / 2 - 3), lot.depth - 2.8),
            pick(rng, ("grey metal", "rusty metal")),
        )
        shed = part(corner, rng.uniform(2.6, 4), 2.8, Roof.SHED, 2.2, 0.1, material)
        if lot.outline.covers(shed.outline) and not house.buffer(0.5).intersects(shed.outline):
            city.build([shed])
    garden_trees(city, lot, rng, int(rng.integers(3, 11)), start + 1)
