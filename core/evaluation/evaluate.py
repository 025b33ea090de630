"""How good a run is over many tiles: which are worst, how sure it may be, and what depends on size and threshold."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.catalog.tile_labels import read_tile_labels
from core.inference.tile_prediction import UNSEEN, Predicted, predicted
from core.labels.labels import SIZES_M2
from core.metrics.calibration import Bin, reliability
from core.metrics.spacenet import Counts, Score, average_precision
from core.postprocessing.config import Shaping
from core.progress import Report, silent

#: Tiles drawn anew for an interval, and the part of the draws that lies inside of it.
DRAWS, INSIDE = 1000, 0.95
#: What tiles can be ranked by.
Order = Literal["f1", "missed", "invented"]


@dataclass(frozen=True, eq=False)
class Row:
    """One labelled tile that was predicted."""

    tile: str
    aoi: str
    seen_before: str  #: whether the run trained on it
    score: Score
    confidence: NDArray[np.float64]  #: of every footprint
    areas_m2: NDArray[np.float64]  #: of every footprint
    truth_m2: NDArray[np.float64]  #: of every building


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A run on the labelled tiles that it has predicted, all shaped alike."""

    rows: tuple[Row, ...]

    @cached_property
    def total(self) -> Counts:
        """Of all tiles together."""
        return _sum(row.score for row in self.rows)

    @cached_property
    def by_aoi(self) -> dict[str, Counts]:
        """Of every area."""
        return {aoi: _sum(r.score for r in self.rows if r.aoi == aoi) for aoi in sorted({r.aoi for r in self.rows})}

    @property
    def caveat(self) -> str:
        """Which part of the score is no test, in a sentence: tiles the run was trained on, in part or whole."""
        seen, count = sum(row.seen_before != UNSEEN for row in self.rows), len(self.rows)
        if not seen:
            return ""
        many = "All of them were" if seen == count else f"{seen} of them {'was' if seen == 1 else 'were'}"
        return f"{many} trained on, and look better than new ground would."

    def worst_first(self, by: Order = "f1") -> list[Row]:
        """The rows in the order in which somebody should look at them; what has nothing to score comes last."""
        keys: dict[Order, Callable[[Row], float]] = {
            "f1": lambda row: 2.0 if row.score.f1 is None else row.score.f1,
            "missed": lambda row: -row.score.fn,
            "invented": lambda row: -row.score.fp,
        }
        return sorted(self.rows, key=lambda row: (keys[by](row), row.tile))

    @cached_property
    def _proposals(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Confidence and hit of every footprint that counts, the surest first."""
        none = np.zeros(0)
        confidence = np.concatenate([none, *(row.confidence[row.score.proposals.counted] for row in self.rows)])
        hit = np.concatenate([none, *(row.score.proposals.hit[row.score.proposals.counted] for row in self.rows)])
        order = np.argsort(-confidence, kind="stable")
        return confidence[order], hit[order].astype(bool)

    def precision_recall(self) -> pd.DataFrame:
        """Columns confidence, precision, recall: what would remain, were only the surest footprints kept.

        The matches stay those of all footprints, so that one curve needs one score.
        """
        confidence, hit = self._proposals
        right = np.cumsum(hit)
        found = {
            "confidence": confidence, "precision": right / np.arange(1, len(hit) + 1),
            "recall": right / max(self.total.tp + self.total.fn, 1),
        }  # fmt: skip
        return pd.DataFrame(found)

    @property
    def average_precision(self) -> float | None:
        """The area under that curve, precision never rising with recall (PASCAL VOC 2010); None without buildings."""
        return average_precision(*self._proposals, self.total.tp + self.total.fn)

    def reliability(self) -> tuple[Bin, ...]:
        """Confidence against the share that finds a building."""
        confidence, hit = self._proposals
        return reliability(confidence, hit.tolist())

    def by_size(self) -> pd.DataFrame:
        """A row a class of building sizes: from_m2, to_m2, buildings, found, footprints, right, recall, precision, f1.

        A building counts in the class of its own area, a footprint in that of its.
        """
        edges = np.array([0, *SIZES_M2, np.inf])
        sums = np.zeros((4, len(edges) - 1), int)
        for row in self.rows:
            truth, proposals = row.score.truth, row.score.proposals
            for n, (areas, chosen) in enumerate(
                (
                    (row.truth_m2, truth.counted), (row.truth_m2, truth.hit),
                    (row.areas_m2, proposals.counted), (row.areas_m2, proposals.hit),
                )
            ):  # fmt: skip
                sums[n] += np.histogram(areas[chosen], edges)[0]
        table = pd.DataFrame(sums.T, columns=["buildings", "found", "footprints", "right"])
        table.insert(0, "to_m2", edges[1:])
        table.insert(0, "from_m2", edges[:-1])
        with np.errstate(invalid="ignore"):
            recall, precision = table["found"] / table["buildings"], table["right"] / table["footprints"]
            return table.assign(recall=recall, precision=precision, f1=2 * recall * precision / (recall + precision))

    def interval(self, seed: int = 0) -> tuple[float, float] | None:
        """Between which F1 lies in most draws of as many tiles with replacement (bootstrap, Efron 1979).

        None of fewer than two tiles with something to score.
        """
        counts = [(row.score.tp, row.score.fp, row.score.fn) for row in self.rows if row.score.is_scored]
        return interval(counts, seed)


def interval(counts: Sequence[tuple[int, int, int]], seed: int = 0) -> tuple[float, float] | None:
    """See Evaluation.interval; (tp, fp, fn) of each tile."""
    if len(counts) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(counts), (DRAWS, len(counts)))
    tp, fp, fn = np.array(counts, float)[drawn].sum(axis=1).T
    low, high = np.quantile(2 * tp / np.maximum(2 * tp + fp + fn, 1), ((1 - INSIDE) / 2, (1 + INSIDE) / 2))
    return float(low), float(high)


def evaluate(found: Iterable[Predicted], shaping: Shaping | None = None, report: Report = silent) -> Evaluation:
    """The labelled ones of these predictions that were made, shaped as the run was tuned where nothing else is said."""
    there = [one for one in found if one.exists and one.tile.is_labelled]
    rows = []
    for n, one in enumerate(there):
        report(n / len(there), f"scoring {one.tile.id}")
        state = *(file.stat().st_mtime_ns for file in (one.probability, one.tile.labels)), *one.tile.offset_m
        rows.append(_row(one.run.name, one.tile.id, state, shaping or one.tuning.shaping))
    return Evaluation(tuple(rows))


@lru_cache(maxsize=4096)
def _row(run: str, tile: str, _state: tuple[float, ...], shaping: Shaping) -> Row:
    one = predicted(run, tile)
    footprints, score = one.footprints(shaping), one.score(shaping)
    assert score is not None
    truth = read_tile_labels(one.tile)
    return Row(
        one.tile.id, one.tile.aoi, one.seen_before, score, footprints.confidence, footprints.area_m2, truth.area_m2
    )


def _sum(counts: Iterable[Counts]) -> Counts:
    return sum(counts, start=Counts(0, 0, 0))


def against_threshold(one: Predicted, shaping: Shaping, thresholds: Sequence[float]) -> pd.DataFrame:
    """Columns threshold, f1, precision, recall of one labelled tile, everything else of the shaping kept."""
    rows = []
    for threshold in thresholds:
        score = one.score(shaping.changed(threshold))
        assert score is not None
        rows.append({"threshold": threshold, "f1": score.f1, "precision": score.precision, "recall": score.recall})
    return pd.DataFrame(rows)
