"""How good a network is on the ground kept from its training: buildings found, by the rule people are judged by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from core.datasets.chips import Chips
from core.datasets.samples import Scene
from core.geo.vector import Footprints
from core.metrics.spacenet import Counts, Score, score
from core.postprocessing.config import Shaping
from core.postprocessing.vectorize import Traced, trace
from core.types import Geometries

#: Rows and columns beyond the ground that the network is shown, where the scene goes on.
AROUND = 64
#: No more scenes than this are looked at after an epoch.
MOST_SCENES = 48


@dataclass(frozen=True)
class Ground:
    """A part of a scene, kept from training."""

    scene: Scene
    box: tuple[int, int, int, int]  #: first row and column, and those behind the last

    @cached_property
    def truth(self) -> Footprints:
        """Buildings with most of their area in the box, in pixels of it, cut at its rim."""
        top, left, bottom, right = self.box
        rim, shapes = shapely.box(left, top, right, bottom), self.scene.buildings
        inside = np.asarray(shapely.intersection(shapes, rim), object)
        kept = shapely.area(inside) > shapely.area(shapes) / 2
        return Footprints.of(_moved(inside[kept], -left, -top), None)

    def layers(self, network: Callable[[NDArray[np.float32]], NDArray[np.float32]], stride: int) -> NDArray[np.float32]:
        """(rows, columns, 1 or 2) of the box: what a network says, 0 where there is no picture."""
        top, left, bottom, right = self.box
        height, width = self.scene.valid.shape
        first = [max(at - AROUND, 0) // stride * stride for at in (top, left)]
        last = [min(at + AROUND, side) for at, side in ((bottom, height), (right, width))]
        said = network(self.scene.pixels[None, first[0] : last[0], first[1] : last[1]])[0]
        said = said[top - first[0] : bottom - first[0], left - first[1] : right - first[1]]
        return np.where(self.scene.valid[top:bottom, left:right, None], said, np.float32(0))

    @property
    def pixel_m(self) -> float:
        """The side of a pixel in metres."""
        return self.scene.grid.gsd_m


def _moved(shapes: Geometries, right: float, down: float) -> Geometries:
    return np.asarray(shapely.transform(shapes, lambda xy: xy + np.array([right, down])), object)


def grounds(chips: Chips, most: int | None = None) -> list[Ground]:
    """What validation crops cover, scene by scene; of many scenes so many, evenly chosen."""
    return [Ground(chips.scenes[n], box) for n, box in _boxes(chips, most)]


def _boxes(chips: Chips, most: int | None) -> list[tuple[int, tuple[int, int, int, int]]]:
    boxes = list(chips.boxes.items())
    if most is not None and len(boxes) > most:
        boxes = [boxes[n] for n in np.linspace(0, len(boxes) - 1, most).round().astype(int)]
    return boxes


@dataclass(frozen=True, eq=False)
class Checked:
    """What a network said of the validation ground."""

    grounds: tuple[Ground, ...]
    layers: tuple[NDArray[np.float32], ...]  #: (rows, columns, 1 or 2) of each

    def traced(self, shaping: Shaping) -> Iterator[Traced]:
        """The buildings of each ground, in pixels of it."""
        for ground, layers in zip(self.grounds, self.layers, strict=True):
            yield trace(layers, shaping, ground.pixel_m)

    def scores(self, shaping: Shaping) -> list[Score]:
        """Of each ground, by the SpaceNet rule."""
        return [
            score(ground.truth, Footprints.of(found.polygons, None, found.confidence))
            for ground, found in zip(self.grounds, self.traced(shaping), strict=True)
        ]

    def counts(self, shaping: Shaping) -> Counts:
        """Of all of them together."""
        return sum(self.scores(shaping), start=Counts(0, 0, 0))


def truth_of(chips: Chips, most: int | None = None) -> Checked:
    """What a mask without a mistake says of the ground that crops cover, scene by scene as `grounds` chooses them."""
    boxes = [chips.building(n)[top:bottom, left:right] for n, (top, left, bottom, right) in _boxes(chips, most)]
    return Checked(tuple(grounds(chips, most)), tuple(box[..., None].astype(np.float32) for box in boxes))


def check(grounds: list[Ground], network: Callable[[NDArray[np.float32]], NDArray[np.float32]], stride: int) -> Checked:
    """Asks the network about every ground."""
    return Checked(tuple(grounds), tuple(ground.layers(network, stride) for ground in grounds))
