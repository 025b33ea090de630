"""Watershed separation of adjoining buildings on the predicted distance.

Vincent, Soille: Watersheds in digital spaces (PAMI 1991), as scikit-image implements it. Every local maximum of the
distance gets a basin. Two basins stay one building unless both peaks are several times as deep as the saddle between
them (decision 0013).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label, maximum_filter
from skimage.segmentation import watershed

from core.types import BoolMask, Probability

#: Meters from the boundary below which nothing is a seed.
FLOOR_M = 0.3
#: Standard deviation of the smoothing of the distance, in pixels of half the resolution: predictions ripple.
_SIGMA = 0.7
_NEIGHBORS = np.ones((3, 3), bool)
#: Slices that pair every pixel with its right and with its lower neighbor.
_PAIRS = (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])


def separate_instances(layers: NDArray[np.float32], threshold: float, saddle_ratio: float) -> Probability:
    """Separate adjoining buildings by a watershed on the predicted distance.

    Seeds are local maxima of the smoothed distance inside the thresholded mask. The distance is evaluated at half the
    resolution, which costs a quarter and is enough to tell buildings apart.

    Args:
        layers: Probability and signed distance to the nearest boundary [m], (rows, cols, 2) float32.
        threshold: Pixels with a higher probability are building.
        saddle_ratio: Required ratio of peak depth to saddle depth; larger values split less.

    Returns:
        The probability, (rows, cols) float32, with 0 on a line of one pixel between buildings.
    """
    probability = layers[..., 0]
    mask = probability > threshold
    building = np.logical_or.reduce(_corners(mask))
    depth = np.where(building, np.maximum(_smooth(layers[..., 1]), FLOOR_M), 0).astype(np.float32)
    seeds, count = label((depth > FLOOR_M) & (maximum_filter(depth, 3) == depth), _NEIGHBORS)
    if count < 2:
        return probability
    basins: NDArray[np.int32] = watershed(-depth, seeds, mask=depth > 0)  # type: ignore[no-untyped-call]
    instances = _merge_basins(basins, depth, count, saddle_ratio)[basins]
    rows, columns = mask.shape
    lines = _watershed_lines(instances.repeat(2, 0).repeat(2, 1)[:rows, :columns])
    return np.where(lines, np.float32(0), probability)


def _corners(values: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Views of the four pixels of every 2 × 2 square, (rows / 2, cols / 2) each."""
    rows, columns = values.shape
    even = np.pad(values, [(0, rows % 2), (0, columns % 2)], mode="edge") if rows % 2 or columns % 2 else values
    return even[::2, ::2], even[::2, 1::2], even[1::2, ::2], even[1::2, 1::2]


def _smooth(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Halve the resolution and smooth, (rows / 2, cols / 2)."""
    a, b, c, d = _corners(distance)
    return np.asarray(gaussian_filter((a + b + c + d) * np.float32(0.25), _SIGMA))


def _merge_basins(
    basins: NDArray[np.int32], depth: NDArray[np.float32], count: int, saddle_ratio: float
) -> NDArray[np.int32]:
    """Number the building of each basin, (count + 1,); 0 is background.

    Saddles are visited from the deepest down: basins merge where they are connected best, and the deeper one gives
    its number.
    """
    peak = np.zeros(count + 1, np.float32)
    np.maximum.at(peak, basins.ravel(), depth.ravel())
    parent = list(range(count + 1))

    def root(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = parent[basin]
        return basin

    peaks = peak.tolist()
    for saddle, a, b in zip(*_saddles(basins, depth), strict=True):
        first, second = root(a), root(b)
        if first != second and min(peaks[first], peaks[second]) < saddle_ratio * saddle:
            low, high = sorted((first, second), key=peaks.__getitem__)
            parent[low] = high
    return np.array([root(basin) for basin in range(count + 1)], np.int32)


def _saddles(basins: NDArray[np.int32], depth: NDArray[np.float32]) -> tuple[list[float], list[int], list[int]]:
    """List the saddle of each pair of touching basins, the deepest first: depth, lower and higher basin number."""
    candidates = []
    for left, right in _PAIRS:
        a, b = basins[left], basins[right]
        touching = (a != b) & (a > 0) & (b > 0)
        low, high = np.minimum(a[touching], b[touching]), np.maximum(a[touching], b[touching])
        candidates.append((np.minimum(depth[left][touching], depth[right][touching]), low, high))
    saddle, a, b = (np.concatenate(columns) for columns in zip(*candidates, strict=True))
    order = np.lexsort((-saddle, b, a))
    saddle, a, b = saddle[order], a[order], b[order]
    first = np.ones(len(a), bool)
    first[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    deepest = np.flatnonzero(first)[np.argsort(-saddle[first], kind="stable")]
    return saddle[deepest].tolist(), a[deepest].tolist(), b[deepest].tolist()


def _watershed_lines(instances: NDArray[np.int32]) -> BoolMask:
    """Mark the last pixel, to the right and down, before another building, (rows, cols)."""
    lines = np.zeros(instances.shape, bool)
    for left, right in _PAIRS:
        a, b = instances[left], instances[right]
        lines[left] |= (a != b) & (a > 0) & (b > 0)
    return lines
