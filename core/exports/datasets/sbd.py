"""Semantic Boundaries Dataset (Hariharan et al., ICCV 2011): JPEG pictures, classes and instances in MATLAB files."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.io import savemat
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.sparse import csc_matrix

from core.exports.datasets.images import put_jpeg
from core.exports.datasets.samples import Example


@dataclass
class Sbd:
    """img/*.jpg, cls/*.mat with GTcls, inst/*.mat with GTinst, train.txt and val.txt."""

    folder: Path
    _names: dict[str, list[str]] = field(default_factory=lambda: {"train": [], "val": []}, init=False)

    def add(self, example: Example) -> None:
        """Writes what belongs to one picture."""
        put_jpeg(self.folder / "img" / f"{example.name}.jpg", example.pixels)
        numbers, present = example.numbered, np.ones(len(example.buildings), np.uint8)
        built = (numbers > 0).astype(np.uint8)
        edges = csc_matrix(maximum_filter(numbers, 3) != minimum_filter(numbers, 3))
        each = np.empty((len(present), 1), object)
        for n in range(len(present)):
            each[n, 0] = csc_matrix(_edge(numbers == n + 1))
        of_class = np.empty((1, 1), object)
        of_class[0, 0] = edges
        content = {
            "cls": ("GTcls", {"Segmentation": built, "Boundaries": of_class, "CategoriesPresent": present[:1]}),
            "inst": ("GTinst", {"Segmentation": numbers, "Boundaries": each, "Categories": present[:, None]}),
        }
        for kind, (name, values) in content.items():
            path = self.folder / kind / f"{example.name}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            savemat(path, {name: values}, do_compression=True)
        self._names[example.side].append(example.name)

    def close(self) -> None:
        """Writes which pictures train and which ones validate."""
        for side, names in self._names.items():
            (self.folder / f"{side}.txt").write_text("".join(f"{name}\n" for name in names))
        (self.folder / "classes.txt").write_text("building\n")


def _edge(inside: np.ndarray) -> np.ndarray:
    """The pixels of a shape that touch what lies outside of it."""
    return np.asarray(inside & ~minimum_filter(inside, 3, mode="constant", cval=1))
