"""Which crops an epoch sees, and how they are changed: all of it follows from the seed and the epoch's number.

Drawn crops lie where buildings are, with a share that lies anywhere; augmentation turns them by the eight symmetries,
rotates them, looks at them from nearer or farther, and changes light and haze (models/augmentation.py).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.datasets.chips import Chips
from core.datasets.symmetries import SYMMETRIES
from core.runs.config import TrainingConfig

#: Varied crops show so much less or more ground than others.
ZOOM = (0.75, 1.35)
#: So many built pixels of a scene are drawn from.
_REMEMBERED = 20_000


@dataclass(frozen=True)
class Drawn:
    """The crops of an epoch in the order in which they are seen."""

    places: NDArray[np.int32]  #: (n, 6), see Chips.places
    looks: NDArray[np.float32]  #: (n, k), see models.augmentation; k is 0 where pixels stay as they are

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def of(cls, chips: Chips, numbers: NDArray[np.intp]) -> "Drawn":
        """These crops of the grid, as they are."""
        return cls(chips.places(numbers), np.zeros((len(numbers), 0), np.float32))


@dataclass
class Drawing:
    """Draws the crops of every epoch."""

    config: TrainingConfig
    chips: Chips
    length: int = 0  #: crops in an epoch; 0: as many as the grid has, of drawn ones no fewer than the config has it
    _built: dict[int, NDArray[np.intp]] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        """Crops in an epoch."""
        crops = self.length or len(self.chips)
        return crops if self.config.recipe.crops == "grid" else max(crops, self.config.epoch_crops)

    def epoch(self, number: int) -> Drawn:
        """The crops of an epoch, counted from 0; the same for the same seed."""
        random = np.random.default_rng((self.config.seed, number))
        crops = len(self)
        chosen = random.permutation(crops)
        turns = random.integers(0, SYMMETRIES, crops) if self.config.augment else np.zeros(crops, np.intp)
        on_grid = self.config.recipe.crops == "grid"
        places = self.chips.places(chosen, turns) if on_grid else self._places(random, turns)
        return Drawn(places, self._looks(random, crops))

    def _places(self, random: np.random.Generator, turns: NDArray[np.intp]) -> NDArray[np.int32]:
        """Windows drawn in the boxes that the crops of the grid cover, and nowhere else."""
        boxes, crops = self.chips.boxes, len(turns)
        numbers = np.array([*boxes])
        rims = np.array([boxes[n] for n in numbers])
        areas = (rims[:, 2] - rims[:, 0]) * (rims[:, 3] - rims[:, 1])
        scenes = random.choice(len(numbers), crops, p=areas / areas.sum())
        anywhere = random.random(crops) < self.config.recipe.empty
        low = rims[scenes, :2]
        side, degrees, reach = self._sizes(random, (rims[scenes, 2:] - low).min(axis=1))
        free = rims[scenes, 2:] - low - side[:, None] - 2 * reach[:, None]
        first = low + np.floor(random.random((crops, 2)) * (free + 1)).astype(np.intp)
        within, built = random.random((crops, 2)), random.random(crops)
        for n in np.flatnonzero(~anywhere):
            pixels = self._built_pixels(int(numbers[scenes[n]]))
            if len(pixels):
                seen = pixels[int(built[n] * len(pixels))] - np.floor(within[n] * side[n]).astype(np.intp) - reach[n]
                first[n] = np.clip(seen, low[n], low[n] + free[n])
        return np.column_stack([numbers[scenes], first + reach[:, None], turns, side, degrees]).astype(np.int32)

    def _sizes(
        self, random: np.random.Generator, room: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """(n,) each: pixels along a window, degrees it is rotated by, and pixels its corners then reach beyond it.

        What has no room in its box is not rotated, and shrinks.
        """
        crops, chip = len(room), self.chips.chip
        if not self.config.vary:
            none = np.zeros(crops, np.intp)
            return np.minimum(chip, room), none, none
        nearer, farther = np.log(ZOOM)
        side = np.minimum(np.round(chip * np.exp(random.uniform(nearer, farther, crops))).astype(np.intp), room)
        degrees = random.integers(-45, 46, crops)
        turn = np.radians(np.abs(degrees))
        reach = np.ceil(side * (np.cos(turn) + np.sin(turn) - 1) / 2).astype(np.intp) + (degrees != 0)
        fits = side + 2 * reach <= room
        return side, np.where(fits, degrees, 0), np.where(fits, reach, 0)

    def _built_pixels(self, scene: int) -> NDArray[np.intp]:
        """(m, 2): rows and columns of built pixels in a scene's box."""
        if scene not in self._built:
            top, left, bottom, right = self.chips.boxes[scene]
            found = np.argwhere(self.chips.building(scene)[top:bottom, left:right]) + np.array([top, left])
            self._built[scene] = found[:: 1 + len(found) // _REMEMBERED]
        return self._built[scene]

    def _looks(self, random: np.random.Generator, crops: int) -> NDArray[np.float32]:
        """(n, 3 bands + 4) gain, gamma and haze of every band, lost colour, and what is cut out."""
        if not self.config.vary:
            return np.zeros((crops, 0), np.float32)
        bands = self.chips.scenes[0].pixels.shape[2]
        each = (crops, bands)
        gain = np.exp(random.uniform(-0.3, 0.3, (crops, 1)) + random.uniform(-0.12, 0.12, each))
        gamma = np.exp(random.uniform(-0.3, 0.3, (crops, 1)) + random.uniform(-0.07, 0.07, each))
        haze = random.uniform(0, 0.2, (crops, 1)) * random.uniform(0.7, 1, each) * (random.random((crops, 1)) < 0.5)
        grey = random.random((crops, 1)) * (random.random((crops, 1)) < 0.3)
        hole = random.random((crops, 3)) * (1, 1, 0.3) * (random.random((crops, 1)) < 0.5)
        return np.concatenate([gain, gamma, haze, grey, hole], axis=1).astype(np.float32)
