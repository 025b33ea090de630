"""Calibration of confidences: Platt scaling and reliability diagram."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Fewer footprints, or fewer of the rarer kind, teach nothing.
LEAST_EXAMPLES, LEAST_OF_A_KIND = 60, 15


@dataclass(frozen=True)
class Calibration:
    """From the mean probability inside a footprint to how often such a one finds a building (Platt 1999)."""

    slope: float = 1.0
    offset: float = 0.0

    def apply(self, confidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) 0 to 1."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * _logit(confidence) + self.offset))))

    @classmethod
    def of(cls, confidence: NDArray[np.float64], hits: Sequence[bool]) -> "Calibration":
        """That fits best; none where there is too little to go by."""
        hit = np.asarray(hits, bool)
        if len(hit) < LEAST_EXAMPLES or not LEAST_OF_A_KIND <= hit.sum() <= len(hit) - LEAST_OF_A_KIND:
            return cls()
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression().fit(_logit(confidence)[:, None], hit)
        return cls(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


def _logit(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    sure = np.clip(confidence, 1e-4, 1 - 1e-4)
    return np.log(sure / (1 - sure))


@dataclass(frozen=True)
class Bin:
    """Footprints of about the same confidence."""

    confidence: float  #: their mean
    found: float  #: share of them that found a building
    count: int


def reliability(confidence: NDArray[np.float64], hits: Sequence[bool], bins: int = 10) -> tuple[Bin, ...]:
    """Confidence against what came of it, in bins of equal width that are not empty."""
    place = np.clip((np.asarray(confidence) * bins).astype(int), 0, bins - 1)
    hit = np.asarray(hits, float)
    return tuple(
        Bin(float(confidence[place == n].mean()), float(hit[place == n].mean()), int((place == n).sum()))
        for n in np.unique(place)
    )
