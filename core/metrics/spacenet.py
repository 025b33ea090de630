"""TP, FP, FN and F1 of proposals against the truth, by the SpaceNet rule in its three published readings.

Proposals come one after the other, each takes the free truth it overlaps best, and the pair counts when its IoU
passes the rule. Everything but that order is done for all footprints at once.
"""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from core.errors import DifferentCoordinates
from core.geo.grid import LONLAT, equal_area_crs, reproject
from core.geo.vector import Footprints
from core.runtime.device import cpu_count
from core.types import Geometries

#: The upper bound of an IoU may be off by rounding; a pair is dropped only when it is clearly too small.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Bound:
    """A lower bound and whether a value exactly on it passes."""

    value: float
    inclusive: bool

    def passes(self, values: np.ndarray) -> np.ndarray:
        """Bool, one a value."""
        return values >= self.value if self.inclusive else values > self.value


@dataclass(frozen=True)
class Rule:
    """What counts as a building and what as found. Areas are square pixels of the image."""

    name: str
    truth_area: Bound
    proposal_area: Bound
    iou: Bound
    by_confidence: bool = True  #: the most confident proposal first (ties in file order), else in file order


#: TopCoder's scorer (BuildingDetectorVisualizer 1.1), solaris's eval_iou_spacenet_csv with min_area=20, and SpaceNet
#: utilities' evaluateScene with its default of 20 pixels, which filters the truth only and does not sort.
RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("topcoder", Bound(20, inclusive=True), Bound(20, inclusive=True), Bound(0.5, inclusive=False)),
        Rule("solaris", Bound(20, inclusive=True), Bound(20, inclusive=False), Bound(0.5, inclusive=False)),
        Rule("utilities", Bound(20, inclusive=False), Bound(0, inclusive=False), Bound(0.5, inclusive=True), False),
    )
}
DEFAULT_RULE = RULES["topcoder"]
#: Fewer pairs than this are not worth another thread.
_PAIRS_A_CORE = 250


@dataclass(frozen=True)
class Counts:
    """True positives, false positives and false negatives; sums of them are counts again."""

    tp: int
    fp: int
    fn: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def is_scored(self) -> bool:
        """Whether there is any building on either side."""
        return self.tp + self.fp + self.fn > 0

    @property
    def precision(self) -> float | None:
        """Share of the proposals that are buildings; None where there is nothing to score."""
        return self._share(self.fp)

    @property
    def recall(self) -> float | None:
        """Share of the buildings that were found; None where there is nothing to score."""
        return self._share(self.fn)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, in solaris's order of operations; None where not scored."""
        if self.precision is None or self.recall is None:
            return None
        return 2 * self.precision * self.recall / (self.precision + self.recall) if self.tp else 0.0

    def _share(self, wrong: int) -> float | None:
        if not self.is_scored:
            return None
        return self.tp / (self.tp + wrong) if self.tp else 0.0

    def as_dict(self) -> dict[str, float | None]:
        """Plain values, for JSON and tables."""
        return {
            "tp": self.tp, "fp": self.fp, "fn": self.fn,
            "precision": self.precision, "recall": self.recall, "f1": self.f1,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of each footprint of one side; arrays as long as that side's footprints and in their order."""

    counted: NDArray[np.bool_]  #: False where the rule leaves it out for its area
    partner: NDArray[np.int64]  #: index on the other side, -1 where it has none
    iou: NDArray[np.float64]  #: with the partner, 0 where it has none

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Found buildings among the truth, true positives among the proposals."""
        return self.partner >= 0

    @property
    def missed(self) -> NDArray[np.bool_]:
        """False negatives among the truth, false positives among the proposals."""
        return self.counted & ~self.hit


@dataclass(frozen=True)
class Score(Counts):
    """The counts of one image with the matches behind them, for a map. The sum of scores is plain counts."""

    truth: Matches
    proposals: Matches

    @classmethod
    def of(cls, truth: Matches, proposals: Matches) -> "Score":
        """The score that follows from the matches."""
        tp, fp, fn = truth.hit.sum(), proposals.missed.sum(), truth.missed.sum()
        return cls(int(tp), int(fp), int(fn), truth, proposals)


@dataclass(frozen=True)
class Scores:
    """The score of each image, and their sums."""

    rule: Rule
    images: dict[str, Score]

    @cached_property
    def aois(self) -> dict[str, Counts]:
        """Counts of each AOI, summed over its images."""
        names = sorted({aoi_of(image) for image in self.images})
        return {name: _total(s for i, s in self.images.items() if aoi_of(i) == name) for name in names}

    @cached_property
    def total(self) -> Counts:
        """Counts of everything."""
        return _total(self.images.values())

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "rule": self.rule.name,
            "total": self.total.as_dict(),
            "aois": {name: counts.as_dict() for name, counts in self.aois.items()},
            "images": {name: score.as_dict() for name, score in self.images.items()},
        }


def _total(counts: Iterable[Counts]) -> Counts:
    return sum(counts, start=Counts(0, 0, 0))


def aoi_of(image: str) -> str:
    """The AOI of an ImageId: what stands before `_img…`."""
    return re.split(r"_img", image, maxsplit=1, flags=re.IGNORECASE)[0]


def score(
    truth: Footprints, proposals: Footprints, rule: Rule = DEFAULT_RULE, pixel_area: float | None = None
) -> Score:
    """The score of one image. Both sides in pixels, or both on the ground in any CRS.

    Ground coordinates are compared in one equal-area projection. There the rule's smallest areas count only where
    `pixel_area` says how many square metres a pixel has; without it no footprint is too small.
    Raises DifferentCoordinates where one side is in pixels and the other on the ground.
    """
    ours, theirs = _comparable(truth, proposals)
    return _score(ours, theirs, proposals.confidence, rule, _pixel_size(truth, pixel_area))


def score_images(
    truth: Footprints, proposals: Footprints, rule: Rule = DEFAULT_RULE, pixel_area: float | None = None
) -> Scores:
    """The score of every image that either side names, buildings or not. See `score`."""
    ours, theirs = _comparable(truth, proposals)
    size = _pixel_size(truth, pixel_area)
    true_rows, proposed_rows = (side.frame.groupby("image").indices for side in (truth, proposals))
    scores, none = {}, np.empty(0, np.intp)
    for image in sorted({*truth.images, *proposals.images}):
        true, proposed = true_rows.get(image, none), proposed_rows.get(image, none)
        scores[image] = _score(ours[true], theirs[proposed], proposals.confidence[proposed], rule, size)
    return Scores(rule, scores)


def _comparable(truth: Footprints, proposals: Footprints) -> tuple[Geometries, Geometries]:
    """Both sides in the same flat coordinates: pixels as they are, ground in one equal-area projection."""
    if (truth.crs is None) != (proposals.crs is None):
        raise DifferentCoordinates(truth="The truth", proposals="the proposals")
    if truth.crs is None or len(truth) + len(proposals) == 0:
        return truth.geometries, proposals.geometries
    ours, theirs = truth.to_crs(LONLAT).geometries, proposals.to_crs(LONLAT).geometries
    flat = equal_area_crs(np.concatenate([ours, theirs]), LONLAT)
    return _mended(reproject(ours, LONLAT, flat)), _mended(reproject(theirs, LONLAT, flat))


def _mended(geometries: Geometries) -> Geometries:
    """Valid shapes only: rounding on the way to another CRS can make a thin one cross itself."""
    bad = ~shapely.is_valid(geometries)
    return np.where(bad, shapely.make_valid(geometries, method="structure"), geometries) if bad.any() else geometries


def _pixel_size(truth: Footprints, pixel_area: float | None) -> float | None:
    """Area of a pixel in the units the shapes are compared in, None where nobody knows."""
    return 1.0 if truth.crs is None else pixel_area


def _score(
    truth: Geometries, proposals: Geometries, confidence: np.ndarray, rule: Rule, pixel_area: float | None
) -> Score:
    """The score of one image's shapes in flat coordinates."""
    true_counted = _large_enough(truth, rule.truth_area, pixel_area)
    counted = _large_enough(proposals, rule.proposal_area, pixel_area)
    pairs = _Pairs.of(truth, proposals, np.flatnonzero(true_counted), np.flatnonzero(counted), rule.iou)
    rank = np.argsort(np.argsort(-confidence, kind="stable")) if rule.by_confidence else np.arange(len(proposals))
    true, proposed, iou = pairs.one_to_one(rank)
    return Score.of(
        _matches(true_counted, true, proposed, iou),
        _matches(counted, proposed, true, iou),
    )


def _large_enough(geometries: Geometries, smallest: Bound, pixel_area: float | None) -> NDArray[np.bool_]:
    if pixel_area is None:
        return np.ones(len(geometries), bool)
    return np.asarray(smallest.passes(shapely.area(geometries) / pixel_area), dtype=bool)


def _matches(counted: NDArray[np.bool_], mine: np.ndarray, other: np.ndarray, iou: np.ndarray) -> Matches:
    partner, ious = np.full(len(counted), -1, np.int64), np.zeros(len(counted))
    partner[mine], ious[mine] = other, iou
    return Matches(counted, partner, ious)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Truth and proposal that overlap enough to count, by index, with their IoU."""

    truth: NDArray[np.int64]
    proposal: NDArray[np.int64]
    iou: NDArray[np.float64]

    @classmethod
    def of(
        cls, truth: Geometries, proposals: Geometries, true_counted: np.ndarray, counted: np.ndarray, enough: Bound
    ) -> "_Pairs":
        """All pairs whose IoU is `enough`.

        Boxes that meet, then the upper bound that areas and boxes give, then one exact intersection of what is left.
        """
        ours, theirs = truth[true_counted], proposals[counted]
        p, t = shapely.STRtree(ours).query(theirs)
        area_t, area_p = shapely.area(ours)[t], shapely.area(theirs)[p]
        most = np.minimum(np.minimum(area_t, area_p), _box_overlap(shapely.bounds(ours)[t], shapely.bounds(theirs)[p]))
        likely = _iou(most, area_t, area_p) >= enough.value - _ROUNDING
        t, p = t[likely], p[likely]
        iou = _iou(_shared_area(ours[t], theirs[p]), area_t[likely], area_p[likely])
        good = enough.passes(iou)
        return cls(true_counted[t[good]], counted[p[good]], iou[good])

    def one_to_one(self, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Proposals in the order of `rank` take their best free truth; (truth, proposal, IoU) of the matches."""
        order = np.lexsort((self.truth, -self.iou, rank[self.proposal]))
        taken, served, kept = set[int](), set[int](), []
        for i, t, p in zip(order.tolist(), self.truth[order].tolist(), self.proposal[order].tolist(), strict=True):
            if t not in taken and p not in served:
                taken.add(t)
                served.add(p)
                kept.append(i)
        return self.truth[kept], self.proposal[kept], self.iou[kept]


def _shared_area(a: Geometries, b: Geometries) -> np.ndarray:
    """Area common to each pair, on all cores: shapely lets go of Python's lock while GEOS works."""
    parts = min(cpu_count(), 1 + len(a) // _PAIRS_A_CORE)
    with ThreadPoolExecutor(parts) as pool:
        pieces = pool.map(shapely.intersection, np.array_split(a, parts), np.array_split(b, parts))
        return np.concatenate([shapely.area(piece) for piece in pieces])


def _box_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Area common to two boxes; a and b are (n, 4) of west, south, east, north."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    return np.asarray(np.prod(np.maximum(sides, 0), axis=1))


def _iou(shared: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union from three areas."""
    return np.asarray(shared / (a + b - shared))


def average_precision(confidence: np.ndarray, hit: np.ndarray, truth: int) -> float | None:
    """The area under the precision of every recall, precision never rising with it (PASCAL VOC 2010).

    Of footprints with their confidence and whether they found one of so many buildings; None without buildings.
    """
    if not truth:
        return None
    right = np.cumsum(hit[np.argsort(-confidence, kind="stable")])
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float(np.sum(np.diff(right, prepend=0) * precision) / truth)
