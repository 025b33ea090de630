"""The thresholds with which most buildings of the validation ground are found, and how far confidence can be believed.

Found once a training is over, or before it learns from that ground, too; stored in the run, used wherever it predicts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.metrics.calibration import Bin, Calibration, reliability
from core.metrics.spacenet import Counts, average_precision
from core.postprocessing.config import Shaping
from core.postprocessing.rescoring import Examples, Judge, features
from core.postprocessing.validation import Checked
from core.postprocessing.vectorize import Look
from core.runs.config import TrainingConfig
from core.runs.run import Run
from core.types import Geometries
from models.registry import NETWORKS

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
SEEDS = (1.1, 1.2, 1.3, 1.5, 1.8, 2.2)
#: The levels of networks that have learned. Distances of one that is still to learn ripple: what smooths them over
#: would not fit later.
RIPE = (1.2, 1.3, 1.5)
#: So many tiles with buildings must validate for another level to be taken: those of one tile are of one kind.
LEAST_TILES = 3
AREAS_M2 = (5.0, 10.0, 20.0, 30.0)
#: How likely a footprint must be for the judge to keep it.
LEASTS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
#: Where a network tells the distance to the wall, neighbours are told apart at this level until it is tuned.
FIRST_SEED = 1.3
#: But at this one where buildings stand apart: where a mask without a mistake finds them with so much F1. What has a
#: neck half as deep is one long roof there (docs/decisions/0021-where-buildings-stand-apart.md).
APART_SEED, APART = 4.0, 0.9


@dataclass(frozen=True)
class Tuning:
    """What was found on the validation ground."""

    shaping: Shaping = field(default_factory=Shaping)
    f1: float | None = None  #: of the buildings there, with it; None where there are none
    calibration: Calibration = field(default_factory=Calibration)
    raw: tuple[Bin, ...] = ()  #: reliability of the confidence before it is calibrated
    calibrated: tuple[Bin, ...] = ()  #: and after
    examples: Examples = field(default_factory=Examples)
    least: float = 0.0  #: how likely the judge must find a footprint to keep it
    judged_f1: float | None = None  #: by judges that had not seen the footprint; None where there was too little
    ap: float | None = None  #: average precision of the footprints there, at IoU 0.5
    tiles: tuple[tuple[str, int, int, int], ...] = ()  #: TP, FP and FN of each tile there
    refitted: bool = False  #: the network has learned from that ground since

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Tuning":
        """From the parsed JSON; raises KeyError, TypeError where it is none."""
        examples = Examples(tuple(map(tuple, values["examples"]["rows"])), tuple(values["examples"]["hits"]))
        bins: dict[str, Any] = {name: tuple(Bin(**one) for one in values[name]) for name in ("raw", "calibrated")} | {
            "tiles": tuple(map(tuple, values.get("tiles", ())))
        }
        parts = {"shaping": Shaping(**values["shaping"]), "calibration": Calibration(**values["calibration"])}
        return cls(**{**values, **parts, **bins, "examples": examples})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @property
    def judge(self) -> Judge | None:
        """The second look; None where there was too little to learn from."""
        return Judge(self.examples, self.least) if self.examples.suffice else None


def second_look(tuning: Tuning, judged: bool) -> Look:
    """What becomes of footprints' confidence: as the judge finds, if asked for and there is one; else calibrated."""
    judge = tuning.judge if judged else None

    def look(
        polygons: Geometries, confidence: NDArray[np.float64], layers: NDArray[np.float32], pixel_m: float,
        corner: tuple[int, int],
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:  # fmt: skip
        if judge is None:
            return np.ones(len(polygons), bool), tuning.calibration.apply(confidence)
        likely = judge.likely(features(polygons, layers, pixel_m, corner))
        return likely >= judge.least, likely

    return look


def tuning_of(run: Run) -> Tuning:
    """What was found for a run; as it begins, where nothing was."""
    try:
        return Tuning.of(run.tuned) if run.tuned else Tuning(first_shaping(run.config))
    except (KeyError, TypeError):
        return Tuning(first_shaping(run.config))


def first_shaping(config: TrainingConfig, apart: bool = False) -> Shaping:
    """What a run's footprints are made with before it is tuned; `apart`: its buildings stand so."""
    level = APART_SEED if apart else FIRST_SEED
    seed = level if NETWORKS[config.network].tells_distance else 0.0
    return Shaping(seed=seed, grow_px=config.recipe.border_px)


def stand_apart(checked: Checked) -> bool:
    """Whether buildings are found without being parted, going by what is `checked`: a mask that knows the truth."""
    return (checked.counts(Shaping(seed=0.0)).f1 or 0.0) >= APART


def tune(checked: Checked, first: Shaping, levels: Sequence[float] = SEEDS) -> Tuning:
    """The best of a grid of thresholds and seed levels, and then of smallest areas; the first where none is better."""
    score = checked.counts(first).f1
    if score is None:
        return Tuning(first)
    kinds = {ground.scene.tile for ground in checked.grounds if len(ground.truth)}
    seeds = dict.fromkeys((first.seed, *(levels if first.seed and len(kinds) >= LEAST_TILES else ())))
    grid = (replace(first, threshold=threshold, seed=seed) for threshold, seed in product(THRESHOLDS, seeds))
    worth = _worth(checked)
    best, score = _better(checked, first, score, worth, grid)
    best, score = _better(checked, best, score, worth, [replace(best, min_area_m2=area) for area in AREAS_M2])
    return _judged(checked, Tuning(best, score, tiles=_tiles(checked, best)))


def _tiles(checked: Checked, shaping: Shaping) -> tuple[tuple[str, int, int, int], ...]:
    """TP, FP and FN of every tile, for an interval around the F1."""
    found = dict[str, Counts]()
    for ground, score in zip(checked.grounds, checked.scores(shaping), strict=True):
        found[ground.scene.tile] = found.get(ground.scene.tile, Counts(0, 0, 0)) + score
    return tuple((tile, counts.tp, counts.fp, counts.fn) for tile, counts in found.items())


def _worth(checked: Checked) -> float:
    """So much better in F1 must other thresholds be: one and a half standard errors, since the validation ground is
    small and the best of many is always lucky.
    """
    return float(0.75 / np.sqrt(max(sum(len(ground.truth) for ground in checked.grounds), 1)))


def _better(
    checked: Checked, best: Shaping, score: float, worth: float, others: Iterable[Shaping]
) -> tuple[Shaping, float]:
    """The best that is better by so much, and its F1."""
    least = score + worth
    for shaping in others:
        found = checked.counts(shaping).f1
        if found is not None and found > max(score, least):
            best, score = shaping, found
    return best, score


def _judged(checked: Checked, tuning: Tuning) -> Tuning:
    """With what the footprints that the tuning makes there teach about others."""
    rows, confidence, hits, truth = _footprints(checked, tuning.shaping)
    examples = Examples(tuple(map(tuple, rows.astype(float).round(5).tolist())), tuple(hits.tolist()))
    calibration = Calibration.of(confidence, examples.hits)
    if len(hits) == 0:
        return tuning
    tuning = replace(
        tuning, ap=average_precision(confidence, hits, truth), examples=examples, calibration=calibration,
        raw=reliability(confidence, examples.hits),
        calibrated=reliability(calibration.apply(confidence), examples.hits),
    )  # fmt: skip
    if not examples.suffice:
        return tuning
    scores = {least: _f1_of(hits[examples.unseen >= least], truth) for least in (0.0, *LEASTS)}
    least = max(scores, key=lambda one: (scores[one], -one))
    return replace(tuning, least=least, judged_f1=scores[least])


def _footprints(
    checked: Checked, shaping: Shaping
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], int]:
    """Features, confidence and hits of all footprints that count, and how many buildings there are."""
    rows, confidence, hits, truth = [], [], [], 0
    for ground, layers, found, score in zip(
        checked.grounds, checked.layers, checked.traced(shaping), checked.scores(shaping), strict=True
    ):
        counted = score.proposals.counted
        rows.append(features(found.polygons, layers, ground.pixel_m)[counted])
        confidence.append(found.confidence[counted])
        hits.append(score.proposals.hit[counted])
        truth += score.tp + score.fn
    return np.concatenate(rows), np.concatenate(confidence), np.concatenate(hits), truth


def _f1_of(hits: NDArray[np.bool_], truth: int) -> float:
    """Of the footprints that are kept."""
    found = int(hits.sum())
    return Counts(found, len(hits) - found, truth - found).f1 or 0.0
