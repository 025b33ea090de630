"""Chips: crops of samples on a grid, and cutting windows out of samples.

The original thesis cuts 49 crops of 128 pixels from an image of 512, half overlapping; sampled crops
(core.training.crop_sampler) lie where buildings are, others in each epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.datasets.config import DatasetConfig
from core.datasets.samples import Sample
from core.datasets.symmetries import apply_d4
from core.geo.grid import LONLAT, reproject
from core.types import Batch, BoolMask, Geometries


def _sample_nearest(row: int, column: int, side: int, degrees: int, chip: int) -> Any:
    """Index the nearest pixels of a scaled or rotated window, for (chip, chip); see also models.steps.crops."""
    if degrees == 0 and side == chip:
        return np.s_[row : row + side, column : column + side]
    if degrees == 0:
        nearest = (2 * np.arange(chip) + 1) * side // (2 * chip)
        return np.ix_(row + nearest, column + nearest)
    offsets = ((np.arange(chip, dtype=np.float32) + np.float32(0.5)) / chip - np.float32(0.5)) * side
    cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    center = np.float32(side / 2)
    rows = center + offsets[:, None] * cos - offsets * sin
    columns = center + offsets[:, None] * sin + offsets * cos
    return row + np.floor(rows).astype(np.intp), column + np.floor(columns).astype(np.intp)


@dataclass(frozen=True)
class Chips:
    """Crops of samples, cut when needed: a sample lies in memory once, not once per overlapping crop."""

    samples: tuple[Sample, ...]
    origins: NDArray[np.intp]  #: (n, 3): number of the sample, first row, first column
    chip: int  #: side of a crop [px]
    targets: tuple[str, ...] = ("inner",)  #: target layers of the samples, see models.registry.TARGETS

    @classmethod
    def of(cls, samples: Sequence[Sample], config: DatasetConfig, targets: tuple[str, ...] = ("inner",)) -> "Chips":
        """Lay a grid of crops over samples; crops without valid data are left out.

        Args:
            samples: The samples.
            config: Side and step of the crops.
            targets: Target layers of the samples.
        """
        size = config.chip
        origins = [
            (n, row, column)
            for n, sample in enumerate(samples)
            for row, column in product(*map(config.offsets, sample.grid.shape))
            if sample.valid[row : row + size, column : column + size].any()
        ]
        return cls(tuple(samples), np.array(origins, np.intp).reshape(-1, 3), size, targets)

    def __len__(self) -> int:
        return len(self.origins)

    def only(self, selection: NDArray) -> "Chips":
        """Select crops.

        Args:
            selection: Numbers of crops, or a boolean mask (n,).
        """
        return replace(self, origins=self.origins[selection])

    @cached_property
    def outlines(self) -> Geometries:
        """Outline of each crop, in longitude and latitude.

        Returns:
            (n,) polygons in EPSG:4326.
        """
        outlines = np.empty(len(self), dtype=object)
        for n, sample in enumerate(self.samples):
            in_sample = self.origins[:, 0] == n
            windows = [
                sample.grid.window(column, row, self.chip, self.chip).outline
                for _, row, column in self.origins[in_sample]
            ]
            outlines[in_sample] = reproject(np.array(windows, dtype=object), sample.grid.crs, LONLAT)
        return outlines

    def windows(self, numbers: NDArray[np.intp], symmetries: NDArray[np.intp] | None = None) -> NDArray[np.int32]:
        """List the windows of crops of the grid, as `crop_windows` takes them.

        Args:
            numbers: Numbers of the crops, (n,).
            symmetries: D4 symmetry of each, (n,) 0 to 7; None leaves them as they are.

        Returns:
            (n, 6) int32: number of the sample, first row, first column, D4 symmetry, side [px], rotation [degrees].
        """
        count = len(numbers)
        symmetries = np.zeros(count, np.intp) if symmetries is None else symmetries
        sides, degrees = np.full(count, self.chip), np.zeros(count, np.intp)
        return np.column_stack([self.origins[numbers], symmetries, sides, degrees]).astype(np.int32)

    def crop_windows(self, windows: NDArray[np.int32]) -> Batch:
        """Crop windows of the samples, with D4 symmetry, scaling and rotation.

        A window of another side, or a rotated one, is resampled to the side of a crop by nearest neighbor, and its
        distances are rescaled with it. models.steps.crops does the same on the training device.

        Args:
            windows: See `windows`, (n, 6) int32.

        Returns:
            Pixels (n, chip, chip, bands) float32, target (n, chip, chip, layers) uint8 and weight (n, chip, chip)
            float32, 0 where there is no data.
        """
        crops = [self._crop(*window) for window in windows.tolist()]
        pixels, target, weight = (np.stack(arrays) for arrays in zip(*crops, strict=True))
        return pixels, target, weight

    def _crop(
        self, n: int, row: int, column: int, symmetry: int, side: int, degrees: int
    ) -> tuple[NDArray, NDArray, NDArray]:
        sample = self.samples[n]
        index = _sample_nearest(row, column, side, degrees, self.chip)
        target = sample.target[index]
        if side != self.chip:
            target = self._rescale_distance(target, self.chip / side)
        weight = sample.valid[index].astype(np.float32)
        return apply_d4(sample.pixels[index], symmetry), apply_d4(target, symmetry), apply_d4(weight, symmetry)

    def _rescale_distance(self, target: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
        """Scale encoded distances of a target with the magnification of its crop."""
        for n, name in enumerate(self.targets):
            if name == "distance":
                scaled = np.round((target[..., n] - np.float32(128)) * np.float32(scale)) + np.float32(128)
                target[..., n] = np.clip(scaled, 1, 255).astype(np.uint8)
        return target

    @cached_property
    def has_building(self) -> BoolMask:
        """Tell which crops contain a building.

        Returns:
            (n,) bool.
        """
        size = self.chip
        return np.array([self.building_layer(n)[r : r + size, c : c + size].any() for n, r, c in self.origins], bool)

    def building_layer(self, n: int) -> BoolMask:
        """Building mask of the n-th sample.

        Returns:
            (rows, cols) bool.
        """
        return self.building_mask(self.samples[n].target)

    def building_mask(self, target: NDArray[np.uint8]) -> BoolMask:
        """Building mask of a target, from its first layer.

        Args:
            target: (…, layers) uint8.

        Returns:
            (…) bool.
        """
        return np.asarray(target[..., 0] > (128 if self.targets[0] == "distance" else 0))

    @cached_property
    def extents(self) -> dict[int, tuple[int, int, int, int]]:
        """Extent of the crops in each sample [px]: first row and column, and the ones after the last."""
        extents = {}
        for n in np.unique(self.origins[:, 0]).tolist():
            origins = self.origins[self.origins[:, 0] == n, 1:]
            extents[n] = (*origins.min(axis=0).tolist(), *(origins.max(axis=0) + self.chip).tolist())
        return extents

    @property
    def bytes(self) -> int:
        """Memory of all samples as stacked arrays [bytes]."""
        rows, columns = self._largest
        pixel_bytes = [sample.pixels.shape[2] * 4 + len(self.targets) + 4 for sample in self.samples]
        return sum(pixel_bytes) * rows * columns

    @property
    def _largest(self) -> tuple[int, int]:
        rows, columns = zip(*(sample.valid.shape for sample in self.samples), strict=True)
        return max(rows), max(columns)

    def stacked(self) -> Batch:
        """Stack all samples, to cut windows from them on the training device; smaller ones are padded with 0.

        Returns:
            Pixels (samples, rows, cols, bands) float32, target (samples, rows, cols, layers) uint8 and weight
            (samples, rows, cols) float32.
        """
        rows, columns = self._largest

        def stack(name: str) -> NDArray:
            arrays = [getattr(sample, name) for sample in self.samples]
            padding = [[(0, rows - array.shape[0]), (0, columns - array.shape[1])] for array in arrays]
            return np.stack(
                [
                    np.pad(array, [*sides, *[(0, 0)] * (array.ndim - 2)])
                    for array, sides in zip(arrays, padding, strict=True)
                ]
            )

        return stack("pixels"), stack("target"), stack("valid").astype(np.float32)
