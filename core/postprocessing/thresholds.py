"""Threshold optimization on the validation set: probability threshold, split ratio, minimum area, and calibration.

Runs once a training is over, or before its final refit; stored in the run and used wherever it predicts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.compat import from_stored, to_stored
from core.metrics.calibration import Bin, Calibration, reliability
from core.metrics.spacenet import Counts, average_precision
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.rescoring import FootprintRescorer, RescoringSamples, features
from core.postprocessing.validation import ValidationPrediction
from core.postprocessing.vectorize import Rescorer
from core.runs.config import TrainingConfig
from core.runs.run import Run
from core.types import Geometries
from models.registry import NETWORKS

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
SADDLE_RATIOS = (1.1, 1.2, 1.3, 1.5, 1.8, 2.2)
#: Ratios tried before a refit: the distance of a half-trained network ripples, and what smooths it would not fit later.
MIDTRAINING_RATIOS = (1.2, 1.3, 1.5)
#: Ratios are only optimized on at least so many validation tiles with buildings: one tile shows one kind of building.
MIN_TILES = 3
MIN_AREAS_M2 = (5.0, 10.0, 20.0, 30.0)
#: Probabilities below which the rescorer may drop a footprint.
RESCORE_CUTOFFS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
#: Split ratio of networks that predict the distance, before optimization.
DEFAULT_RATIO = 1.3
#: Split ratio where buildings are detached, and the F1 of a perfect mask without splitting from which they are:
#: there, a neck half as deep is one long roof (docs/decisions, number 0021).
DETACHED_RATIO, DETACHED_F1 = 4.0, 0.9


@dataclass(frozen=True)
class Thresholds:
    """Optimized post-processing of a run; stored names are in core.compat."""

    vectorize: VectorizeConfig = field(default_factory=VectorizeConfig)
    f1: float | None = None  #: of the validation buildings; None without any
    calibration: Calibration = field(default_factory=Calibration)
    raw: tuple[Bin, ...] = ()  #: reliability of the confidence before calibration
    calibrated: tuple[Bin, ...] = ()  #: and after
    samples: RescoringSamples = field(default_factory=RescoringSamples)
    rescore_cutoff: float = 0.0  #: footprints of a lower probability are dropped by the rescorer
    rescored_f1: float | None = None  #: cross-validated; None with too few samples
    ap: float | None = None  #: average precision of the validation footprints, at IoU 0.5
    tiles: tuple[tuple[str, int, int, int], ...] = ()  #: TP, FP and FN of each validation tile
    refitted: bool = False  #: the network was trained on the validation set since

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Thresholds":
        """Read from parsed JSON; raises KeyError or TypeError for anything else."""
        values = from_stored(cls, values)
        samples = RescoringSamples(tuple(map(tuple, values["samples"]["rows"])), tuple(values["samples"]["hits"]))
        bins = {name: tuple(Bin(**from_stored(Bin, row)) for row in values[name]) for name in ("raw", "calibrated")}
        nested: dict[str, Any] = {
            "vectorize": VectorizeConfig(**from_stored(VectorizeConfig, values["vectorize"])),
            "calibration": Calibration(**values["calibration"]),
            "tiles": tuple(map(tuple, values.get("tiles", ()))),
        }
        return cls(**{**values, **nested, **bins, "samples": samples})

    def as_dict(self) -> dict[str, Any]:
        """Convert to plain values under their stored names, for JSON."""
        stored: dict[str, Any] = to_stored(self)
        return stored

    @property
    def rescorer(self) -> FootprintRescorer | None:
        """Second-stage classifier; None with too few samples to fit it."""
        return FootprintRescorer(self.samples, self.rescore_cutoff) if self.samples.is_sufficient else None


def rescorer_for(thresholds: Thresholds, rescore: bool) -> Rescorer:
    """Choose how confidence is computed: by the second-stage classifier if asked for and fitted, else calibrated."""
    classifier = thresholds.rescorer if rescore else None

    def confidence_of(
        polygons: Geometries, confidence: NDArray[np.float64], layers: NDArray[np.float32], pixel_m: float,
        corner: tuple[int, int],
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:  # fmt: skip
        if classifier is None:
            return np.ones(len(polygons), bool), thresholds.calibration.apply(confidence)
        probability = classifier.probability(features(polygons, layers, pixel_m, corner))
        return probability >= classifier.cutoff, probability

    return confidence_of


def load_thresholds(run: Run) -> Thresholds:
    """Read the thresholds of a run; the defaults before optimization, or where the file is damaged."""
    try:
        if run.stored_thresholds:
            return Thresholds.of(run.stored_thresholds)
    except (KeyError, TypeError):
        pass
    return Thresholds(default_vectorize(run.config))


def default_vectorize(config: TrainingConfig, detached: bool = False) -> VectorizeConfig:
    """Post-processing of a run before threshold optimization; `detached`: its buildings do not touch."""
    ratio = DETACHED_RATIO if detached else DEFAULT_RATIO
    saddle_ratio = ratio if NETWORKS[config.network].predicts_distance else 0.0
    return VectorizeConfig(saddle_ratio=saddle_ratio, grow_px=config.dataset.border_px)


def are_separable(perfect: ValidationPrediction) -> bool:
    """Tell whether buildings are detached: a perfect mask finds them without splitting."""
    return (perfect.counts(VectorizeConfig(saddle_ratio=0.0)).f1 or 0.0) >= DETACHED_F1


def optimize_thresholds(
    prediction: ValidationPrediction, first: VectorizeConfig, ratios: Sequence[float] = SADDLE_RATIOS
) -> Thresholds:
    """Optimize probability threshold and split ratio by a grid search, then the minimum area, then fit rescoring.

    Args:
        prediction: Predicted layers of the validation areas.
        first: Settings that stay where no others are clearly better.
        ratios: Split ratios to try.

    Returns:
        The best settings with their F1, calibration and rescoring samples.
    """
    score = prediction.counts(first).f1
    if score is None:
        return Thresholds(first)
    tiles = {area.sample.tile for area in prediction.areas if len(area.truth)}
    grid_ratios = ratios if first.saddle_ratio and len(tiles) >= MIN_TILES else ()
    grid = (
        replace(first, threshold=threshold, saddle_ratio=ratio)
        for threshold, ratio in product(THRESHOLDS, dict.fromkeys((first.saddle_ratio, *grid_ratios)))
    )
    # One and a half standard errors: the validation set is small, and the best of many settings is always lucky.
    gain = float(0.75 / np.sqrt(max(sum(len(area.truth) for area in prediction.areas), 1)))
    best, score = _best_of(prediction, first, score, gain, grid)
    best, score = _best_of(prediction, best, score, gain, [replace(best, min_area_m2=area) for area in MIN_AREAS_M2])
    return _fit_rescoring(prediction, Thresholds(best, score, tiles=_tile_counts(prediction, best)))


def _tile_counts(prediction: ValidationPrediction, config: VectorizeConfig) -> tuple[tuple[str, int, int, int], ...]:
    """TP, FP and FN of every tile, for a confidence interval of the F1."""
    totals = dict[str, Counts]()
    for area, score in zip(prediction.areas, prediction.scores(config), strict=True):
        totals[area.sample.tile] = totals.get(area.sample.tile, Counts(0, 0, 0)) + score
    return tuple((tile, counts.tp, counts.fp, counts.fn) for tile, counts in totals.items())


def _best_of(
    prediction: ValidationPrediction, best: VectorizeConfig, score: float, gain: float,
    candidates: Iterable[VectorizeConfig],
) -> tuple[VectorizeConfig, float]:  # fmt: skip
    """Choose the best candidate that gains enough, with its F1."""
    minimum = score + gain
    for config in candidates:
        f1 = prediction.counts(config).f1
        if f1 is not None and f1 > max(score, minimum):
            best, score = config, f1
    return best, score


def _fit_rescoring(prediction: ValidationPrediction, thresholds: Thresholds) -> Thresholds:
    """Add calibration, rescoring samples and the cutoff, from the footprints that the thresholds give."""
    rows, confidence, hits, truth = _scored_footprints(prediction, thresholds.vectorize)
    samples = RescoringSamples(tuple(map(tuple, rows.astype(float).round(5).tolist())), tuple(hits.tolist()))
    calibration = Calibration.of(confidence, samples.hits)
    if len(hits) == 0:
        return thresholds
    thresholds = replace(
        thresholds, ap=average_precision(confidence, hits, truth), samples=samples, calibration=calibration,
        raw=reliability(confidence, samples.hits),
        calibrated=reliability(calibration.apply(confidence), samples.hits),
    )  # fmt: skip
    if not samples.is_sufficient:
        return thresholds
    scores = dict[float, float]()
    for cutoff in (0.0, *RESCORE_CUTOFFS):
        passing = hits[samples.out_of_fold >= cutoff]
        tp = int(passing.sum())
        scores[cutoff] = Counts(tp, len(passing) - tp, truth - tp).f1 or 0.0
    best = max(scores, key=lambda cutoff: (scores[cutoff], -cutoff))
    return replace(thresholds, rescore_cutoff=best, rescored_f1=scores[best])


def _scored_footprints(
    prediction: ValidationPrediction, config: VectorizeConfig
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], int]:
    """Features, confidence and hits of all scored footprints, and the number of ground-truth buildings."""
    rows, confidence, hits, truth = [], [], [], 0
    for area, layers, polygons, score in zip(
        prediction.areas, prediction.layers, prediction.vectorize(config), prediction.scores(config), strict=True
    ):
        counted = score.proposals.counted
        rows.append(features(polygons.polygons, layers, area.pixel_m)[counted])
        confidence.append(polygons.confidence[counted])
        hits.append(score.proposals.hit[counted])
        truth += score.tp + score.fn
    return np.concatenate(rows), np.concatenate(confidence), np.concatenate(hits), truth
