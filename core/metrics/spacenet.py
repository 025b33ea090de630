"""SpaceNet metric: TP, FP, FN and F1 of proposals against ground truth, in its three published variants.

Proposals are matched greedily in order: each takes the unmatched ground truth with the highest IoU, and the pair counts
if its IoU passes the rule. All else is computed for all footprints at once.
"""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from core.errors import CRSMismatch
from core.geo.grid import LONLAT, equal_area_crs, reproject
from core.geo.vector import Footprints
from core.runtime.device import cpu_count
from core.types import Geometries

#: Tolerance for rounding of the upper bound of an IoU.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Bound:
    """Lower bound, inclusive or exclusive."""

    value: float
    inclusive: bool

    def passes(self, values: np.ndarray) -> np.ndarray:
        """Compare values with the bound, (n,) bool."""
        return values >= self.value if self.inclusive else values > self.value


@dataclass(frozen=True)
class Rule:
    """Variant of the SpaceNet metric: minimum areas in pixels of the image, and minimum IoU."""

    name: str
    truth_area: Bound
    proposal_area: Bound
    iou: Bound
    by_confidence: bool = True  #: match in descending confidence (ties in file order), else in file order


#: TopCoder's scorer (BuildingDetectorVisualizer 1.1), eval_iou_spacenet_csv of solaris with min_area=20, and
#: evaluateScene of SpaceNet utilities with its default of 20 pixels, which filters ground truth only and does not sort.
RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("topcoder", Bound(20, inclusive=True), Bound(20, inclusive=True), Bound(0.5, inclusive=False)),
        Rule("solaris", Bound(20, inclusive=True), Bound(20, inclusive=False), Bound(0.5, inclusive=False)),
        Rule("utilities", Bound(20, inclusive=False), Bound(0, inclusive=False), Bound(0.5, inclusive=True), False),
    )
}
DEFAULT_RULE = RULES["topcoder"]
#: Minimum pairs per thread.
_PAIRS_PER_CPU = 250


@dataclass(frozen=True)
class Counts:
    """True positives, false positives and false negatives; counts can be added."""

    tp: int
    fp: int
    fn: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def is_scored(self) -> bool:
        """Tell whether there is a building on either side."""
        return self.tp + self.fp + self.fn > 0

    @property
    def precision(self) -> float | None:
        """Return the share of proposals that are true positives; None without any building."""
        return self._share(self.fp)

    @property
    def recall(self) -> float | None:
        """Return the share of buildings that are detected; None without any building."""
        return self._share(self.fn)

    @property
    def f1(self) -> float | None:
        """Return the harmonic mean of precision and recall, computed as solaris does; None without any building."""
        if self.precision is None or self.recall is None:
            return None
        return 2 * self.precision * self.recall / (self.precision + self.recall) if self.tp else 0.0

    def _share(self, errors: int) -> float | None:
        if not self.is_scored:
            return None
        return self.tp / (self.tp + errors) if self.tp else 0.0

    def as_dict(self) -> dict[str, float | None]:
        """Return plain values, for JSON and tables."""
        return {
            "tp": self.tp, "fp": self.fp, "fn": self.fn,
            "precision": self.precision, "recall": self.recall, "f1": self.f1,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Matches:
    """Match of each footprint of one side; arrays in the order of its footprints."""

    counted: NDArray[np.bool_]  #: False if the rule excludes it by its area
    partner: NDArray[np.int64]  #: index on the other side, -1 without a match
    iou: NDArray[np.float64]  #: with the partner, 0 without a match

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Return the matched footprints: detected ground truth or true positives.

        Returns:
            (n,) bool.
        """
        return self.partner >= 0

    @property
    def missed(self) -> NDArray[np.bool_]:
        """Return the unmatched footprints: false negatives of the ground truth or false positives.

        Returns:
            (n,) bool.
        """
        return self.counted & ~self.hit


@dataclass(frozen=True)
class Score(Counts):
    """Counts of one image with the matches, for a map. The sum of scores is plain counts."""

    truth: Matches
    proposals: Matches

    @classmethod
    def of(cls, truth: Matches, proposals: Matches) -> "Score":
        """Count the matches."""
        tp, fp, fn = truth.hit.sum(), proposals.missed.sum(), truth.missed.sum()
        return cls(int(tp), int(fp), int(fn), truth, proposals)


@dataclass(frozen=True)
class Scores:
    """Score of each image, and sums."""

    rule: Rule
    images: dict[str, Score]

    @cached_property
    def aois(self) -> dict[str, Counts]:
        """Return the counts of each area of interest (AOI), summed over its images."""
        names = sorted({area_of_image(image) for image in self.images})
        return {
            name: _total(score for image, score in self.images.items() if area_of_image(image) == name)
            for name in names
        }

    @cached_property
    def total(self) -> Counts:
        """Return the counts of all images."""
        return _total(self.images.values())

    def as_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {
            "rule": self.rule.name,
            "total": self.total.as_dict(),
            "aois": {name: counts.as_dict() for name, counts in self.aois.items()},
            "images": {name: score.as_dict() for name, score in self.images.items()},
        }


def _total(counts: Iterable[Counts]) -> Counts:
    return sum(counts, start=Counts(0, 0, 0))


def area_of_image(image: str) -> str:
    """Return the AOI of an ImageId: the text before `_img…`."""
    return re.split(r"_img", image, maxsplit=1, flags=re.IGNORECASE)[0]


def score(
    truth: Footprints, proposals: Footprints, rule: Rule = DEFAULT_RULE, pixel_area: float | None = None
) -> Score:
    """Score one image.

    Both sides are in pixels, or both in any CRS; CRS coordinates are compared in one equal-area projection.

    Args:
        truth: Ground truth.
        proposals: Proposals with confidence.
        rule: Variant of the metric.
        pixel_area: Area of a pixel [m²] for the minimum areas of the rule; without it, CRS footprints have none.

    Raises:
        CRSMismatch: One side is in pixels and the other in a CRS.
    """
    truth_shapes, proposal_shapes = _comparable(truth, proposals)
    return _score(truth_shapes, proposal_shapes, proposals.confidence, rule, _pixel_area(truth, pixel_area))


def score_images(
    truth: Footprints, proposals: Footprints, rule: Rule = DEFAULT_RULE, pixel_area: float | None = None
) -> Scores:
    """Score every image that either side names, with or without buildings, see `score`.

    Args:
        truth: Ground truth of all images.
        proposals: Proposals of all images, with confidence.
        rule: Variant of the metric.
        pixel_area: Area of a pixel [m²], see `score`.

    Raises:
        CRSMismatch: One side is in pixels and the other in a CRS.
    """
    truth_shapes, proposal_shapes = _comparable(truth, proposals)
    area = _pixel_area(truth, pixel_area)
    truth_rows, proposal_rows = (side.frame.groupby("image").indices for side in (truth, proposals))
    scores, no_rows = {}, np.empty(0, np.intp)
    for image in sorted({*truth.images, *proposals.images}):
        truth_index, proposal_index = truth_rows.get(image, no_rows), proposal_rows.get(image, no_rows)
        scores[image] = _score(
            truth_shapes[truth_index], proposal_shapes[proposal_index], proposals.confidence[proposal_index], rule, area
        )
    return Scores(rule, scores)


def _comparable(truth: Footprints, proposals: Footprints) -> tuple[Geometries, Geometries]:
    """Return both sides in the same planar coordinates: pixels, or one equal-area projection."""
    if (truth.crs is None) != (proposals.crs is None):
        raise CRSMismatch(truth="The ground truth", proposals="the proposals")
    if truth.crs is None or len(truth) + len(proposals) == 0:
        return truth.geometries, proposals.geometries
    sides = [side.to_crs(LONLAT).geometries for side in (truth, proposals)]
    equal_area = equal_area_crs(np.concatenate(sides), LONLAT)
    truth_shapes, proposal_shapes = (_repair_polygons(reproject(side, LONLAT, equal_area)) for side in sides)
    return truth_shapes, proposal_shapes


def _repair_polygons(geometries: Geometries) -> Geometries:
    """Make shapes valid: rounding in a reprojection can make thin ones self-intersecting."""
    valid = shapely.is_valid(geometries)
    return (
        geometries if valid.all() else np.where(valid, geometries, shapely.make_valid(geometries, method="structure"))
    )


def _pixel_area(truth: Footprints, pixel_area: float | None) -> float | None:
    """Return the area of a pixel in the units of the compared shapes, None if unknown."""
    return 1.0 if truth.crs is None else pixel_area


def _score(
    truth: Geometries, proposals: Geometries, confidence: np.ndarray, rule: Rule, pixel_area: float | None
) -> Score:
    """Score the shapes of one image in planar coordinates."""
    truth_counted = _large_enough(truth, rule.truth_area, pixel_area)
    proposal_counted = _large_enough(proposals, rule.proposal_area, pixel_area)
    pairs = _Pairs.of(truth, proposals, np.flatnonzero(truth_counted), np.flatnonzero(proposal_counted), rule.iou)
    rank = np.argsort(np.argsort(-confidence, kind="stable")) if rule.by_confidence else np.arange(len(proposals))
    truth_index, proposal_index, iou = pairs.greedy_match(rank)
    return Score.of(
        _matches(truth_counted, truth_index, proposal_index, iou),
        _matches(proposal_counted, proposal_index, truth_index, iou),
    )


def _large_enough(geometries: Geometries, min_area: Bound, pixel_area: float | None) -> NDArray[np.bool_]:
    if pixel_area is None:
        return np.ones(len(geometries), bool)
    return np.asarray(min_area.passes(shapely.area(geometries) / pixel_area), dtype=bool)


def _matches(counted: NDArray[np.bool_], index: np.ndarray, partners: np.ndarray, iou: np.ndarray) -> Matches:
    partner, partner_iou = np.full(len(counted), -1, np.int64), np.zeros(len(counted))
    partner[index], partner_iou[index] = partners, iou
    return Matches(counted, partner, partner_iou)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of ground truth and proposal whose IoU passes the rule, by index."""

    truth: NDArray[np.int64]
    proposal: NDArray[np.int64]
    iou: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        truth: Geometries,
        proposals: Geometries,
        truth_counted: np.ndarray,
        proposal_counted: np.ndarray,
        min_iou: Bound,
    ) -> "_Pairs":
        """Find all pairs whose IoU passes.

        Candidates are intersecting bounding boxes, then those whose areas and boxes allow the IoU; only the rest is
        intersected.

        Args:
            truth: Ground truth.
            proposals: Proposals.
            truth_counted: Indices of the ground truth that the rule counts.
            proposal_counted: Indices of the proposals that the rule counts.
            min_iou: Bound of the IoU.
        """
        truth_shapes, proposal_shapes = truth[truth_counted], proposals[proposal_counted]
        p, t = shapely.STRtree(truth_shapes).query(proposal_shapes)
        area_t, area_p = shapely.area(truth_shapes)[t], shapely.area(proposal_shapes)[p]
        box_overlap = _box_overlap(shapely.bounds(truth_shapes)[t], shapely.bounds(proposal_shapes)[p])
        max_shared = np.minimum(np.minimum(area_t, area_p), box_overlap)
        possible = _iou(max_shared, area_t, area_p) >= min_iou.value - _ROUNDING
        t, p = t[possible], p[possible]
        iou = _iou(_shared_area(truth_shapes[t], proposal_shapes[p]), area_t[possible], area_p[possible])
        passing = min_iou.passes(iou)
        return cls(truth_counted[t[passing]], proposal_counted[p[passing]], iou[passing])

    def greedy_match(self, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Match proposals in the order of `rank` to their best unmatched truth; (truth, proposal, IoU)."""
        order = np.lexsort((self.truth, -self.iou, rank[self.proposal]))
        matched_truth, matched_proposals, matches = set[int](), set[int](), []
        for i, t, p in zip(order.tolist(), self.truth[order].tolist(), self.proposal[order].tolist(), strict=True):
            if t not in matched_truth and p not in matched_proposals:
                matched_truth.add(t)
                matched_proposals.add(p)
                matches.append(i)
        return self.truth[matches], self.proposal[matches], self.iou[matches]


def _shared_area(a: Geometries, b: Geometries) -> np.ndarray:
    """Compute the shared area of each pair on all cores: shapely releases the GIL while GEOS works."""
    threads = min(cpu_count(), 1 + len(a) // _PAIRS_PER_CPU)
    with ThreadPoolExecutor(threads) as pool:
        intersections = pool.map(shapely.intersection, np.array_split(a, threads), np.array_split(b, threads))
        return np.concatenate([shapely.area(shapes) for shapes in intersections])


def _box_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the shared area of boxes; a and b are (n, 4) of west, south, east, north."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    return np.asarray(np.prod(np.maximum(sides, 0), axis=1))


def _iou(shared: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute intersection over union from three areas."""
    return np.asarray(shared / (a + b - shared))


def average_precision(confidence: np.ndarray, hit: np.ndarray, truth: int) -> float | None:
    """Compute average precision: the area under the interpolated precision-recall curve (PASCAL VOC 2010).

    Args:
        confidence: Confidence of each proposal, (n,).
        hit: Whether each proposal is a true positive, (n,) bool.
        truth: Number of buildings; without any the result is None.
    """
    if not truth:
        return None
    tp = np.cumsum(hit[np.argsort(-confidence, kind="stable")])
    precision = np.maximum.accumulate((tp / np.arange(1, len(tp) + 1))[::-1])[::-1]
    return float(np.sum(np.diff(tp, prepend=0) * precision) / truth)
