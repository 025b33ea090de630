"""Row-house district: adjoining houses with gardens."""

from math import pi

import numpy as np

from core.synthetic_city.city import City, Lot, Roof, bent, part, pick
from core.synthetic_city.gardens import clutter, garden_trees, scatter_trees, wall
from core.synthetic_city.lots import rows_of_lots
from core.synthetic_city.plan import Bend, Block

_DEEP = 9.5
_ROOFS = ("old terracotta", "brown shingle", "slate", "terracotta", "grey shingle")


def terraces(city: City, block: Block, bend: Bend, rng: np.random.Generator) -> None:
    """Two rows of row houses."""
    ground = bent(block.outline, bend)
    city.lay(ground.buffer(0.5), "dry grass", 0.9)
    for row in rows_of_lots(block.outline, bend, rng.uniform(6.2, 7.6), rng, 15):
        _row(city, row, rng)
    scatter_trees(city, ground, rng, 0.0008)


def _row(city: City, row: list[Lot], rng: np.random.Generator) -> None:
    """Groups of five to nine houses under one kind of roof, a garden's width between them."""
    setback, group = rng.uniform(2.5, 4.5), 0
    material, eaves = _ROOFS[0], 6.0
    for lot in row:
        city.lay(
            lot.outline.buffer(0.2), pick(rng, ("grass", "dry grass", "soil", "lush grass")), rng.uniform(0.8, 1.1)
        )
        if group == 0:
            group, material, eaves = int(rng.integers(5, 10)), pick(rng, _ROOFS), rng.uniform(5.4, 6.4)
            garden_trees(city, lot, rng, 4)
        elif lot.depth > setback + _DEEP + 0.5 and lot.width > 4:
            group -= 1
            _house(city, lot, rng, setback, eaves, material)
            _garden(city, lot, rng, setback)


def _house(city: City, lot: Lot, rng: np.random.Generator, setback: float, eaves: float, material: str) -> None:
    """A gable roof from wall to wall, a chimney, often a low wing behind."""
    frame, tone, back = lot.frame, rng.uniform(0.82, 1.14), setback + _DEEP
    ridge = frame.moved(0, setback + _DEEP / 2)
    parts = [part(ridge, 99, _DEEP, Roof.GABLE, eaves, 0.75, material, tone, 0, lot.band(setback, back))]
    if lot.depth > back + 2.5 and rng.random() < 0.55:
        out = min(rng.uniform(2.5, 5), lot.depth - back)
        wing = frame.moved(rng.choice([-1, 1]) * lot.width * 0.2, back + out / 2 - 0.3, pi / 2)
        roof = pick(rng, (material, "tar roof", "gravel roof"))
        parts.append(part(wing, out + 0.6, lot.width * 0.5, Roof.SHED, 3, 0.08, roof, tone, 1))
    parts = [p for p in parts if p is parts[0] or lot.outline.covers(p.outline)]
    top = eaves + _DEEP * 0.375
    chimney = part(ridge.moved(lot.width * 0.4, 0.5), 0.9, 1.4, Roof.FLAT, top + 0.9, 0, "old terracotta", 0.8, 4)
    window = part(ridge.moved(rng.uniform(-1.5, 1.5), _DEEP * 0.25), 0.9, 1.3, Roof.DECAL, 0, 0, "skylight", 0.6, 5)
    city.build(parts, [chimney, window] if rng.random() < 0.4 else [chimney])


def _garden(city: City, lot: Lot, rng: np.random.Generator, setback: float) -> None:
    """Path and parking place in front; terrace, hedge, shed and trees behind."""
    frame, back = lot.frame, setback + _DEEP
    city.pave(
        frame.moved(rng.uniform(-1, 1), setback / 2 - 0.3).box(1.5, setback + 1.5), "concrete", rng.uniform(0.7, 1)
    )
    if rng.random() < 0.4:
        city.pave(frame.moved(0, setback / 2).box(lot.width * 0.8, setback), "pavers", rng.uniform(0.7, 1.1))
    if rng.random() < 0.5:
        city.lay(frame.moved(0, back + 1.5).box(lot.width * 0.9, 4), "concrete", rng.uniform(0.6, 1))
    if lot.depth < back + 4:
        return
    city.stand(
        [wall(lot.border((back + 1) / lot.depth), rng.uniform(0.7, 1.2), 1.6, pick(rng, ("oak", "ash", "block wall")))]
    )
    clutter(city, frame.moved(0, (back + lot.depth) / 2), lot.width * 0.8, lot.depth - back, rng)
    if rng.random() < 0.4:
        shed = part(
            frame.moved(0, lot.depth - 1.8), 2.8, 2.2, Roof.GABLE, 2.1, 0.4, "brown shingle", rng.uniform(0.8, 1.4)
        )
        if lot.depth > back + 8.5 and lot.outline.covers(shed.outline):
            city.build([shed])
    if rng.random() < 0.6:
        garden_trees(city, lot, rng, int(rng.integers(1, 3)), back + 3)
