"""Blending of overlapping windows: linear weights, so predictions join without a seam."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.geo.grid import Grid
from core.geo.windows import PixelWindow


@dataclass
class OverlapBlender:
    """Accumulates one row of windows of a grid: their inner windows and `blend` pixels around them."""

    grid: Grid
    inner: PixelWindow  #: the first window of the row
    blend: int  #: pixels that windows reach beyond their inner windows
    overlap_rows: NDArray[np.float32] | None = None  #: weighted sum of the row of windows above, for the first rows
    _pixels: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32), init=False)

    def __post_init__(self) -> None:
        self.end = self.inner.row + self.inner.height
        self.top = max(self.inner.row - self.blend, 0)
        self.bottom = min(self.end + self.blend, self.grid.height)

    def add(self, inner: PixelWindow, prediction: NDArray[np.float32]) -> None:
        """Add the weighted prediction of a window.

        Args:
            inner: The window without its overlap.
            prediction: (inner rows + 2 blend, inner cols + 2 blend, layers) float32.
        """
        if not self._pixels.size:
            shape = self.bottom - self.top, self.grid.width, prediction.shape[-1]
            self._pixels = np.zeros(shape, np.float32) if self.blend else np.empty(shape, np.float32)
            if self.overlap_rows is not None:
                self._pixels[: len(self.overlap_rows)] = self.overlap_rows
        outer = inner.expand(self.blend)
        inside = outer.clip(self.grid)
        rows, columns = inside.slices(outer)
        target = self._pixels[inside.row - self.top :, inside.column :][: inside.height, : inside.width]
        if not self.blend:
            target[...] = prediction[rows, columns]
            return
        row_weights = blend_weights(inner.row, inner.height, self.blend, self.grid.height)[rows]
        column_weights = blend_weights(inner.column, inner.width, self.blend, self.grid.width)[columns]
        target += prediction[rows, columns] * (row_weights[:, None] * column_weights)[..., None]

    @property
    def finished(self) -> NDArray[np.float32]:
        """Rows that no other window overlaps, from `top` on.

        Returns:
            (rows, cols, layers) float32.
        """
        return self._pixels[: self._finished_rows]

    @property
    def remaining(self) -> NDArray[np.float32]:
        """Rows that the next row of windows overlaps; empty at the end.

        Returns:
            (rows, cols, layers) float32.
        """
        return self._pixels[self._finished_rows :]

    @property
    def _finished_rows(self) -> int:
        return len(self._pixels) if self.end >= self.grid.height else self.end - self.blend - self.top


def blend_weights(first: int, length: int, blend: int, side: int) -> NDArray[np.float32]:
    """Weights of a window along an axis; those of all windows add up to 1.

    Args:
        first: First pixel of the window.
        length: Pixels of the window without its overlap.
        blend: Overlap on each side [pixels].
        side: Pixels of the whole axis.

    Returns:
        (length + 2 blend,) float32.
    """
    position = np.arange(first - blend, first + length + blend) + 0.5
    rise = (position - (first - blend)) / (2 * blend) if first > 0 else np.ones_like(position)
    fall = (first + length + blend - position) / (2 * blend) if first + length < side else np.ones_like(position)
    return np.clip(np.minimum(rise, fall), 0, 1).astype(np.float32)
