"""Normalization of pixel values by percentiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Percentiles of the pixel values that become 0 and 1.
PERCENTILES = (2.0, 98.0)


#: Maximum number of pixels the percentiles are computed from; of more, every n-th is taken.
SAMPLED_PIXELS = 4_000_000


class MaskedImage(Protocol):
    """An image and where it has data."""

    @property
    def pixels(self) -> NDArray[np.float32]:
        """Pixel values.

        Returns:
            (rows, cols, bands) float32.
        """

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Valid-data mask.

        Returns:
            (rows, cols) bool, False where there is no data.
        """


@dataclass(frozen=True)
class Normalization:
    """Pixel values that become 0 and 1, for each band."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, pixels: NDArray) -> NDArray[np.float32]:
        """Normalize pixel values, clipped to -1 to 2, so that one broken sensor value stays harmless.

        NaN becomes 0: a single one would spread through a network until every weight is NaN.

        Args:
            pixels: (…, bands) of any dtype.

        Returns:
            (…, bands) float32.
        """
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        span = np.where(high > low, high - low, 1)
        scaled: NDArray[np.float32] = np.clip((pixels.astype(np.float32) - low) / span, -1, 2)
        return np.nan_to_num(scaled, copy=False)

    @classmethod
    def divide_by_max(cls, full_scale: tuple[float, ...]) -> "Normalization":
        """Divide by the largest value of the dtype, 255 or 65,535."""
        return cls((0.0,) * len(full_scale), full_scale)

    @classmethod
    def from_percentiles(cls, samples: Sequence[MaskedImage]) -> "Normalization":
        """Fit to the 2nd and 98th percentile of the finite, valid pixels of all samples together."""
        step = 1 + sum(sample.valid.size for sample in samples) // SAMPLED_PIXELS
        pixels = np.concatenate([sample.pixels[sample.valid][::step] for sample in samples])
        low, high = zip(*map(_percentiles, pixels.T), strict=True)
        return cls(low, high)


def _percentiles(band: NDArray[np.float32]) -> tuple[float, float]:
    """Low and high percentile of the values of a band, (n,); 0 and 1 if none is finite."""
    finite = band[np.isfinite(band)]
    low, high = np.percentile(finite, PERCENTILES) if len(finite) else (0.0, 1.0)
    return float(low), float(high)
