"""Validation areas: what a network predicts on ground kept from training, scored by the SpaceNet rule."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from core.datasets.chips import Chips
from core.datasets.samples import Sample
from core.geo.vector import Footprints
from core.metrics.spacenet import Counts, Score, score
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.vectorize import PolygonSet, trace_polygons

#: Rows and columns of context around a validation area, where the sample has them.
CONTEXT_PX = 64
#: At most so many samples are validated after an epoch.
MAX_SAMPLES = 48


@dataclass(frozen=True)
class ValidationArea:
    """A part of a sample, kept from training."""

    sample: Sample
    window: tuple[int, int, int, int]  #: first row and column, and the ones after the last

    @cached_property
    def truth(self) -> Footprints:
        """Ground truth: buildings with most of their area in the window, in its pixels, clipped to it."""
        top, left, bottom, right = self.window
        rim, shapes = shapely.box(left, top, right, bottom), self.sample.buildings
        inside = np.asarray(shapely.intersection(shapes, rim), object)
        inside = inside[shapely.area(inside) > shapely.area(shapes) / 2]
        return Footprints.of(np.asarray(shapely.transform(inside, lambda xy: xy - np.array([left, top])), object), None)

    def layers(self, network: Callable[[NDArray[np.float32]], NDArray[np.float32]], stride: int) -> NDArray[np.float32]:
        """Predict the window, with context around it.

        Args:
            network: Predicts (1, rows, cols, bands) as (1, rows, cols, 1 or 2).
            stride: Of the network [pixels].

        Returns:
            (rows, cols, 1 or 2) float32, 0 where there is no data.
        """
        top, left, bottom, right = self.window
        height, width = self.sample.valid.shape
        first = [max(start - CONTEXT_PX, 0) // stride * stride for start in (top, left)]
        last = [min(end + CONTEXT_PX, side) for end, side in ((bottom, height), (right, width))]
        prediction = network(self.sample.pixels[None, first[0] : last[0], first[1] : last[1]])[0]
        prediction = prediction[top - first[0] : bottom - first[0], left - first[1] : right - first[1]]
        return np.where(self.sample.valid[top:bottom, left:right, None], prediction, np.float32(0))

    @property
    def pixel_m(self) -> float:
        """Side of a pixel [m]."""
        return self.sample.grid.gsd_m


def validation_areas(chips: Chips, max_samples: int | None = None) -> list[ValidationArea]:
    """List the areas that validation crops cover, one a sample; of many samples `max_samples`, evenly chosen."""
    return [ValidationArea(chips.samples[n], window) for n, window in _area_windows(chips, max_samples)]


def _area_windows(chips: Chips, max_samples: int | None) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Number of each sample, and the rows and columns its crops cover."""
    extents = list(chips.extents.items())
    if max_samples is not None and len(extents) > max_samples:
        extents = [extents[n] for n in np.linspace(0, len(extents) - 1, max_samples).round().astype(int)]
    return extents


@dataclass(frozen=True, eq=False)
class ValidationPrediction:
    """Predicted layers of the validation areas."""

    areas: tuple[ValidationArea, ...]
    layers: tuple[NDArray[np.float32], ...]  #: (rows, cols, 1 or 2) of each

    def vectorize(self, config: VectorizeConfig) -> Iterator[PolygonSet]:
        """Yield the footprints of each area, in its pixels."""
        for area, layers in zip(self.areas, self.layers, strict=True):
            yield trace_polygons(layers, config, area.pixel_m)

    def scores(self, config: VectorizeConfig) -> list[Score]:
        """Score each area by the SpaceNet rule."""
        return [
            score(area.truth, Footprints.of(polygons.polygons, None, polygons.confidence))
            for area, polygons in zip(self.areas, self.vectorize(config), strict=True)
        ]

    def counts(self, config: VectorizeConfig) -> Counts:
        """Count TP, FP and FN of all areas together."""
        return sum(self.scores(config), start=Counts(0, 0, 0))


def ground_truth_layers(chips: Chips, max_samples: int | None = None) -> ValidationPrediction:
    """Make the prediction of a perfect mask for the areas that crops cover, as `validation_areas` chooses them."""
    masks = [
        chips.building_layer(n)[top:bottom, left:right]
        for n, (top, left, bottom, right) in _area_windows(chips, max_samples)
    ]
    layers = tuple(mask[..., None].astype(np.float32) for mask in masks)
    return ValidationPrediction(tuple(validation_areas(chips, max_samples)), layers)


def predict_areas(
    areas: list[ValidationArea], network: Callable[[NDArray[np.float32]], NDArray[np.float32]], stride: int
) -> ValidationPrediction:
    """Predict every validation area.

    Args:
        areas: The areas.
        network: Predicts (1, rows, cols, bands) as (1, rows, cols, 1 or 2).
        stride: Of the network [pixels].

    Returns:
        The predicted layers of each area.
    """
    return ValidationPrediction(tuple(areas), tuple(area.layers(network, stride) for area in areas))
