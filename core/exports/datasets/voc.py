"""Pascal VOC 2012 dataset (Everingham et al., IJCV 2015): JPEG images, XML boxes, segmentation as palette PNGs.

As in the VOC development kit, box coordinates start at 1, and label 255 (void) marks object boundaries.
"""

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from core.exports.datasets.images import save_class_png, save_jpeg
from core.exports.datasets.samples import ExportSample

#: Maximum number of objects in a palette image: 0 is background, 255 is void.
MAX_OBJECTS = 254
VOID = 255


@dataclass
class Voc:
    """Pascal VOC writer: JPEGImages, Annotations, SegmentationClass, SegmentationObject, ImageSets, labels.txt."""

    folder: Path
    _names: dict[str, list[str]] = field(default_factory=lambda: {"train": [], "val": []}, init=False)

    def add(self, sample: ExportSample) -> None:
        """Save the image, its annotation and its segmentation."""
        save_jpeg(self.folder / "JPEGImages" / f"{sample.name}.jpg", sample.pixels)
        path = self.folder / "Annotations" / f"{sample.name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(_annotation(sample)).write(path, encoding="utf-8")
        instance_ids = np.minimum(sample.instance_mask, MAX_OBJECTS)
        is_boundary = maximum_filter(instance_ids, 3) != minimum_filter(instance_ids, 3)
        labels = {"SegmentationObject": instance_ids, "SegmentationClass": np.minimum(instance_ids, 1)}
        for name, values in labels.items():
            save_class_png(self.folder / name / f"{sample.name}.png", np.where(is_boundary, VOID, values), palette())
        self._names[sample.split].append(sample.name)

    def close(self) -> None:
        """Write the image sets and the class names."""
        all_sets = {**self._names, "trainval": [name for names in self._names.values() for name in names]}
        for use in ("Main", "Segmentation"):
            sets = self.folder / "ImageSets" / use
            sets.mkdir(parents=True, exist_ok=True)
            for split, names in all_sets.items():
                (sets / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        (self.folder / "labels.txt").write_text("background\nbuilding\n")


def palette() -> NDArray[np.uint8]:
    """Color map of Pascal VOC: the bits of the class number distributed over red, green and blue.

    Returns:
        (256, 3) uint8.
    """
    numbers, colors = np.arange(256), np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((numbers >> channel) & 1) << (7 - bit)).astype(np.uint8)
        numbers >>= 3
    return colors


def _annotation(sample: ExportSample) -> ElementTree.Element:
    rows, columns = sample.shape
    root = _element("annotation", folder="JPEGImages", filename=f"{sample.name}.jpg", segmented="1")
    root.append(_element("source", database=sample.attribution or "unknown"))
    root.append(_element("size", width=columns, height=rows, depth=3))
    for left, top, right, bottom in sample.boxes:
        is_truncated = left <= 0 or top <= 0 or right >= columns or bottom >= rows
        building = _element("object", name="building", pose="Unspecified", truncated=int(is_truncated), difficult=0)
        box = (max(left, 0) + 1, max(top, 0) + 1, min(right, columns), min(bottom, rows))
        building.append(_element("bndbox", **dict(zip(("xmin", "ymin", "xmax", "ymax"), map(round, box), strict=True))))
        root.append(building)
    return root


def _element(tag: str, **children: object) -> ElementTree.Element:
    element = ElementTree.Element(tag)
    for name, value in children.items():
        ElementTree.SubElement(element, name).text = str(value)
    return element
