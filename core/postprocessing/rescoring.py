"""A second look at every footprint: how likely is it that one finds a building, going by its shape and what it shows?

Gradient boosting of shape and probability features, as the winner of SpaceNet 1 had it (wleite, 2017). It learns from
the footprints of the validation ground, whose features are kept in the run: no fitted model is stored, since files of
those can run code; fitting takes some hundredths of a second.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.metrics.calibration import LEAST_EXAMPLES, LEAST_OF_A_KIND
from core.types import Geometries

#: In the order of the columns of `features`.
FEATURES = (
    "area_m2", "perimeter_m", "compactness", "rectangularity", "convexity", "longer_side_m", "shorter_side_m", "holes",
    "probability_mean", "probability_spread", "probability_least", "distance_mean", "distance_most",
)  # fmt: skip
_FOLDS = 5


def features(
    polygons: Geometries, layers: NDArray[np.float32], pixel_m: float, corner: tuple[int, int] = (0, 0)
) -> NDArray[np.float32]:
    """(n, len(FEATURES)) of polygons in pixels, over layers (rows, columns, 1 or 2) whose first pixel is `corner`."""
    if len(polygons) == 0:
        return np.zeros((0, len(FEATURES)), np.float32)
    return np.column_stack([_of_shape(polygons, pixel_m), _of_pixels(polygons, layers, corner)]).astype(np.float32)


def _of_shape(polygons: Geometries, pixel_m: float) -> NDArray[np.float64]:
    area, perimeter = shapely.area(polygons), shapely.length(polygons)
    hull = shapely.area(shapely.convex_hull(polygons))
    boxes = shapely.oriented_envelope(polygons)
    corners = [shapely.get_coordinates(box)[:3] if box.geom_type == "Polygon" else np.zeros((3, 2)) for box in boxes]
    sides = np.sort([np.hypot(*np.diff(corner, axis=0).T) for corner in corners], axis=1)
    return np.column_stack([
        area * pixel_m**2, perimeter * pixel_m, 4 * np.pi * area / np.maximum(perimeter, 1e-9) ** 2,
        area / np.maximum(shapely.area(boxes), 1e-9), area / np.maximum(hull, 1e-9),
        sides[:, 1] * pixel_m, sides[:, 0] * pixel_m, shapely.get_num_interior_rings(polygons),
    ])  # fmt: skip


def _of_pixels(polygons: Geometries, layers: NDArray[np.float32], corner: tuple[int, int]) -> NDArray[np.float64]:
    """Mean, spread and least of the probability, mean and most of the distance, inside each polygon."""
    count = len(polygons) + 1
    numbers, there = zip(polygons, range(1, count), strict=True), Affine.translation(*corner)
    owner = rasterize(numbers, layers.shape[:2], transform=there, dtype="int32").ravel()
    inside = np.flatnonzero(owner)
    owner, probability = owner[inside], layers[..., 0].ravel()[inside]
    distance = layers[..., 1].ravel()[inside] if layers.shape[-1] > 1 else np.zeros_like(probability)
    pixels = np.maximum(np.bincount(owner, minlength=count), 1)
    sums = (np.bincount(owner, values, count) for values in (probability, probability**2, distance))
    mean, square, deep = (total / pixels for total in sums)
    least, most = np.ones(count), np.full(count, -1.0)
    np.minimum.at(least, owner, probability)
    np.maximum.at(most, owner, distance)
    return np.column_stack([mean, np.sqrt(np.maximum(square - mean**2, 0)), least, deep, most])[1:]


@dataclass(frozen=True)
class Examples:
    """Footprints of the validation ground: what they look like, and which found a building (IoU above 0.5)."""

    rows: tuple[tuple[float, ...], ...] = ()  #: of FEATURES
    hits: tuple[bool, ...] = ()

    @property
    def suffice(self) -> bool:
        """Whether there are enough of both kinds to learn from."""
        rarer = min(sum(self.hits), len(self.hits) - sum(self.hits))
        return len(self.hits) >= LEAST_EXAMPLES and rarer >= LEAST_OF_A_KIND

    @cached_property
    def unseen(self) -> NDArray[np.float64]:
        """(n,) how likely each is to have found a building, by a judge that has not seen it."""
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        folds, rows = StratifiedKFold(_FOLDS, shuffle=True, random_state=0), np.array(self.rows)
        found = cross_val_predict(_booster(), rows, np.array(self.hits), cv=folds, method="predict_proba")
        return np.asarray(found[:, 1])


def _booster() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(
        n_estimators=80, max_depth=3, learning_rate=0.08, subsample=0.7, min_samples_leaf=8, random_state=0
    )


@dataclass(frozen=True)
class Judge:
    """Says of footprints how likely each finds a building; those below `least` are left out."""

    examples: Examples
    least: float

    def likely(self, seen: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) 0 to 1, from (n, len(FEATURES))."""
        if len(seen) == 0:
            return np.zeros(0)
        return np.asarray(_fitted(self.examples).predict_proba(seen)[:, 1])


@lru_cache(maxsize=8)
def _fitted(examples: Examples) -> Any:
    return _booster().fit(np.array(examples.rows), np.array(examples.hits))
