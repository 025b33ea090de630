"""Semantic Boundaries Dataset (SBD; Hariharan et al., ICCV 2011): JPEG images, classes and instances as .mat files."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.io import savemat
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.sparse import csc_matrix

from core.exports.datasets.images import save_jpeg
from core.exports.datasets.samples import ExportSample


@dataclass
class Sbd:
    """SBD writer: img/*.jpg, cls/*.mat with GTcls, inst/*.mat with GTinst, train.txt and val.txt."""

    folder: Path
    _names: dict[str, list[str]] = field(default_factory=lambda: {"train": [], "val": []}, init=False)

    def add(self, sample: ExportSample) -> None:
        """Save the image and its class and instance files."""
        save_jpeg(self.folder / "img" / f"{sample.name}.jpg", sample.pixels)
        instance_ids, present = sample.instance_mask, np.ones(len(sample.buildings), np.uint8)
        class_mask = (instance_ids > 0).astype(np.uint8)
        boundaries = csc_matrix(maximum_filter(instance_ids, 3) != minimum_filter(instance_ids, 3))
        instances = np.empty((len(present), 1), object)
        for n in range(len(present)):
            inside = instance_ids == n + 1
            instances[n, 0] = csc_matrix(inside & ~minimum_filter(inside, 3, mode="constant", cval=1))
        class_boundaries = np.empty((1, 1), object)
        class_boundaries[0, 0] = boundaries
        content = {
            "cls": ("GTcls", {
                "Segmentation": class_mask, "Boundaries": class_boundaries, "CategoriesPresent": present[:1],
            }),
            "inst": ("GTinst", {"Segmentation": instance_ids, "Boundaries": instances, "Categories": present[:, None]}),
        }  # fmt: skip
        for kind, (name, values) in content.items():
            path = self.folder / kind / f"{sample.name}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            savemat(path, {name: values}, do_compression=True)
        self._names[sample.split].append(sample.name)

    def close(self) -> None:
        """Write the lists of training and validation images, and the class names."""
        for split, names in self._names.items():
            (self.folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        (self.folder / "classes.txt").write_text("building\n")
