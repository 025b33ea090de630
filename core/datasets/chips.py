"""Crops of scenes: where they lie, and cutting them.

The thesis cuts 49 crops of 128 pixels from a picture of 512, with half of each overlapping; drawn ones lie where
buildings are, others each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.datasets.config import Recipe
from core.datasets.samples import Scene
from core.datasets.symmetries import turned
from core.geo.grid import LONLAT, Grid, reproject
from core.types import Batch, Geometries, Where


def _pixels_of(row: int, column: int, side: int, degrees: int, chip: int) -> Any:
    """Index of the pixels that a window shows in (chip, chip): the nearest ones, where it is enlarged or rotated."""
    if degrees == 0 and side == chip:
        return np.s_[row : row + side, column : column + side]
    if degrees == 0:
        nearest = (2 * np.arange(chip) + 1) * side // (2 * chip)
        return np.ix_(row + nearest, column + nearest)
    off = ((np.arange(chip, dtype=np.float32) + np.float32(0.5)) / chip - np.float32(0.5)) * side
    cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    middle = np.float32(side / 2)
    down = middle + off[:, None] * cos - off * sin
    across = middle + off[:, None] * sin + off * cos
    return row + np.floor(down).astype(np.intp), column + np.floor(across).astype(np.intp)


@dataclass(frozen=True)
class Chips:
    """Crops of scenes. They are cut when asked for: a scene lies in memory once, not four times over."""

    scenes: tuple[Scene, ...]
    where: NDArray[np.intp]  #: (n, 3): number of the scene, first row, first column
    chip: int
    targets: tuple[str, ...] = ("inner",)  #: the layers of the scenes' targets

    @classmethod
    def of(cls, scenes: Sequence[Scene], recipe: Recipe, targets: tuple[str, ...] = ("inner",)) -> "Chips":
        """All crops of the grid that show something: those without any picture are left out."""
        size = recipe.chip
        places = [
            (n, row, column)
            for n, scene in enumerate(scenes)
            for row, column in product(*map(recipe.offsets, scene.grid.shape))
            if scene.valid[row : row + size, column : column + size].any()
        ]
        return cls(tuple(scenes), np.array(places, np.intp).reshape(-1, 3), size, targets)

    def __len__(self) -> int:
        return len(self.where)

    def only(self, chosen: NDArray) -> "Chips":
        """A part of the crops, by numbers or by a mask."""
        return replace(self, where=self.where[chosen])

    @cached_property
    def ground(self) -> Geometries:
        """What each crop covers, in longitude and latitude."""
        rims = np.array([self._grid(*place).rim for place in self.where], dtype=object)
        ground = np.empty(len(self), dtype=object)
        for n, scene in enumerate(self.scenes):
            mine = self.where[:, 0] == n
            ground[mine] = reproject(rims[mine], scene.grid.crs, LONLAT)
        return ground

    def _grid(self, scene: int, row: int, column: int) -> Grid:
        return self.scenes[scene].grid.window(column, row, self.chip, self.chip)

    def places(self, numbers: NDArray[np.intp], turns: NDArray[np.intp] | None = None) -> NDArray[np.int32]:
        """(n, 6): number of the scene, first row, first column, one of the square's eight symmetries, side, degrees."""
        count = len(numbers)
        turned = np.zeros(count, np.intp) if turns is None else turns
        plain = np.full(count, self.chip), np.zeros(count, np.intp)
        return np.column_stack([self.where[numbers], turned, *plain]).astype(np.int32)

    def cut(self, places: NDArray[np.int32]) -> Batch:
        """Pixels (n, chip, chip, bands) float32, target (n, chip, chip, layers) and weight, 0 without a picture.

        A window of another side than a crop's, or a rotated one, is brought to it by the nearest pixels, and its
        distances with it.
        """
        windows = [self._window(*place) for place in places.tolist()]
        pixels, target, weight = (np.stack(part) for part in zip(*windows, strict=True))
        return pixels, target, weight

    def _window(
        self, n: int, row: int, column: int, turn: int, side: int, degrees: int
    ) -> tuple[NDArray, NDArray, NDArray]:
        scene = self.scenes[n]
        here = _pixels_of(row, column, side, degrees, self.chip)
        target = scene.target[here]
        if side != self.chip:
            target = self._longer(target, self.chip / side)
        weight = scene.valid[here].astype(np.float32)
        return turned(scene.pixels[here], turn), turned(target, turn), turned(weight, turn)

    def _longer(self, target: NDArray[np.uint8], times: float) -> NDArray[np.uint8]:
        """The target of a window that was enlarged so many times: distances grow with it."""
        for n, name in enumerate(self.targets):
            if name == "distance":
                longer = np.round((target[..., n] - np.float32(128)) * np.float32(times)) + np.float32(128)
                target[..., n] = np.clip(longer, 1, 255).astype(np.uint8)
        return target

    @cached_property
    def built(self) -> Where:
        """(n,) whether there is a building in each crop."""
        size = self.chip
        return np.array([self.building(n)[r : r + size, c : c + size].any() for n, r, c in self.where], bool)

    def building(self, n: int) -> Where:
        """(rows, columns) where the target of a scene tells of a building."""
        return self.built_in(self.scenes[n].target)

    def built_in(self, target: NDArray[np.uint8]) -> Where:
        """(…) where the first layer of a target (…, layers) tells of a building."""
        return np.asarray(target[..., 0] > (128 if self.targets[0] == "distance" else 0))

    @cached_property
    def boxes(self) -> dict[int, tuple[int, int, int, int]]:
        """What the crops cover of each scene: first row and column, and those behind the last."""
        found = {}
        for n in np.unique(self.where[:, 0]).tolist():
            mine = self.where[self.where[:, 0] == n, 1:]
            found[n] = (*mine.min(axis=0).tolist(), *(mine.max(axis=0) + self.chip).tolist())
        return found

    @property
    def bytes(self) -> int:
        """What the scenes take as one array."""
        height, width = self._largest
        each = [scene.pixels.shape[2] * 4 + len(self.targets) + 4 for scene in self.scenes]
        return sum(each) * height * width

    @property
    def _largest(self) -> tuple[int, int]:
        rows, columns = zip(*(scene.valid.shape for scene in self.scenes), strict=True)
        return max(rows), max(columns)

    def stacked(self) -> Batch:
        """All scenes as arrays (scenes, rows, columns, …): pixels, target and weight, for `places` to be cut from.

        Smaller scenes are filled up with nothing.
        """
        rows, columns = self._largest

        def stack(name: str) -> NDArray:
            parts = [getattr(scene, name) for scene in self.scenes]
            fill = [[(0, rows - part.shape[0]), (0, columns - part.shape[1])] for part in parts]
            return np.stack(
                [np.pad(part, [*sides, *[(0, 0)] * (part.ndim - 2)]) for part, sides in zip(parts, fill, strict=True)]
            )

        return stack("pixels"), stack("target"), stack("valid").astype(np.float32)
