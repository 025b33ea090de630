"""COCO (Lin et al., ECCV 2014): PNG pictures, and a JSON of boxes, areas and outlines for each side.

Outlines with holes are run lengths, which COCO has beside polygons; https://cocodataset.org/#format-data.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.exports.datasets.images import put_png
from core.exports.datasets.samples import Example

_CATEGORY = {"id": 1, "name": "building", "supercategory": "structure"}


@dataclass
class Coco:
    """images/<side>/*.png and annotations/instances_<side>.json."""

    folder: Path
    _sides: dict[str, dict[str, list[Any]]] = field(default_factory=dict, init=False)
    _licences: list[str] = field(default_factory=list, init=False)

    def add(self, example: Example) -> None:
        """Writes the picture and remembers its buildings."""
        side = self._sides.setdefault(example.side, {"images": [], "annotations": []})
        put_png(self.folder / "images" / example.side / f"{example.name}.png", example.pixels)
        number = sum(len(one["images"]) for one in self._sides.values()) + 1
        rows, columns = example.shape
        licence = self._licence(example.attribution)
        side["images"].append(
            {"id": number, "file_name": f"{example.name}.png", "height": rows, "width": columns, "license": licence}
        )
        first = sum(len(one["annotations"]) for one in self._sides.values()) + 1
        for n, building in enumerate(example.buildings):
            side["annotations"].append({"id": first + n, "image_id": number, **_annotation(building, example.shape)})

    def close(self) -> None:
        """Writes the annotations."""
        licences = [{"id": n + 1, "name": name, "url": ""} for n, name in enumerate(self._licences)]
        info = {"description": "Building footprints, exported by Groundplan"}
        for side, content in self._sides.items():
            path = self.folder / "annotations" / f"instances_{side}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            document = {"info": info, "licenses": licences, "categories": [_CATEGORY], **content}
            path.write_bytes(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))

    def _licence(self, attribution: str) -> int:
        if attribution not in self._licences:
            self._licences.append(attribution)
        return self._licences.index(attribution) + 1


def _annotation(building: shapely.Polygon, shape: tuple[int, int]) -> dict[str, Any]:
    left, top, right, bottom = building.bounds
    outline = _runs(building, shape) if building.interiors else [_ring(building)]
    return {
        "category_id": 1, "iscrowd": 0, "area": building.area, "segmentation": outline,
        "bbox": [left, top, right - left, bottom - top],
    }  # fmt: skip


def _ring(building: shapely.Polygon) -> list[float]:
    xy = np.asarray(building.exterior.coords)[:-1, :2]
    return [float(value) for value in xy.round(2).ravel()]


def _runs(building: shapely.Polygon, shape: tuple[int, int]) -> dict[str, Any]:
    """Run lengths down the columns, beginning with those outside."""
    mask: NDArray[np.uint8] = rasterize([building], shape, dtype="uint8")
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    ends = np.concatenate([[0] if flat[0] == 0 else [0, 0], changes, [len(flat)]])
    return {"size": list(shape), "counts": np.diff(ends).tolist()}
