"""Cars and parking lots of the sample city."""

from math import pi

import numpy as np

from core.synthetic_city.city import City, Frame, Part, Roof, part, pick
from core.synthetic_city.palette import CAR_COLOURS


def car(frame: Frame, rng: np.random.Generator) -> list[Part]:
    """A car along the frame: body, glass, roof."""
    colour, tone, length = pick(rng, CAR_COLOURS), rng.uniform(0.8, 1.1), rng.uniform(4.1, 5.1)
    cabin = frame.moved(-0.25, 0)
    return [
        part(frame, length, 1.85, Roof.FLAT, 0.95, 0, colour, tone),
        part(cabin, length * 0.56, 1.55, Roof.FLAT, 1.2, 0, "glass", 1, 1),
        part(cabin.moved(-0.3, 0), length * 0.34, 1.5, Roof.FLAT, 1.45, 0, colour, tone, 2),
    ]


def parking(city: City, frame: Frame, length: float, rng: np.random.Generator) -> None:
    """Two rows of marked stalls along the frame, some of them taken."""
    city.lay(frame.box(length, 11.5), "asphalt", rng.uniform(0.85, 1.5))
    occupied = rng.uniform(0.15, 0.8)
    for u in np.arange(-length / 2 + 1.5, length / 2 - 1.5, 2.7):
        for v in (-3.4, 3.4):
            city.lay(frame.moved(u - 1.35, v).box(0.3, 4.8), "lane mark", 0.7)
            if rng.random() < occupied:
                city.stand(car(frame.moved(u, v + rng.normal(0, 0.2), rng.choice([-pi / 2, pi / 2])), rng))
