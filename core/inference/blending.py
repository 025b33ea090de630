"""Windows laid side by side without a seam: where two overlap, one fades into the other."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.geo.grid import Grid
from core.geo.windows import Box


@dataclass
class Canvas:
    """One row of windows of a grid under work: their cores and `blend` pixels around them."""

    grid: Grid
    core: Box  #: the first window of the row
    blend: int  #: pixels that windows reach beyond their cores
    carried: NDArray[np.float32] | None = None  #: what the row of windows above has said of this one's first rows
    _pixels: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32), init=False)

    def __post_init__(self) -> None:
        self.end = self.core.row + self.core.height
        self.top = max(self.core.row - self.blend, 0)
        self.bottom = min(self.end + self.blend, self.grid.height)

    def add(self, core: Box, said: NDArray[np.float32]) -> None:
        """Adds what a window says: (core + 2 blend, core + 2 blend, layers)."""
        if not self._pixels.size:
            shape = self.bottom - self.top, self.grid.width, said.shape[-1]
            self._pixels = np.zeros(shape, np.float32) if self.blend else np.empty(shape, np.float32)
            if self.carried is not None:
                self._pixels[: len(self.carried)] = self.carried
        box = core.widened(self.blend)
        inside = box.within(self.grid)
        rows, columns = inside.slices(box)
        here = self._pixels[inside.row - self.top :, inside.column :][: inside.height, : inside.width]
        if not self.blend:
            here[...] = said[rows, columns]
            return
        down = fading(core.row, core.height, self.blend, self.grid.height)[rows]
        across = fading(core.column, core.width, self.blend, self.grid.width)[columns]
        here += said[rows, columns] * (down[:, None] * across)[..., None]

    @property
    def finished(self) -> NDArray[np.float32]:
        """The rows that no other window has a word on, from `top` on."""
        return self._pixels[: self._finished]

    @property
    def rest(self) -> NDArray[np.float32]:
        """The rows that the next row of windows has a word on; none at the end."""
        return self._pixels[self._finished :]

    @property
    def _finished(self) -> int:
        return len(self._pixels) if self.end >= self.grid.height else self.end - self.blend - self.top


def fading(first: int, length: int, blend: int, side: int) -> NDArray[np.float32]:
    """(length + 2 blend,) weights of a window along an axis of so many pixels; those of all windows add up to 1."""
    at = np.arange(first - blend, first + length + blend) + 0.5
    rise = (at - (first - blend)) / (2 * blend) if first > 0 else np.ones_like(at)
    fall = (first + length + blend - at) / (2 * blend) if first + length < side else np.ones_like(at)
    return np.clip(np.minimum(rise, fall), 0, 1).astype(np.float32)
