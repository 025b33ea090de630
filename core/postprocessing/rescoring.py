"""Second-stage classifier: rescore footprints by the probability that they are true positives.

Gradient boosting on shape and probability features, as by the winner of SpaceNet 1 (wleite, 2017). It is fitted to
the footprints of the validation set, whose features are stored in the run. The fitted model is not stored, since
files of such models can run code; fitting takes some hundredths of a second.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.metrics.calibration import MIN_PER_CLASS, MIN_SAMPLES
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
    """Compute the features of footprints for rescoring.

    Args:
        polygons: (n,) polygons in pixel coordinates.
        layers: Probability, and distance [m] where the network predicts it, (rows, cols, 1 or 2) float32.
        pixel_m: Side of a pixel [m].
        corner: Column and row of the first pixel of the layers.

    Returns:
        (n, len(FEATURES)) float32.
    """
    if len(polygons) == 0:
        return np.zeros((0, len(FEATURES)), np.float32)
    columns = [_shape_features(polygons, pixel_m), _pixel_features(polygons, layers, corner)]
    return np.column_stack(columns).astype(np.float32)


def _shape_features(polygons: Geometries, pixel_m: float) -> NDArray[np.float64]:
    """Area, perimeter and form of each polygon, (n, 8)."""
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


def _pixel_features(polygons: Geometries, layers: NDArray[np.float32], corner: tuple[int, int]) -> NDArray[np.float64]:
    """Mean, spread and minimum of the probability, mean and maximum of the distance inside each polygon, (n, 5)."""
    count = len(polygons) + 1
    shapes = zip(polygons, range(1, count), strict=True)
    instance = rasterize(shapes, layers.shape[:2], transform=Affine.translation(*corner), dtype="int32").ravel()
    inside = np.flatnonzero(instance)
    instance, probability = instance[inside], layers[..., 0].ravel()[inside]
    distance = layers[..., 1].ravel()[inside] if layers.shape[-1] > 1 else np.zeros_like(probability)
    pixels = np.maximum(np.bincount(instance, minlength=count), 1)
    sums = (np.bincount(instance, values, count) for values in (probability, probability**2, distance))
    mean, mean_square, mean_distance = (total / pixels for total in sums)
    minimum, max_distance = np.ones(count), np.full(count, -1.0)
    np.minimum.at(minimum, instance, probability)
    np.maximum.at(max_distance, instance, distance)
    spread = np.sqrt(np.maximum(mean_square - mean**2, 0))
    return np.column_stack([mean, spread, minimum, mean_distance, max_distance])[1:]


@dataclass(frozen=True)
class RescoringSamples:
    """Footprints of the validation set: their features, and which are true positives (IoU above 0.5)."""

    rows: tuple[tuple[float, ...], ...] = ()  #: of FEATURES
    hits: tuple[bool, ...] = ()  #: true positives

    @property
    def is_sufficient(self) -> bool:
        """Tell whether both classes have enough samples to fit a classifier."""
        rarer = min(sum(self.hits), len(self.hits) - sum(self.hits))
        return len(self.hits) >= MIN_SAMPLES and rarer >= MIN_PER_CLASS

    @cached_property
    def out_of_fold(self) -> NDArray[np.float64]:
        """Cross-validated probability of each sample, predicted by a classifier not fitted to it.

        Returns:
            (n,) probabilities, 0 to 1.
        """
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        folds, rows = StratifiedKFold(_FOLDS, shuffle=True, random_state=0), np.array(self.rows)
        probabilities = cross_val_predict(_booster(), rows, np.array(self.hits), cv=folds, method="predict_proba")
        return np.asarray(probabilities[:, 1])


def _booster() -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(
        n_estimators=80, max_depth=3, learning_rate=0.08, subsample=0.7, min_samples_leaf=8, random_state=0
    )


@dataclass(frozen=True)
class FootprintRescorer:
    """Classifier of true positives; footprints below `cutoff` are filtered as likely false positives."""

    samples: RescoringSamples
    cutoff: float

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predict how probable it is that footprints are true positives.

        Args:
            rows: Features, (n, len(FEATURES)) float32.

        Returns:
            (n,) probabilities, 0 to 1.
        """
        if len(rows) == 0:
            return np.zeros(0)
        return np.asarray(_fit_booster(self.samples).predict_proba(rows)[:, 1])


@lru_cache(maxsize=8)
def _fit_booster(samples: RescoringSamples) -> Any:
    """Fit the classifier, cached: the page rescores at every slider step."""
    return _booster().fit(np.array(samples.rows), np.array(samples.hits))
