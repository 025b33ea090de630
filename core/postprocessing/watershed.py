"""Adjoining houses come apart: seeds where the distance to the wall is largest, watershed between them in the mask.

Vincent, Soille: Watersheds in digital spaces (PAMI 1991), as scikit-image has it. Every small bump of the distance has
a basin at first; two basins are one building unless each is so many times deeper than the neck between them.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label, maximum_filter
from skimage.segmentation import watershed

from core.types import Probability, Where

#: Metres from the wall below which nothing is a seed.
FLOOR_M = 0.3
#: Of the smoothing of distances, in pixels of twice the size: networks ripple.
_SIGMA = 0.7
_AROUND = np.ones((3, 3), bool)


def parted(layers: NDArray[np.float32], threshold: float, seed: float) -> Probability:
    """(rows, columns) of the probability in (rows, columns, 2), 0 on a line of one pixel between adjoining buildings.

    The second layer is the distance to the nearest wall in metres. It is looked at in pixels of twice the size, which
    costs a quarter and is enough to tell one house from the next.
    """
    probability = layers[..., 0]
    mask = probability > threshold
    built = np.logical_or.reduce(_corners(mask))
    depth = np.where(built, np.maximum(_smooth(layers[..., 1]), FLOOR_M), 0).astype(np.float32)
    seeds, count = label((depth > FLOOR_M) & (maximum_filter(depth, 3) == depth), _AROUND)
    if count < 2:
        return probability
    basins: NDArray[np.int32] = watershed(-depth, seeds, mask=depth > 0)  # type: ignore[no-untyped-call]
    owner = _joined(basins, depth, count, seed)[basins]
    rows, columns = mask.shape
    return np.where(_lines(owner.repeat(2, 0).repeat(2, 1)[:rows, :columns]), np.float32(0), probability)


def _corners(values: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """(rows / 2, columns / 2) each: the four pixels of every square of two by two, as views."""
    rows, columns = values.shape
    even = np.pad(values, [(0, rows % 2), (0, columns % 2)], mode="edge") if rows % 2 or columns % 2 else values
    return even[::2, ::2], even[::2, 1::2], even[1::2, ::2], even[1::2, 1::2]


def _smooth(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    a, b, c, d = _corners(distance)
    return np.asarray(gaussian_filter((a + b + c + d) * np.float32(0.25), _SIGMA))


def _joined(basins: NDArray[np.int32], depth: NDArray[np.float32], count: int, seed: float) -> NDArray[np.int32]:
    """(count + 1,) the number of the building that each basin belongs to; 0 for none.

    From the shallowest saddle up: basins meet where they are connected best, and the deeper one lends its number.
    """
    peak = np.zeros(count + 1, np.float32)
    np.maximum.at(peak, basins.ravel(), depth.ravel())
    owner = list(range(count + 1))

    def root(basin: int) -> int:
        while owner[basin] != basin:
            owner[basin] = owner[owner[basin]]
            basin = owner[basin]
        return basin

    peaks = peak.tolist()
    for saddle, a, b in zip(*_saddles(basins, depth), strict=True):
        one, other = root(a), root(b)
        if one != other and min(peaks[one], peaks[other]) < seed * saddle:
            low, high = sorted((one, other), key=peaks.__getitem__)
            owner[low] = high
    return np.array([root(basin) for basin in range(count + 1)], np.int32)


def _saddles(basins: NDArray[np.int32], depth: NDArray[np.float32]) -> tuple[list[float], list[int], list[int]]:
    """Of each pair of touching basins the deepest place where they touch, the deepest first; and both numbers."""
    sides = (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])
    found = []
    for here, there in sides:
        a, b = basins[here], basins[there]
        met = (a != b) & (a > 0) & (b > 0)
        low, high = np.minimum(a[met], b[met]), np.maximum(a[met], b[met])
        found.append((np.minimum(depth[here][met], depth[there][met]), low, high))
    saddle, a, b = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-saddle, b, a))
    saddle, a, b = saddle[order], a[order], b[order]
    first = np.ones(len(a), bool)
    first[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    deepest = np.flatnonzero(first)[np.argsort(-saddle[first], kind="stable")]
    return saddle[deepest].tolist(), a[deepest].tolist(), b[deepest].tolist()


def _lines(owner: NDArray[np.int32]) -> Where:
    """(rows, columns) True on the last pixels, to the right and down, before another building."""
    lines = np.zeros(owner.shape, bool)
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = owner[here], owner[there]
        lines[here] |= (a != b) & (a > 0) & (b > 0)
    return lines
