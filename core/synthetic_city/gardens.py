"""Vegetation and objects between houses: trees, hedges, walls, pools."""

from math import pi

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from core.synthetic_city.city import City, Frame, Lot, Part, Roof, part, pick
from core.synthetic_city.palette import TREE_KINDS

_CLUTTER = ("white roof", "machine", "glass", "soil", "terracotta", "blue metal", "bark", "olive")


def tree(city: City, frame: Frame, rng: np.random.Generator, size: float = 2.6) -> None:
    """A tree of about `size` metres' radius at the frame's origin."""
    radius = float(np.clip(size * rng.lognormal(0, 0.35), 0.9, 6.5))
    kind = pick(rng, TREE_KINDS, (0.45, 0.22, 0.22, 0.11))
    if kind == "palm":
        radius = min(radius, 2.6)
    city.plant(frame.x, frame.y, radius, min(1.5 + radius * rng.uniform(1.2, 1.9), 11.0), kind)


def garden_trees(city: City, lot: Lot, rng: np.random.Generator, number: int, start: float = 3) -> None:
    """Trees and bushes, most of them near the lot's back and sides; some crowns reach over roofs."""
    frame = lot.frame
    for _ in range(number):
        is_behind = rng.random() < 0.7
        v = lot.depth - rng.uniform(0.5, 2.5) if is_behind else rng.uniform(min(start, lot.depth - 1), lot.depth)
        u = rng.uniform(-0.5, 0.5) if is_behind else rng.choice([-0.5, 0.5]) * rng.uniform(0.75, 1)
        tree(city, frame.moved(u * lot.width, v), rng)


def scatter_trees(
    city: City, ground: BaseGeometry, rng: np.random.Generator, density: float, size: float = 2.6
) -> None:
    """Trees anywhere on the ground, `density` a square metre."""
    if ground.is_empty:
        return
    west, north, east, south = ground.bounds
    points = rng.uniform((west, north), (east, south), (rng.poisson(density * (east - west) * (south - north)), 2))
    for x, y in points[shapely.contains_xy(ground, points)]:
        tree(city, Frame(x, y, 0), rng, size)


def clutter(city: City, frame: Frame, width: float, depth: float, rng: np.random.Generator) -> None:
    """Tables, beds, toys: small things of any colour, strewn around the frame."""
    for _ in range(rng.integers(2, 8)):
        spot = frame.moved(rng.uniform(-0.5, 0.5) * width, rng.uniform(-0.5, 0.5) * depth, rng.choice([0, 0.4]))
        size = rng.uniform(0.5, 1.6)
        city.lay(spot.box(size * rng.uniform(1, 2), size), pick(rng, _CLUTTER), rng.uniform(0.7, 1.1))


def wall(line: list[tuple[float, float]], tone: float, height: float = 1.8, material: str = "block wall") -> Part:
    """A garden wall or a hedge along a line."""
    outline = LineString(line).buffer(0.2 if material == "block wall" else 0.45, cap_style="square")
    return part(Frame(*line[0], 0), 1e4, 1e4, Roof.FLAT, height, 0, material, tone, 3, outline)


def pool(city: City, frame: Frame, rng: np.random.Generator) -> None:
    """A pool with a pale rim, square or rounded."""
    length, width = rng.uniform(5.5, 9), rng.uniform(3, 4.4)
    water: BaseGeometry = frame.box(length, width)
    if rng.random() < 0.65:
        bulb = frame.moved(length * 0.25, width * rng.uniform(-0.3, 0.3)).box(width * 1.1, width * 1.2)
        water = shapely.union(water, bulb).buffer(-1.2).buffer(1.2)
    city.lay(water.buffer(rng.uniform(0.8, 2)), "concrete", rng.uniform(0.9, 1.3))
    city.lay(water.buffer(0.35), "kerb", 1.15)
    city.lay(water, pick(rng, ("pool", "pool", "deep pool")), rng.uniform(0.8, 1.15))
    city.lay(water.buffer(-1.1), "deep pool", rng.uniform(0.9, 1.1))


def blob(centre: np.ndarray, radius: float, rng: np.random.Generator) -> Polygon:
    """A round shape with a wavy rim."""
    angle = np.linspace(0, 2 * pi, 60, endpoint=False)
    waves = [rng.normal(0, 0.22 / n) * np.cos(n * angle + rng.uniform(0, 6)) for n in (1, 2, 3, 4)]
    reach = radius * (1 + np.sum(waves, axis=0))
    ring = Polygon(centre + np.column_stack([np.cos(angle), np.sin(angle)]) * reach[:, None])
    return ring
