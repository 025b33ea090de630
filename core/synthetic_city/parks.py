"""Open spaces: park and construction site."""

from math import pi

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from core.synthetic_city.city import City, Frame, Roof, bent, part, pick
from core.synthetic_city.gardens import blob, scatter_trees, tree, wall
from core.synthetic_city.plan import Bend, Block


def park(city: City, block: Block, bend: Bend, rng: np.random.Generator) -> None:
    """Lawns, a path around them and across, a pond, a court, a pavilion, groves."""
    ground = bent(block.outline, bend)
    city.lay(ground.buffer(0.5), "grass", 1.05)
    corner, size = _box(ground)
    spots = corner + rng.uniform(0.12, 0.88, (9, 2)) * size
    for spot in spots[:4]:
        lawn = blob(spot, rng.uniform(0.06, 0.16) * size.min(), rng).intersection(ground)
        city.lay(lawn, pick(rng, ("lush grass", "dry grass", "grass")), rng.uniform(0.9, 1.15))
    court = Frame.on(ground.representative_point(), bend.turn)
    pond = blob(spots[8], 0.13 * size.min(), rng).intersection(ground.buffer(-6)) - court.box(46, 29).buffer(4)
    paths = _paths(ground, corner + size / 2, size, rng)
    city.lay(pond.buffer(1.2), "soil")
    city.lay(pond, "pond")
    city.lay(paths.difference(pond.buffer(2)), "gravel", 1.1)
    city.lay(court.box(36, 19), "sports court", 0.8)
    city.lay(court.box(23.8, 11).boundary.buffer(0.17), "lane mark", 1.2)
    pavilion = Frame(spots[5][0], spots[5][1], rng.uniform(0, pi))
    if (ground.buffer(-3) - pond - court.box(40, 24)).covers(pavilion.box(13, 8)):
        city.build([part(pavilion, 13, 8, Roof.HIP, 3.5, 0.45, "slate")])
    free = ground - shapely.union_all([paths.buffer(1), pond.buffer(1), court.box(40, 24)])
    for spot in rng.uniform(0, 1, (22, 2)) * size + corner:  # groves
        points = spot + rng.normal(0, rng.uniform(6, 22), (rng.integers(4, 45), 2))
        for x, y in points[shapely.contains_xy(free, points)]:
            tree(city, Frame(x, y, 0), rng, 3.2)


def _box(ground: Polygon) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """North-west corner and size of the tightest upright rectangle, metres."""
    west, north, east, south = ground.bounds
    return np.array([west, north]), np.array([east - west, south - north])


def _paths(ground: Polygon, centre: NDArray, size: NDArray, rng: np.random.Generator) -> BaseGeometry:
    """A round walk, and three ways across."""
    walk = blob(centre, 0.34 * size.min(), rng).exterior
    paths = [walk.buffer(1.7)]
    for angle in rng.uniform(0, pi) + rng.normal(0, 0.2, 3) + np.array([0, 1, 2]) * pi / 3:
        far = np.array([np.cos(angle), np.sin(angle)]) * size.max()
        sway = rng.normal(0, 0.1, 2) * size
        paths.append(
            smooth(np.array([centre - far, centre - far / 4 + sway, centre + far / 4 - sway, centre + far])).buffer(1.2)
        )
    return shapely.union_all(paths).intersection(ground)


def smooth(points: NDArray[np.float64]) -> LineString:
    """A line through (n, 2) points with its corners cut three times (Chaikin 1974)."""
    for _ in range(3):
        a, b = points[:-1], points[1:]
        middle = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=1).reshape(-1, 2)
        points = np.vstack([points[:1], middle, points[-1:]])
    return LineString(points)


def bare_ground(city: City, block: Block, bend: Bend, rng: np.random.Generator) -> None:
    """A building site: graded earth, wheel tracks, a fence, a row of huts."""
    ground = bent(block.outline, bend)
    city.lay(ground.buffer(0.5), "bare ground")
    corner, size = _box(ground)
    for spot in corner + rng.uniform(0, 1, (12, 2)) * size:
        patch = blob(spot, rng.uniform(0.03, 0.16) * size.min(), rng).intersection(ground)
        city.lay(
            patch, pick(rng, ("soil", "dry grass", "gravel", "bare ground", "bare ground")), rng.uniform(0.8, 1.15)
        )
    for _ in range(4):
        track = smooth(corner + rng.uniform(0, 1, (4, 2)) * size)
        for offset in (-0.9, 0.9):
            city.lay(track.offset_curve(offset).buffer(0.35).intersection(ground), "bare ground", 1.2)
    fence = Polygon(ground.buffer(-1).exterior)
    city.stand([wall([(x, y) for x, y in fence.exterior.coords], 0.9, 1.6)])
    yard = Frame.on(ground.representative_point(), bend.turn)
    for u in np.arange(-22, 22, 7.5):
        if ground.buffer(-5).contains(yard.moved(u, 0).box(6, 3)):
            city.build([part(yard.moved(u, 0), 6, 2.6, Roof.FLAT, 2.8, 0, pick(rng, ("white roof", "blue metal")))])
    scatter_trees(city, ground, rng, 0.0007, 1.2)
