"""YOLO dataset: a text file per image, a line per building, coordinates as fractions of the image size.

Boxes as in Darknet (class, center, width, height), or polygons as in Ultralytics YOLO (class, x, y, x, y, …).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely

from core.exports.datasets.images import save_png
from core.exports.datasets.samples import ExportSample

_DATA = """path: .
train: images/train
val: images/val
names:
  0: building
"""


@dataclass
class Yolo:
    """YOLO writer: images/<split>/*.png, labels/<split>/*.txt; data.yaml (Ultralytics), obj.* (Darknet)."""

    folder: Path
    outlines: bool = False
    _images: dict[str, list[str]] = field(default_factory=lambda: {"train": [], "val": []}, init=False)

    def add(self, sample: ExportSample) -> None:
        """Save the image and its label file."""
        save_png(self.folder / "images" / sample.split / f"{sample.name}.png", sample.pixels)
        path = self.folder / "labels" / sample.split / f"{sample.name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = _outlines(sample) if self.outlines else _boxes(sample)
        path.write_text("".join(f"0 {' '.join(f'{value:.6f}' for value in line)}\n" for line in lines))
        self._images[sample.split].append(f"images/{sample.split}/{sample.name}.png")

    def close(self) -> None:
        """Write the image lists and the class names."""
        for split, images in self._images.items():
            (self.folder / f"{split}.txt").write_text("".join(f"{image}\n" for image in images))
        (self.folder / "data.yaml").write_text(_DATA)
        (self.folder / "obj.names").write_text("building\n")
        (self.folder / "obj.data").write_text("classes = 1\ntrain = train.txt\nvalid = val.txt\nnames = obj.names\n")


def _boxes(sample: ExportSample) -> Iterable[Iterable[float]]:
    rows, columns = sample.shape
    left, top, right, bottom = sample.boxes.T / np.array([columns, rows, columns, rows])[:, None]
    return np.column_stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]).clip(0, 1)


def _outlines(sample: ExportSample) -> Iterable[Iterable[float]]:
    """Yield the exterior rings; the format has no holes."""
    rows, columns = sample.shape
    for ring in shapely.get_exterior_ring(sample.buildings):
        yield (shapely.get_coordinates(ring)[:-1] / (columns, rows)).clip(0, 1).ravel()
