"""Scoring benchmark: SpaceNet metric, vectorized against one polygon at a time.

    python -m benchmarks.scoring

Baselines, all one polygon at a time: a loop over shapely (STRtree query, then intersection and union for each
candidate), the same with the R-tree and the rows of GeoPandas, and the method of solaris (a GeoDataFrame from which
matched labels are dropped, `intersects`, then a loop over rows).
Limit: one vectorized intersection of the pairs that must be compared.
"""

import argparse
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TypeVar

import geopandas as gpd
import numpy as np
import shapely
from numpy.random import Generator

from core.geo.vector import Footprints
from core.metrics.spacenet import RULES, score
from core.types import Geometries

T = TypeVar("T")
Triple = tuple[int, int, int]
RULE = RULES["topcoder"]
#: Footprints of the row-by-row baseline at most: 40,000 take minutes.
MOST_ROWS = 5_000


def synthetic_town(n: int, rng: Generator) -> tuple[Footprints, Footprints]:
    """Generate n rotated rectangles on a grid of 40 px, and proposals of 12 vertices as if traced from a raster.

    One label in ten is missed, one proposal in ten is a false positive, some are misplaced.
    """
    side = int(np.ceil(np.sqrt(n)))
    centers = np.stack(np.divmod(np.arange(n), side), axis=1) * 40.0 + rng.uniform(-5, 5, (n, 2))
    size, angle = rng.uniform(12, 32, (n, 2)), rng.uniform(0, np.pi, n)
    truth = _rectangles(centers, size, angle)
    detected = np.flatnonzero(rng.random(n) < 0.9)
    shifted = centers[detected] + rng.normal(0, 2.5, (len(detected), 2))
    proposed = _rectangles(shifted, size[detected] * rng.uniform(0.8, 1.2, (len(detected), 2)), angle[detected], rng)
    shape = (n // 10, 2)
    false_positives = _rectangles(rng.uniform(0, side * 40, shape), rng.uniform(8, 20, shape), angle[: n // 10], rng)
    proposals = np.concatenate([proposed, false_positives])
    return Footprints.of(truth, None), Footprints.of(proposals, None, rng.random(len(proposals)))


def _rectangles(centers: np.ndarray, size: np.ndarray, angle: np.ndarray, rng: Generator | None = None) -> Geometries:
    """Return rotated rectangles; with `rng` of 12 jittered vertices each."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    if rng:
        steps = np.array([0.0, 1 / 3, 2 / 3])[:, None]
        corners = np.vstack([a + (b - a) * steps for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])
    points = corners[None] * size[:, None]
    points += rng.normal(0, 0.3, points.shape) if rng else 0
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = points[..., 0], points[..., 1]
    rotated = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    return np.asarray(shapely.polygons(rotated + centers[:, None]), dtype=object)


def _in_order(proposals: Footprints) -> Geometries:
    valid = RULE.proposal_area.passes(shapely.area(proposals.geometries))
    order = np.argsort(-proposals.confidence[valid], kind="stable")
    return proposals.geometries[valid][order]


def _counted(truth: Footprints) -> Geometries:
    return truth.geometries[RULE.truth_area.passes(shapely.area(truth.geometries))]


def one_polygon_at_a_time(truth: Footprints, proposals: Footprints) -> Triple:
    """Match each proposal by an R-tree query and the IoU with each unmatched candidate."""
    shapes, ordered = _counted(truth), _in_order(proposals)
    tree, free, tp = shapely.STRtree(shapes), set(range(len(shapes))), 0
    for proposal in ordered:
        best, best_iou = -1, 0.0
        for index in sorted(tree.query(proposal).tolist()):
            if index in free:
                iou = proposal.intersection(shapes[index]).area / proposal.union(shapes[index]).area
                if iou > best_iou:
                    best, best_iou = index, iou
        if best_iou > RULE.iou.value:
            free.remove(best)
            tp += 1
    return tp, len(ordered) - tp, len(free)


def row_by_row(truth: Footprints, proposals: Footprints) -> Triple:
    """Match like solaris: labels in a GeoDataFrame, matched rows dropped, candidates iterated by row."""
    remaining, ordered, tp = gpd.GeoDataFrame(geometry=_counted(truth)), _in_order(proposals), 0
    for proposal in ordered:
        ious = {}
        for name, row in remaining[remaining.intersects(proposal)].iterrows():
            ious[name] = proposal.intersection(row.geometry).area / proposal.union(row.geometry).area
        best = max(ious, key=lambda name: ious[name], default=None)
        if best is not None and ious[best] > RULE.iou.value:
            remaining = remaining.drop(best)
            tp += 1
    return tp, len(ordered) - tp, len(remaining)


def rows_by_r_tree(truth: Footprints, proposals: Footprints) -> Triple:
    """Match by the R-tree of GeoPandas: one query per proposal, then its rows that are not matched yet."""
    frame, ordered, matched = gpd.GeoDataFrame(geometry=_counted(truth)), _in_order(proposals), set[int]()
    for proposal in ordered:
        ious = {}
        for name, row in frame.iloc[frame.sindex.query(proposal, predicate="intersects")].iterrows():
            if name not in matched:
                ious[name] = proposal.intersection(row.geometry).area / proposal.union(row.geometry).area
        best = max(ious, key=lambda name: ious[name], default=None)
        if best is not None and ious[best] > RULE.iou.value:
            matched.add(best)
    return len(matched), len(ordered) - len(matched), len(frame) - len(matched)


def groundplan(truth: Footprints, proposals: Footprints) -> Triple:
    result = score(truth, proposals, RULE)
    return result.tp, result.fp, result.fn


def pairs_to_compare(truth: Footprints, proposals: Footprints) -> tuple[Geometries, Geometries]:
    """Return label and proposal of every matched pair; any method must intersect these."""
    matches = score(truth, proposals, RULE).proposals
    return truth.geometries[matches.partner[matches.hit]], proposals.geometries[matches.hit]


def shared_area(left: Geometries, right: Geometries) -> np.ndarray:
    return np.asarray(shapely.area(shapely.intersection(left, right)))


def best_time(work: Callable[[], T], repeats: int) -> tuple[float, T]:
    """Return the seconds of the fastest of `repeats` runs, and its result."""
    seconds, result = np.inf, work()
    for _ in range(repeats):
        start = perf_counter()
        result = work()
        seconds = min(seconds, perf_counter() - start)
    return seconds, result


def main() -> None:
    sizes = argparse.ArgumentParser(description=__doc__)
    sizes.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 40_000])
    print("| work | Groundplan, s | baseline | baseline, s | ratio | limit, s | Groundplan / limit | equal TP FP FN |")
    print("|---|---|---|---|---|---|---|---|")
    for n in sizes.parse_args().sizes:
        town = synthetic_town(n, np.random.default_rng(n))
        repeats = 20 if n <= 1_000 else 3
        seconds, counts = best_time(partial(groundplan, *town), repeats)
        limit, _ = best_time(partial(shared_area, *pairs_to_compare(*town)), repeats)
        peers = {
            "r-tree of shapely": one_polygon_at_a_time,
            "r-tree of GeoPandas": rows_by_r_tree,
            "solaris": row_by_row,
        }
        for name, peer in peers.items():
            if peer is row_by_row and n > MOST_ROWS:
                continue
            peer_s, peer_counts = best_time(partial(peer, *town), 1)
            equal = "yes" if peer_counts == counts else f"NO: {counts} {peer_counts}"
            print(
                f"| {n:,} footprints | {seconds:.4f} | {name} | {peer_s:.3f} | {peer_s / seconds:.1f} × | {limit:.4f} "
                f"| {seconds / limit:.2f} × | {equal} {counts} |"
            )


if __name__ == "__main__":
    main()
