"""SpaceNet score: all footprints at once against one polygon at a time. Run as `python -m benchmarks.scoring`.

Peers, all one polygon at a time: a plain loop over shapely (STRtree query, then intersection and union for each
candidate), the same with the r-tree and the rows of GeoPandas, and the way solaris works (a GeoDataFrame with the
matched truths dropped from it, `intersects`, then a loop over rows).
Limit: nothing but one vectorised intersection of the pairs that have to be compared.
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
#: GeoDataFrame rows take minutes at 40,000.
MOST_ROWS = 5_000


def made_up(n: int, rng: Generator) -> tuple[Footprints, Footprints]:
    """A town of n turned houses on a grid of 40 px, and proposals like those traced from a raster: 12 vertices each.

    One in ten houses is missed, one proposal in ten is invented, some are badly placed.
    """
    side = int(np.ceil(np.sqrt(n)))
    at = np.stack(np.divmod(np.arange(n), side), axis=1) * 40.0 + rng.uniform(-5, 5, (n, 2))
    size, turn = rng.uniform(12, 32, (n, 2)), rng.uniform(0, np.pi, n)
    truth = _rectangles(at, size, turn)
    found = np.flatnonzero(rng.random(n) < 0.9)
    shift = at[found] + rng.normal(0, 2.5, (len(found), 2))
    proposed = _rectangles(shift, size[found] * rng.uniform(0.8, 1.2, (len(found), 2)), turn[found], rng)
    odd = n // 10
    invented = _rectangles(rng.uniform(0, side * 40, (odd, 2)), rng.uniform(8, 20, (odd, 2)), turn[:odd], rng)
    proposals = np.concatenate([proposed, invented])
    return Footprints.of(truth, None), Footprints.of(proposals, None, rng.random(len(proposals)))


def _rectangles(at: np.ndarray, size: np.ndarray, turn: np.ndarray, rng: Generator | None = None) -> Geometries:
    """Turned rectangles; with `rng` of 12 vertices, each a little off its place."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    if rng:
        along = np.array([0.0, 1 / 3, 2 / 3])[:, None]
        corners = np.vstack([a + (b - a) * along for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])
    points = corners[None] * size[:, None]
    points += rng.normal(0, 0.3, points.shape) if rng else 0
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    x, y = points[..., 0], points[..., 1]
    turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    return np.asarray(shapely.polygons(turned + at[:, None]), dtype=object)


def _in_order(proposals: Footprints) -> Geometries:
    kept = RULE.proposal_area.passes(shapely.area(proposals.geometries))
    order = np.argsort(-proposals.confidence[kept], kind="stable")
    return proposals.geometries[kept][order]


def _counted(truth: Footprints) -> Geometries:
    return truth.geometries[RULE.truth_area.passes(shapely.area(truth.geometries))]


def one_polygon_at_a_time(truth: Footprints, proposals: Footprints) -> Triple:
    """For each proposal a query of the r-tree, then intersection over union with each free candidate."""
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
    """As solaris does it: the truth is a GeoDataFrame, matched rows are dropped, candidates are gone through by row."""
    left, ordered, tp = gpd.GeoDataFrame(geometry=_counted(truth)), _in_order(proposals), 0
    for proposal in ordered:
        ious = {}
        for name, row in left[left.intersects(proposal)].iterrows():
            ious[name] = proposal.intersection(row.geometry).area / proposal.union(row.geometry).area
        best = max(ious, key=lambda name: ious[name], default=None)
        if best is not None and ious[best] > RULE.iou.value:
            left = left.drop(best)
            tp += 1
    return tp, len(ordered) - tp, len(left)


def rows_by_r_tree(truth: Footprints, proposals: Footprints) -> Triple:
    """The same with GeoPandas's r-tree: one query a proposal, then the rows it names, taken ones left out."""
    frame, ordered, taken = gpd.GeoDataFrame(geometry=_counted(truth)), _in_order(proposals), set[int]()
    for proposal in ordered:
        ious = {}
        for name, row in frame.iloc[frame.sindex.query(proposal, predicate="intersects")].iterrows():
            if name not in taken:
                ious[name] = proposal.intersection(row.geometry).area / proposal.union(row.geometry).area
        best = max(ious, key=lambda name: ious[name], default=None)
        if best is not None and ious[best] > RULE.iou.value:
            taken.add(best)
    return len(taken), len(ordered) - len(taken), len(frame) - len(taken)


def ours(truth: Footprints, proposals: Footprints) -> Triple:
    result = score(truth, proposals, RULE)
    return result.tp, result.fp, result.fn


def pairs_to_compare(truth: Footprints, proposals: Footprints) -> tuple[Geometries, Geometries]:
    """Truth and proposal of every matched pair: whatever the way, these have to be intersected."""
    matches = score(truth, proposals, RULE).proposals
    return truth.geometries[matches.partner[matches.hit]], proposals.geometries[matches.hit]


def shared_area(left: Geometries, right: Geometries) -> np.ndarray:
    return np.asarray(shapely.area(shapely.intersection(left, right)))


def best_time(work: Callable[[], T], repeats: int) -> tuple[float, T]:
    """Seconds of the fastest of `repeats` runs, and what it gave."""
    seconds, result = np.inf, work()
    for _ in range(repeats):
        start = perf_counter()
        result = work()
        seconds = min(seconds, perf_counter() - start)
    return seconds, result


def main() -> None:
    sizes = argparse.ArgumentParser(description=__doc__)
    sizes.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 40_000])
    print("| work | ours s | peer | peer s | peer / ours | limit s | ours / limit | TP FP FN equal |")
    print("|---|---|---|---|---|---|---|---|")
    for n in sizes.parse_args().sizes:
        town = made_up(n, np.random.default_rng(n))
        repeats = 20 if n <= 1_000 else 3
        seconds, counts = best_time(partial(ours, *town), repeats)
        limit, _ = best_time(partial(shared_area, *pairs_to_compare(*town)), repeats)
        peers = {
            "r-tree of shapely": one_polygon_at_a_time,
            "r-tree of GeoPandas": rows_by_r_tree,
            "solaris": row_by_row,
        }
        for name, peer in peers.items():
            if peer is row_by_row and n > MOST_ROWS:
                continue
            slow, theirs = best_time(partial(peer, *town), 1)
            print(
                f"| {n:,} footprints | {seconds:.4f} | {name} | {slow:.3f} | {slow / seconds:.1f} × | {limit:.4f} "
                f"| {seconds / limit:.2f} × | {'yes' if theirs == counts else f'NO: {counts} {theirs}'} {counts} |"
            )


if __name__ == "__main__":
    main()
