"""Label export: outlines, building mask, signed distance, boundary and contact masks as files."""

from pathlib import Path

import numpy as np

from core.atomic_files import atomic_write
from core.geo.raster import Raster, write
from core.geo.vector import Footprints
from core.geo.vector_writers import Provenance, write_footprints
from core.labels.labels import Labels

#: Names and contents of the files.
FILES = {
    "outlines.csv": "Footprint outlines, pixel coordinates (SpaceNet CSV)",
    "outlines.geojson": "Footprint outlines, longitude and latitude (GeoJSON)",
    "mask.tif": "Building mask (GeoTIFF, uint8, 0 and 255)",
    "distance.tif": "Signed distance (GeoTIFF, float32, m)",
    "distance.npy": "Signed distance (NumPy, float32, m)",
    "boundary.tif": "Building edges (GeoTIFF, uint8)",
    "contact.tif": "Gaps between adjacent buildings (GeoTIFF, uint8)",
}


def write_label(labels: Labels, file: str, folder: Path, image: str, attribution: str = "") -> Path:
    """Write one label of a tile as `<image>_<file>`.

    Masks are LZW with no-data 0; the distance is deflate with predictor 3, without no-data.

    Args:
        labels: Labels of the tile.
        file: Key of FILES.
        folder: Folder of the file.
        image: ImageId of the tile.
        attribution: TIFFTAG_COPYRIGHT of a GeoTIFF or a member of GeoJSON; CSV and NumPy have no field for it.

    Returns:
        Path of the file.
    """
    path = folder / f"{Path(image).name}_{file}"
    match file:
        case "outlines.csv":
            return write_footprints(labels.outlines(image), path, labels.grid, Provenance(image, licence=attribution))
        case "outlines.geojson":
            footprints = Footprints.of(labels.map_footprints, labels.grid.crs)
            return write_footprints(footprints, path, labels.grid, Provenance(image, licence=attribution))
        case "distance.tif":
            return write(path, Raster(labels.distance[None], labels.grid), attribution)
        case "distance.npy":
            with atomic_write(path) as temporary, temporary.open("wb") as stream:
                np.save(stream, labels.distance)
            return path
        case _:
            masks = {"mask.tif": "mask", "boundary.tif": "boundary_mask", "contact.tif": "contact_mask"}
            mask = getattr(labels, masks[file])
            return write(path, Raster(mask[None], labels.grid, nodata=0), attribution)


def write_labels(labels: Labels, folder: Path, image: str, attribution: str = "") -> tuple[Path, ...]:
    """Write all labels of a tile, see write_label.

    Args:
        labels: Labels of the tile.
        folder: Folder of the files.
        image: ImageId of the tile.
        attribution: Attribution of the labels.
    """
    return tuple(write_label(labels, file, folder, image, attribution) for file in FILES)
