"""COCO dataset (Lin et al., ECCV 2014): PNG images, and a JSON file of instance annotations per split.

Polygons with holes are stored as run-length encoding (RLE); https://cocodataset.org/#format-data.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.exports.datasets.images import save_png
from core.exports.datasets.samples import ExportSample

_CATEGORY = {"id": 1, "name": "building", "supercategory": "structure"}


@dataclass
class Coco:
    """COCO writer: images/<split>/*.png and annotations/instances_<split>.json."""

    folder: Path
    _splits: dict[str, dict[str, list[Any]]] = field(default_factory=dict, init=False)
    _licenses: list[str] = field(default_factory=list, init=False)

    def add(self, sample: ExportSample) -> None:
        """Save the image and collect its annotations."""
        split = self._splits.setdefault(sample.split, {"images": [], "annotations": []})
        save_png(self.folder / "images" / sample.split / f"{sample.name}.png", sample.pixels)
        number = sum(len(content_of_split["images"]) for content_of_split in self._splits.values()) + 1
        rows, columns = sample.shape
        if sample.attribution not in self._licenses:
            self._licenses.append(sample.attribution)
        license_id = self._licenses.index(sample.attribution) + 1
        split["images"].append(
            {"id": number, "file_name": f"{sample.name}.png", "height": rows, "width": columns, "license": license_id}
        )
        first = sum(len(content_of_split["annotations"]) for content_of_split in self._splits.values()) + 1
        for n, building in enumerate(sample.buildings):
            split["annotations"].append({"id": first + n, "image_id": number, **_annotation(building, sample.shape)})

    def close(self) -> None:
        """Write the annotation files."""
        licenses = [{"id": n + 1, "name": name, "url": ""} for n, name in enumerate(self._licenses)]
        info = {"description": "Building footprints, exported by Groundplan"}
        for split, content in self._splits.items():
            path = self.folder / "annotations" / f"instances_{split}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            document = {"info": info, "licenses": licenses, "categories": [_CATEGORY], **content}
            path.write_bytes(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def _annotation(building: shapely.Polygon, shape: tuple[int, int]) -> dict[str, Any]:
    left, top, right, bottom = building.bounds
    ring = np.asarray(building.exterior.coords)[:-1, :2]
    segmentation = _run_lengths(building, shape) if building.interiors else [ring.round(2).ravel().tolist()]
    return {
        "category_id": 1, "iscrowd": 0, "area": building.area, "segmentation": segmentation,
        "bbox": [left, top, right - left, bottom - top],
    }  # fmt: skip


def _run_lengths(building: shapely.Polygon, shape: tuple[int, int]) -> dict[str, Any]:
    """Uncompressed RLE of a polygon: run lengths in column-major order, starting with background."""
    mask: NDArray[np.uint8] = rasterize([building], shape, dtype="uint8")
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = np.concatenate([[0] if flat[0] == 0 else [0, 0], changes, [len(flat)]])
    return {"size": list(shape), "counts": np.diff(ends).tolist()}
