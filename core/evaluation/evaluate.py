"""Evaluation of a run over many tiles: totals, worst tiles, precision-recall, calibration and bootstrap interval."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.catalog.tile_labels import read_tile_labels
from core.inference.tile_prediction import TRAINING_ROLES, TilePrediction, tile_prediction
from core.labels.labels import SIZE_CLASSES_M2
from core.metrics.calibration import Bin, reliability
from core.metrics.spacenet import Counts, Score, average_precision
from core.postprocessing.config import VectorizeConfig
from core.progress import Report, silent

#: Resamples of the bootstrap interval, and its confidence level.
BOOTSTRAP_RESAMPLES, CONFIDENCE_LEVEL = 1000, 0.95
#: Ranking of tiles: by F1, by missed buildings (FN) or by false positives.
Order = Literal["f1", "missed", "invented"]


@dataclass(frozen=True, eq=False)
class TileScore:
    """Score of a labeled tile, with the sizes and confidences needed for curves."""

    tile: str
    aoi: str
    role: str  #: role of the tile in training
    score: Score
    confidence: NDArray[np.float64]  #: of each footprint
    footprint_areas_m2: NDArray[np.float64]  #: of each footprint
    truth_areas_m2: NDArray[np.float64]  #: of each ground-truth building


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a run's predictions on labeled tiles, all vectorized with the same settings."""

    rows: tuple[TileScore, ...]

    @cached_property
    def total(self) -> Counts:
        """Counts of all tiles together."""
        return _sum(row.score for row in self.rows)

    @cached_property
    def by_aoi(self) -> dict[str, Counts]:
        """Counts per area."""
        aois = sorted({row.aoi for row in self.rows})
        return {aoi: _sum(row.score for row in self.rows if row.aoi == aoi) for aoi in aois}

    @property
    def leakage_note(self) -> str:
        """Note on tiles the run was trained on, whose scores are optimistic; empty if there are none."""
        training_tiles, count = sum(row.role in TRAINING_ROLES for row in self.rows), len(self.rows)
        if not training_tiles:
            return ""
        phrase = "is a training tile" if training_tiles == 1 else "are training tiles"
        return f"{training_tiles} of {count} {phrase}; scores are optimistic."

    def worst_first(self, order: Order = "f1") -> list[TileScore]:
        """Rank the tiles from worst to best; tiles without anything to score come last."""
        keys: dict[Order, Callable[[TileScore], float]] = {
            "f1": lambda row: 2.0 if row.score.f1 is None else row.score.f1,
            "missed": lambda row: -row.score.fn,
            "invented": lambda row: -row.score.fp,
        }
        return sorted(self.rows, key=lambda row: (keys[order](row), row.tile))

    @cached_property
    def _proposals(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Confidence and hit of every scored footprint, by descending confidence."""
        empty = np.zeros(0)
        confidence = np.concatenate([empty, *(row.confidence[row.score.proposals.counted] for row in self.rows)])
        hit = np.concatenate([empty, *(row.score.proposals.hit[row.score.proposals.counted] for row in self.rows)])
        order = np.argsort(-confidence, kind="stable")
        return confidence[order], hit[order].astype(bool)

    def precision_recall(self) -> pd.DataFrame:
        """Precision and recall by confidence threshold: columns confidence, precision, recall.

        Matches are those of all footprints, so that the whole curve needs one matching.
        """
        confidence, hit = self._proposals
        true_positives = np.cumsum(hit)
        columns = {
            "confidence": confidence, "precision": true_positives / np.arange(1, len(hit) + 1),
            "recall": true_positives / max(self.total.tp + self.total.fn, 1),
        }  # fmt: skip
        return pd.DataFrame(columns)

    @property
    def average_precision(self) -> float | None:
        """Area under the monotone precision-recall curve (PASCAL VOC 2010); None without buildings."""
        return average_precision(*self._proposals, self.total.tp + self.total.fn)

    def reliability(self) -> tuple[Bin, ...]:
        """Bins of confidence against the share of true positives."""
        confidence, hit = self._proposals
        return reliability(confidence, hit.tolist())

    def by_size(self) -> pd.DataFrame:
        """Score by building size.

        Columns from_m2, to_m2, buildings, found, footprints, right, recall, precision, f1. A building counts in the
        class of its own area, a footprint in that of its own.
        """
        edges = np.array([0, *SIZE_CLASSES_M2, np.inf])
        sums = np.zeros((4, len(edges) - 1), int)
        for row in self.rows:
            truth, proposals = row.score.truth, row.score.proposals
            for column, (areas, selected) in enumerate(
                (
                    (row.truth_areas_m2, truth.counted), (row.truth_areas_m2, truth.hit),
                    (row.footprint_areas_m2, proposals.counted), (row.footprint_areas_m2, proposals.hit),
                )
            ):  # fmt: skip
                sums[column] += np.histogram(areas[selected], edges)[0]
        table = pd.DataFrame(sums.T, columns=["buildings", "found", "footprints", "right"])
        table.insert(0, "to_m2", edges[1:])
        table.insert(0, "from_m2", edges[:-1])
        with np.errstate(invalid="ignore"):
            recall, precision = table["found"] / table["buildings"], table["right"] / table["footprints"]
            return table.assign(recall=recall, precision=precision, f1=2 * recall * precision / (recall + precision))

    def f1_interval(self, seed: int = 0) -> tuple[float, float] | None:
        """Bootstrap confidence interval of F1 over the tiles; None for fewer than two scored tiles."""
        counts = [(row.score.tp, row.score.fp, row.score.fn) for row in self.rows if row.score.is_scored]
        return bootstrap_interval(counts, seed)


def bootstrap_interval(counts: Sequence[tuple[int, int, int]], seed: int = 0) -> tuple[float, float] | None:
    """Compute the bootstrap confidence interval of F1 (Efron 1979), resampling tiles with replacement.

    Args:
        counts: True positives, false positives and false negatives of each tile.
        seed: Random seed.

    Returns:
        Lower and upper end; None for fewer than two tiles.
    """
    if len(counts) < 2:
        return None
    resamples = np.random.default_rng(seed).integers(0, len(counts), (BOOTSTRAP_RESAMPLES, len(counts)))
    tp, fp, fn = np.array(counts, float)[resamples].sum(axis=1).T
    f1 = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    low, high = np.quantile(f1, ((1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2))
    return float(low), float(high)


def evaluate(
    predictions: Iterable[TilePrediction], config: VectorizeConfig | None = None, report: Report = silent
) -> Evaluation:
    """Score the predictions that exist and have labels.

    Args:
        predictions: Predictions of tiles, made or not.
        config: Vectorization settings; each run's optimized ones by default.
        report: Called with the progress.
    """
    existing = [prediction for prediction in predictions if prediction.exists and prediction.tile.is_labeled]
    rows = []
    for number, prediction in enumerate(existing):
        run, tile = prediction.run, prediction.tile
        report(number / len(existing), f"Scoring {tile.id}")
        state = *(file.stat().st_mtime_ns for file in (prediction.probability, tile.labels)), *tile.offset_m
        rows.append(_score_tile(run.name, tile.id, state, config or prediction.thresholds.vectorize))
    return Evaluation(tuple(rows))


@lru_cache(maxsize=4096)
def _score_tile(run_name: str, tile_id: str, _state: tuple[float, ...], config: VectorizeConfig) -> TileScore:
    prediction = tile_prediction(run_name, tile_id)
    footprints, score = prediction.footprints(config), prediction.score(config)
    assert score is not None
    return TileScore(
        tile=tile_id, aoi=prediction.tile.aoi, role=prediction.training_role, score=score,
        confidence=footprints.confidence, footprint_areas_m2=footprints.area_m2,
        truth_areas_m2=read_tile_labels(prediction.tile).area_m2,
    )  # fmt: skip


def _sum(counts: Iterable[Counts]) -> Counts:
    return sum(counts, start=Counts(0, 0, 0))


def threshold_curve(prediction: TilePrediction, config: VectorizeConfig, thresholds: Sequence[float]) -> pd.DataFrame:
    """Score a labeled tile at several probability thresholds: columns threshold, f1, precision, recall.

    Args:
        prediction: Prediction of a labeled tile.
        config: Vectorization settings; all but the threshold are kept.
        thresholds: Probability thresholds.
    """
    rows = []
    for threshold in thresholds:
        score = prediction.score(config.with_changes(threshold))
        assert score is not None
        rows.append({"threshold": threshold, "f1": score.f1, "precision": score.precision, "recall": score.recall})
    return pd.DataFrame(rows)
