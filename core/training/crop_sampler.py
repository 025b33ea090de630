"""Crop sampler: crops of an epoch and their augmentation, determined by the seed and the number of the epoch.

Crops are those of the grid, or sampled on buildings with a share placed at random. Augmentation: D4 symmetries; strong
augmentation adds random scale, rotation, brightness, gamma, haze, desaturation and cutout (models/augmentation.py).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.datasets.chips import Chips
from core.datasets.symmetries import SYMMETRIES
from core.runs.config import TrainingConfig

#: Random scale: side of a window relative to a crop, log-uniform.
SCALE_RANGE = (0.75, 1.35)
#: Random rotation in both directions [degrees].
MAX_ROTATION = 45
#: Brightness: natural logarithm of the gain, in both directions, of a crop and of a band relative to it.
GAIN_LOG, BAND_GAIN_LOG = 0.3, 0.12
#: Gamma: natural logarithm of the exponent, in both directions, of a crop and of a band relative to it.
GAMMA_LOG, BAND_GAMMA_LOG = 0.3, 0.07
#: Haze: largest share of white, smallest factor of a band relative to its crop, and share of the crops with haze.
MAX_HAZE, MIN_BAND_HAZE, HAZE_PROBABILITY = 0.2, 0.7, 0.5
#: Share of the crops that are desaturated, by 0 to 1.
DESATURATION_PROBABILITY = 0.3
#: Cutout: largest side relative to the crop, and share of the crops with one.
MAX_CUTOUT, CUTOUT_PROBABILITY = 0.3, 0.5
#: Maximum number of building pixels of a sample that crops are placed on; of more, every n-th is taken.
MAX_BUILDING_PIXELS = 20_000


@dataclass(frozen=True)
class EpochCrops:
    """Crops of an epoch, in the order of training."""

    windows: NDArray[np.int32]  #: (n, 6), see Chips.windows
    augmentation: NDArray[np.float32]  #: (n, k), see models.augmentation; k is 0 without photometric augmentation

    def __len__(self) -> int:
        return len(self.windows)

    @classmethod
    def of(cls, chips: Chips, numbers: NDArray[np.intp]) -> "EpochCrops":
        """Take crops of the grid without augmentation.

        Args:
            chips: The crops.
            numbers: Numbers of the crops to take, (n,).
        """
        return cls(chips.windows(numbers), np.zeros((len(numbers), 0), np.float32))


@dataclass
class CropSampler:
    """Samples the crops of every epoch."""

    config: TrainingConfig
    chips: Chips
    length: int = 0  #: crops in an epoch; 0: as many as the grid has, and sampled ones at least `epoch_crops`
    _building_pixels: dict[int, NDArray[np.intp]] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        """Return the number of crops in an epoch."""
        crops = self.length or len(self.chips)
        return crops if self.config.dataset.crops == "grid" else max(crops, self.config.epoch_crops)

    def epoch(self, number: int) -> EpochCrops:
        """Sample the crops of an epoch, counted from 0; the same for the same seed."""
        random = np.random.default_rng((self.config.seed, number))
        crops = len(self)
        numbers = random.permutation(crops)
        symmetries = random.integers(0, SYMMETRIES, crops) if self.config.augment else np.zeros(crops, np.intp)
        on_grid = self.config.dataset.crops == "grid"
        windows = self.chips.windows(numbers, symmetries) if on_grid else self._sample_windows(random, symmetries)
        return EpochCrops(windows, self._sample_photometric(random, crops))

    def _sample_windows(self, random: np.random.Generator, symmetries: NDArray[np.intp]) -> NDArray[np.int32]:
        """Sample windows within the extents of the crops of the grid, (n, 6) int32."""
        extents, crops = self.chips.extents, len(symmetries)
        numbers = np.array([*extents])
        bounds = np.array([extents[n] for n in numbers])
        areas = (bounds[:, 2] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 1])
        samples = random.choice(len(numbers), crops, p=areas / areas.sum())
        background = random.random(crops) < self.config.dataset.background_share
        low = bounds[samples, :2]
        side, degrees, margin = self._sample_scales(random, (bounds[samples, 2:] - low).min(axis=1))
        free = bounds[samples, 2:] - low - side[:, None] - 2 * margin[:, None]
        first = low + np.floor(random.random((crops, 2)) * (free + 1)).astype(np.intp)
        position, choice = random.random((crops, 2)), random.random(crops)
        for n in np.flatnonzero(~background):
            pixels = self._pixels_of_buildings(int(numbers[samples[n]]))
            if len(pixels):
                pixel = pixels[int(choice[n] * len(pixels))]
                corner = pixel - np.floor(position[n] * side[n]).astype(np.intp) - margin[n]
                first[n] = np.clip(corner, low[n], low[n] + free[n])
        origins = first + margin[:, None]
        return np.column_stack([numbers[samples], origins, symmetries, side, degrees]).astype(np.int32)

    def _sample_scales(
        self, random: np.random.Generator, room: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Sample side [px], rotation [degrees], and margin of the rotated corners [px] of each window, (n,) each.

        A window larger than its extent (`room` [px]) is not rotated, and shrinks.
        """
        crops, chip = len(room), self.chips.chip
        if not self.config.strong_augmentation:
            zeros = np.zeros(crops, np.intp)
            return np.minimum(chip, room), zeros, zeros
        smallest, largest = np.log(SCALE_RANGE)
        side = np.minimum(np.round(chip * np.exp(random.uniform(smallest, largest, crops))).astype(np.intp), room)
        degrees = random.integers(-MAX_ROTATION, MAX_ROTATION + 1, crops)
        angle = np.radians(np.abs(degrees))
        margin = np.ceil(side * (np.cos(angle) + np.sin(angle) - 1) / 2).astype(np.intp) + (degrees != 0)
        fits = side + 2 * margin <= room
        return side, np.where(fits, degrees, 0), np.where(fits, margin, 0)

    def _pixels_of_buildings(self, sample: int) -> NDArray[np.intp]:
        """Rows and columns of building pixels in the extent of a sample, (m, 2)."""
        if sample not in self._building_pixels:
            top, left, bottom, right = self.chips.extents[sample]
            pixels = np.argwhere(self.chips.building_layer(sample)[top:bottom, left:right]) + np.array([top, left])
            self._building_pixels[sample] = pixels[:: 1 + len(pixels) // MAX_BUILDING_PIXELS]
        return self._building_pixels[sample]

    def _sample_photometric(self, random: np.random.Generator, crops: int) -> NDArray[np.float32]:
        """Sample gain, gamma and haze of every band, desaturation, and cutout, (n, 3 * bands + 4)."""
        if not self.config.strong_augmentation:
            return np.zeros((crops, 0), np.float32)
        one_each = (crops, 1)
        band_each = (crops, self.chips.samples[0].pixels.shape[2])

        def symmetric(crop_range: float, band_range: float) -> NDArray[np.float64]:
            return random.uniform(-crop_range, crop_range, one_each) + random.uniform(
                -band_range, band_range, band_each
            )

        gain = np.exp(symmetric(GAIN_LOG, BAND_GAIN_LOG))
        gamma = np.exp(symmetric(GAMMA_LOG, BAND_GAMMA_LOG))
        haze = random.uniform(0, MAX_HAZE, one_each) * random.uniform(MIN_BAND_HAZE, 1, band_each)
        haze = haze * (random.random(one_each) < HAZE_PROBABILITY)
        desaturation = random.random(one_each) * (random.random(one_each) < DESATURATION_PROBABILITY)
        cutout = random.random((crops, 3)) * (1, 1, MAX_CUTOUT) * (random.random(one_each) < CUTOUT_PROBABILITY)
        return np.concatenate([gain, gamma, haze, desaturation, cutout], axis=1).astype(np.float32)
