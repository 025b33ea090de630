"""PASCAL VOC 2012 (Everingham et al., IJCV 2015): JPEG pictures, boxes in XML, classes and objects as PNG palettes.

As the development kit has it: boxes are counted from 1, 255 is the rim of an object that nobody scores.
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from core.exports.datasets.images import put_classes, put_jpeg
from core.exports.datasets.samples import Example

#: Objects that a palette has numbers for: 0 is background, 255 the rim.
MOST_OBJECTS = 254
RIM = 255


@dataclass
class Voc:
    """JPEGImages, Annotations, SegmentationClass, SegmentationObject, ImageSets, labels.txt."""

    folder: Path
    _names: dict[str, list[str]] = field(default_factory=lambda: {"train": [], "val": []}, init=False)

    def add(self, example: Example) -> None:
        """Writes what belongs to one picture."""
        put_jpeg(self.folder / "JPEGImages" / f"{example.name}.jpg", example.pixels)
        path = self.folder / "Annotations" / f"{example.name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(_annotation(example)).write(path, encoding="utf-8")
        numbers = np.minimum(example.numbered, MOST_OBJECTS)
        rim = maximum_filter(numbers, 3) != minimum_filter(numbers, 3)
        for name, values in (("SegmentationObject", numbers), ("SegmentationClass", np.minimum(numbers, 1))):
            put_classes(self.folder / name / f"{example.name}.png", np.where(rim, RIM, values), palette())
        self._names[example.side].append(example.name)

    def close(self) -> None:
        """Writes which pictures train and which ones validate."""
        both = {**self._names, "trainval": [name for names in self._names.values() for name in names]}
        for use in ("Main", "Segmentation"):
            sets = self.folder / "ImageSets" / use
            sets.mkdir(parents=True, exist_ok=True)
            for side, names in both.items():
                (sets / f"{side}.txt").write_text("".join(f"{name}\n" for name in names))
        (self.folder / "labels.txt").write_text("background\nbuilding\n")


def palette() -> NDArray[np.uint8]:
    """(256, 3): VOC's own colours, the bits of the number dealt out to red, green and blue."""
    numbers, colours = np.arange(256), np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((numbers >> channel) & 1) << (7 - bit)).astype(np.uint8)
        numbers >>= 3
    return colours


def _annotation(example: Example) -> ElementTree.Element:
    rows, columns = example.shape
    root = _element("annotation", folder="JPEGImages", filename=f"{example.name}.jpg", segmented="1")
    root.append(_element("source", database=example.attribution or "unknown"))
    root.append(_element("size", width=columns, height=rows, depth=3))
    for left, top, right, bottom in example.boxes:
        cut = left <= 0 or top <= 0 or right >= columns or bottom >= rows
        building = _element("object", name="building", pose="Unspecified", truncated=int(cut), difficult=0)
        box = (max(left, 0) + 1, max(top, 0) + 1, min(right, columns), min(bottom, rows))
        building.append(_element("bndbox", **dict(zip(("xmin", "ymin", "xmax", "ymax"), map(round, box), strict=True))))
        root.append(building)
    return root


def _element(tag: str, **children: object) -> ElementTree.Element:
    element = ElementTree.Element(tag)
    for name, value in children.items():
        ElementTree.SubElement(element, name).text = str(value)
    return element
