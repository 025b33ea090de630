"""Darknet's YOLO: a text file a picture, a line a building, everything as a share of the picture's sides.

Boxes as Darknet has them (class, middle, width, height), or outlines as Ultralytics has them (class, x, y, x, y, …).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely

from core.exports.datasets.images import put_png
from core.exports.datasets.samples import Example

_DATA = """path: .
train: images/train
val: images/val
names:
  0: building
"""


@dataclass
class Yolo:
    """images/<side>/*.png, labels/<side>/*.txt, data.yaml for Ultralytics, obj.data and obj.names for Darknet."""

    folder: Path
    outlines: bool = False
    _pictures: dict[str, list[str]] = field(default_factory=lambda: {"train": [], "val": []}, init=False)

    def add(self, example: Example) -> None:
        """Writes the picture and its lines."""
        put_png(self.folder / "images" / example.side / f"{example.name}.png", example.pixels)
        path = self.folder / "labels" / example.side / f"{example.name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = _outlines(example) if self.outlines else _boxes(example)
        path.write_text("".join(f"0 {' '.join(f'{value:.6f}' for value in line)}\n" for line in lines))
        self._pictures[example.side].append(f"images/{example.side}/{example.name}.png")

    def close(self) -> None:
        """Writes the files that name the pictures and the class."""
        for side, pictures in self._pictures.items():
            (self.folder / f"{side}.txt").write_text("".join(f"{picture}\n" for picture in pictures))
        (self.folder / "data.yaml").write_text(_DATA)
        (self.folder / "obj.names").write_text("building\n")
        (self.folder / "obj.data").write_text("classes = 1\ntrain = train.txt\nvalid = val.txt\nnames = obj.names\n")


def _boxes(example: Example) -> Iterable[Iterable[float]]:
    rows, columns = example.shape
    left, top, right, bottom = example.boxes.T / np.array([columns, rows, columns, rows])[:, None]
    return np.column_stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]).clip(0, 1)


def _outlines(example: Example) -> Iterable[Iterable[float]]:
    """The outer rings: the format has no holes."""
    rows, columns = example.shape
    for ring in shapely.get_exterior_ring(example.buildings):
        yield (shapely.get_coordinates(ring)[:-1] / (columns, rows)).clip(0, 1).ravel()
