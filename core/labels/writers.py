"""The labels of a tile as files: outlines, building mask, signed distance, boundary and contact."""

from pathlib import Path

import numpy as np

from core.atomic_files import replacing
from core.geo.raster import Raster, write
from core.geo.vector import Footprints
from core.geo.vector_writers import Origin, write_footprints
from core.labels.labels import Labels

#: What each file is called and holds.
FILES = {
    "outlines.csv": "outlines in pixels (SpaceNet CSV)",
    "outlines.geojson": "outlines in longitude and latitude",
    "mask.tif": "building mask (uint8, 0 and 255)",
    "distance.tif": "signed distance (float32, m)",
    "distance.npy": "signed distance (NumPy, m)",
    "boundary.tif": "boundary mask (uint8)",
    "contact.tif": "contact mask (uint8)",
}


def write_label(labels: Labels, file: str, folder: Path, image: str, attribution: str = "") -> Path:
    """One of FILES as `<image>_<file>` in a folder; masks are LZW with no-data 0, the distance is deflate with
    predictor 3 and has no no-data.

    GeoTIFF carries the attribution as TIFFTAG_COPYRIGHT, GeoJSON as a member; CSV and NumPy have no place for it.
    """
    path = folder / f"{Path(image).name}_{file}"
    match file:
        case "outlines.csv":
            return write_footprints(labels.outlines(image), path, labels.grid, Origin(image, licence=attribution))
        case "outlines.geojson":
            ground = Footprints.of(labels.ground, labels.grid.crs)
            return write_footprints(ground, path, labels.grid, Origin(image, licence=attribution))
        case "distance.tif":
            return write(path, Raster(labels.distance[None], labels.grid), attribution)
        case "distance.npy":
            with replacing(path) as part, part.open("wb") as stream:
                np.save(stream, labels.distance)
            return path
        case _:
            mask = getattr(labels, file.removesuffix(".tif"))
            return write(path, Raster(mask[None], labels.grid, nodata=0), attribution)


def write_labels(labels: Labels, folder: Path, image: str, attribution: str = "") -> tuple[Path, ...]:
    """All of FILES."""
    return tuple(write_label(labels, file, folder, image, attribution) for file in FILES)
