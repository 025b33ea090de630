"""Subdivision of a block into lots, in two rows back to back."""

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from core.synthetic_city.city import Lot
from core.synthetic_city.plan import Bend, axes


def rows_of_lots(
    outline: Polygon, bend: Bend, frontage: float, rng: np.random.Generator, min_depth: float
) -> list[list[Lot]]:
    """Two rows of lots of about `frontage` metres each; `outline` in plan metres, lots in city metres.

    One row where two would be less than `least` metres deep, none where even that is.
    Slanted ends of the block, where a lot would be less than two thirds as deep as the others, stay without.
    """
    origin, along, across, length, depth = axes(outline)
    ring = (np.array(outline.exterior.coords)[:-1] - origin) @ np.column_stack([along, across])
    samples = np.linspace(0, length, 81)
    near, far = _chains(ring, samples)
    deep = np.flatnonzero(far - near > 0.66 * depth)
    if len(deep) < 2 or depth < min_depth:
        return []
    start, end = samples[deep[0]] + 0.5, samples[deep[-1]] - 0.5
    number = max(1, round((end - start) / frontage))
    cuts = np.linspace(start, end, number + 1)
    cuts[1:-1] += rng.uniform(-0.12, 0.12, number - 1) * (end - start) / number
    front, back = _chains(ring, cuts)
    middle = front + (back - front) * (0.5 + rng.uniform(-0.02, 0.02))
    sides = [(front, middle), (back, middle)] if depth >= 2 * min_depth else [(front, back)]
    return [
        [Lot(bend(origin + corners @ np.array([along, across]))) for corners in _quads(cuts, street, rear)]
        for street, rear in sides
    ]


def _chains(ring: NDArray, cuts: NDArray) -> tuple[NDArray, NDArray]:
    """Least and greatest v of a convex ring (u, v) at each u."""
    following = np.roll(ring, -1, axis=0)
    u0, v0, u1, v1 = *ring.T, *following.T
    run = np.where(np.abs(u1 - u0) < 1e-9, 1e-9, u1 - u0)
    share = (cuts[:, None] - u0) / run
    v = np.where((share >= -1e-9) & (share <= 1 + 1e-9), v0 + share * (v1 - v0), np.nan)
    v[np.isnan(v).all(axis=1)] = 0.0
    return np.nanmin(v, axis=1), np.nanmax(v, axis=1)


def _quads(cuts: NDArray, street: NDArray, rear: NDArray) -> NDArray:
    """(lots, 4, 2): left and right at the street, right and left at the back."""
    front, back = np.column_stack([cuts, street]), np.column_stack([cuts, rear])
    return np.stack([front[:-1], front[1:], back[1:], back[:-1]], axis=1)
