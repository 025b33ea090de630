"""Districts: fill the blocks of a plan by district type, and add traffic to the streets."""

from collections.abc import Callable
from math import atan2, pi

import numpy as np

from core.synthetic_city.cars import car
from core.synthetic_city.city import City, Frame
from core.synthetic_city.gardens import tree
from core.synthetic_city.houses import suburb
from core.synthetic_city.industry import estate, industry
from core.synthetic_city.oldtown import old_town
from core.synthetic_city.parks import bare_ground, park
from core.synthetic_city.plan import Bend, Block, Plan, Street
from core.synthetic_city.terraces import terraces

_FILL: dict[str, Callable[[City, Block, Bend, np.random.Generator], None]] = {
    "suburb": suburb,
    "terraces": terraces,
    "old town": old_town,
    "industry": industry,
    "estate": estate,
    "park": park,
    "bare ground": bare_ground,
}


def build_city(plan: Plan, rng: np.random.Generator) -> City:
    """Everything that stands and lies in the plan's blocks and on its streets."""
    city = City()
    for block in plan.blocks:
        _FILL[block.kind.name](city, block, plan.bend, rng)
    for street in plan.streets:
        _street_life(city, street, rng)
    return city


def _street_life(city: City, street: Street, rng: np.random.Generator) -> None:
    """Cars driving and parked, and trees along the pavements."""
    has_trees = rng.random() < 0.5
    for s in np.arange(rng.uniform(8, 30), street.line.length - 8, 26 if street.is_arterial else 20):
        middle = s + rng.uniform(-6, 6)
        a, b = street.line.interpolate(middle - 1), street.line.interpolate(middle + 1)
        frame = Frame((a.x + b.x) / 2, (a.y + b.y) / 2, atan2(b.y - a.y, b.x - a.x))
        side = rng.choice([-1, 1])
        lane = street.width / 2 - (rng.choice([3, 6]) if street.is_arterial else 1.2)
        if street.width > 6 and rng.random() < 0.42:
            city.stand(car(frame.moved(0, side * lane, pi if side < 0 else 0), rng))
        if has_trees and rng.random() < 0.7:
            tree(city, frame.moved(3, rng.choice([-1, 1]) * (street.width / 2 + 2)), rng, 2.2)
