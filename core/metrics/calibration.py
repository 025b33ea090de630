"""Calibration of confidences: Platt scaling and reliability diagram."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Minimum footprints, in total and of the rarer class, to fit a classifier.
MIN_SAMPLES, MIN_PER_CLASS = 60, 15


@dataclass(frozen=True)
class Calibration:
    """Platt scaling (Platt 1999) of the mean probability inside a footprint to its precision."""

    slope: float = 1.0
    offset: float = 0.0

    def apply(self, confidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate confidences.

        Args:
            confidence: Mean probabilities, (n,) float64.

        Returns:
            Calibrated confidences from 0 to 1, (n,) float64.
        """
        return np.asarray(1 / (1 + np.exp(-(self.slope * _logit(confidence) + self.offset))))

    @classmethod
    def of(cls, confidence: NDArray[np.float64], hits: Sequence[bool]) -> "Calibration":
        """Fit the calibration by logistic regression; the identity if there are too few samples.

        Args:
            confidence: Mean probabilities, (n,) float64.
            hits: Whether each footprint is a true positive.
        """
        is_hit = np.asarray(hits, bool)
        if len(is_hit) < MIN_SAMPLES or not MIN_PER_CLASS <= is_hit.sum() <= len(is_hit) - MIN_PER_CLASS:
            return cls()
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression().fit(_logit(confidence)[:, None], is_hit)
        return cls(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


def _logit(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(confidence, 1e-4, 1 - 1e-4)
    return np.log(clipped / (1 - clipped))


@dataclass(frozen=True)
class Bin:
    """Bin of a reliability diagram: footprints of similar confidence."""

    confidence: float  #: mean of the footprints
    precision: float  #: share of true positives
    count: int


def reliability(confidence: NDArray[np.float64], hits: Sequence[bool], bins: int = 10) -> tuple[Bin, ...]:
    """Compute a reliability diagram in bins of equal width; empty bins are left out.

    Args:
        confidence: Confidence of each footprint, (n,) float64.
        hits: Whether each footprint is a true positive.
        bins: Number of bins.
    """
    bin_index = np.clip((np.asarray(confidence) * bins).astype(int), 0, bins - 1)
    is_hit = np.asarray(hits, float)
    return tuple(
        Bin(float(confidence[bin_index == n].mean()), float(is_hit[bin_index == n].mean()), int((bin_index == n).sum()))
        for n in np.unique(bin_index)
    )
