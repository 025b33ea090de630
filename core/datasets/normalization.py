"""Normalization of pixel values by percentiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Share of the pixels below and above the percentile scale, in percent.
PERCENTILES = (2.0, 98.0)


#: Every n-th pixel is looked at, so that no more than about so many are.
SAMPLED_PIXELS = 4_000_000


class MaskedImage(Protocol):
    """An image and where it has data."""

    @property
    def pixels(self) -> NDArray[np.float32]:
        """Pixel values, (rows, cols, bands)."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(rows, cols), False where there is no data."""


@dataclass(frozen=True)
class Scaling:
    """What becomes 0 and what becomes 1 in each band."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, pixels: NDArray) -> NDArray[np.float32]:
        """(…, bands) of any dtype to float32; kept within -1 to 2, so that one broken sensor value stays harmless.

        What is no number becomes 0: a single one would spread through a network until every weight were none.
        """
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        span = np.where(high > low, high - low, 1)
        scaled: NDArray[np.float32] = np.clip((pixels.astype(np.float32) - low) / span, -1, 2)
        return np.nan_to_num(scaled, copy=False)

    @classmethod
    def thesis(cls, full_scale: tuple[float, ...]) -> "Scaling":
        """By the largest value of the dtype: /255 and /65535."""
        return cls((0.0,) * len(full_scale), full_scale)

    @classmethod
    def percentiles(cls, scenes: Sequence[MaskedImage]) -> "Scaling":
        """From the 2nd to the 98th percentile of the finite pixels with a picture, over all scenes together."""
        every = 1 + sum(scene.valid.size for scene in scenes) // SAMPLED_PIXELS
        seen = np.concatenate([scene.pixels[scene.valid][::every] for scene in scenes])
        low, high = zip(*map(_ends, seen.T), strict=True)
        return cls(low, high)


def _ends(band: NDArray[np.float32]) -> tuple[float, float]:
    """What becomes 0 and 1 in one band, a row of pixels; 0 and 1 themselves where it has no finite ones."""
    finite = band[np.isfinite(band)]
    low, high = np.percentile(finite, PERCENTILES) if len(finite) else (0.0, 1.0)
    return float(low), float(high)
