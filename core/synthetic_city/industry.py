"""Industrial and apartment districts: large buildings with parking lots."""

from math import pi

import numpy as np

from core.synthetic_city.cars import parking
from core.synthetic_city.city import City, Lot, Part, Roof, bent, fitting, part, pick
from core.synthetic_city.gardens import garden_trees
from core.synthetic_city.lots import rows_of_lots
from core.synthetic_city.plan import Bend, Block

_FLAT_ROOFS = ("white roof", "gravel roof", "tar roof", "grey metal", "white roof")
_METAL_ROOFS = ("grey metal", "blue metal", "white roof", "rusty metal", "grey metal")
_PITCH = {Roof.FLAT: 0.7, Roof.GABLE: 0.12, Roof.BARREL: 0.25, Roof.SAWTOOTH: 0.35}


def industry(city: City, block: Block, bend: Bend, rng: np.random.Generator) -> None:
    """Halls on asphalt, a strip of grass along the street."""
    ground = bent(block.outline, bend)
    city.lay(ground.buffer(0.5), "old asphalt", rng.uniform(0.75, 1.1))
    city.lay(ground.buffer(0.3).difference(ground.buffer(-2)), pick(rng, ("dry grass", "gravel")))
    for row in rows_of_lots(block.outline, bend, rng.uniform(38, 62), rng, 34):
        for lot in row:
            _hall(city, lot, rng)


def _hall(city: City, lot: Lot, rng: np.random.Generator) -> None:
    """A hall, parking in front of it, containers behind."""
    roof = Roof(rng.choice([Roof.FLAT, Roof.FLAT, Roof.FLAT, Roof.GABLE, Roof.BARREL, Roof.SAWTOOTH]))
    material = pick(rng, _FLAT_ROOFS if roof is Roof.FLAT else _METAL_ROOFS)
    eaves, tone, gap = rng.uniform(6, 10), rng.uniform(0.72, 1.05), rng.uniform(5, 12)
    arm, back = rng.choice([-1, 0, 1]), rng.uniform(3, 7)
    front = rng.uniform(17.5, 20) if arm else rng.uniform(12.5, 16)

    def make(size: float) -> list[Part]:
        length, width = (lot.width - gap) * size, (lot.depth - front - back) * size
        frame = lot.frame.moved(0, lot.depth - back - width / 2)
        office = part(frame.moved(arm * length * 0.3, -width / 2 - 2.5), length * 0.32, 6, Roof.FLAT, 4.5, 0.5,
                      "gravel roof", tone, 1)  # fmt: skip
        return [part(frame, length, width, roof, eaves, _PITCH[roof], material, tone), *([office] if arm else [])]

    parts = fitting(lot, make) if lot.depth > front + back + 8 else []
    if not parts:
        garden_trees(city, lot, rng, 6)
        return
    city.build(parts, _machines(parts[0], rng) if roof is Roof.FLAT else _skylights(parts[0], rng))
    parking(city, lot.frame.moved(0, 5.5), lot.width * 0.85, rng)
    _containers(city, lot, rng)


def _containers(city: City, lot: Lot, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(0, 5)):
        spot = lot.frame.moved(rng.uniform(-0.4, 0.4) * lot.width, lot.depth - 1.7)
        colour = pick(rng, ("rusty metal", "blue metal", "white roof", "terracotta"))
        city.stand([part(spot, 6.1, 2.5, Roof.FLAT, 2.6, 0, colour, 1, 2)])


def _machines(body: Part, rng: np.random.Generator) -> list[Part]:
    """Mended spots, air conditioning and skylights on a flat roof."""
    machines = []
    for _ in range(int(body.half_length * body.half_width / 40) + 1):
        position = body.frame.moved(
            rng.uniform(-0.8, 0.8) * body.half_length, rng.uniform(-0.75, 0.75) * body.half_width
        )
        size = rng.uniform(1.2, 3.2)
        top = body.eaves + rng.uniform(1, 2)
        machines.append(part(position, size * 1.4, size, Roof.FLAT, top, 0, "machine", rng.uniform(0.6, 1.2), 4))
        mended = position.moved(rng.normal(0, 3), rng.normal(0, 3)).box(size * 3, size * 1.5)
        if body.outline.buffer(-1).covers(mended):
            patch = part(position, 1, 1, Roof.DECAL, 0, 0, "white roof", body.tone * rng.uniform(0.55, 0.9), 3, mended)
            machines.insert(0, patch._replace(swatch=body.swatch))
    return machines


def _skylights(body: Part, rng: np.random.Generator) -> list[Part]:
    """Two rows of glass strips across a metal roof."""
    step, across = rng.uniform(5, 9), body.half_width * 0.5
    spots = np.arange(-body.half_length + step / 2, body.half_length - 1, step)
    return [
        part(body.frame.moved(u, v), 1.2, across * 0.9, Roof.DECAL, 0, 0, "skylight", 0.85, 4)
        for u in spots
        for v in (-across, across)
    ]


def estate(city: City, block: Block, bend: Bend, rng: np.random.Generator) -> None:
    """Blocks of flats, L- and U-shaped, on lawns with parking between them."""
    ground = bent(block.outline, bend)
    city.lay(ground.buffer(0.5), pick(rng, ("grass", "dry grass")))
    material = pick(rng, ("white roof", "gravel roof", "terracotta", "tar roof"))
    for row in rows_of_lots(block.outline, bend, rng.uniform(44, 56), rng, 32):
        for lot in row:
            _flats(city, lot, material, rng)
            garden_trees(city, lot, rng, 14, 14)


def _flats(city: City, lot: Lot, material: str, rng: np.random.Generator) -> None:
    """A bar along the lot's back and one or two wings towards the street."""
    is_tiled, bar, side = material == "terracotta", 11.0, rng.choice([-1, 1])
    roof, pitch, eaves = (Roof.HIP, 0.4, 6.2) if is_tiled else (Roof.FLAT, 0.6, rng.uniform(7, 13))
    arms, tone, frame = [side, -side] if rng.random() < 0.5 else [side], rng.uniform(0.75, 1.05), lot.frame

    def make(size: float) -> list[Part]:
        length, depth = min(lot.width - 6, 46) * size, min(lot.depth - 15, 40) * size
        rear = lot.depth - 1 - 5 * (1 - size) - 2
        parts = [part(frame.moved(0, rear - bar / 2), length, bar, roof, eaves, pitch, material, tone)]
        for n, arm in enumerate(arms, 1):
            wing = frame.moved(arm * (length - bar) / 2, rear - depth / 2, pi / 2)
            parts.append(part(wing, depth, bar, roof, eaves, pitch, material, tone, n))
        return parts

    parts = fitting(lot, make)
    if parts:
        city.build(parts, [] if is_tiled else [machine for p in parts for machine in _machines(p, rng)])
    parking(city, frame.moved(0, 6), lot.width * 0.8, rng)
