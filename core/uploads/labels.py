"""Labels of an upload: building footprints checked against its image and stored as GeoJSON."""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pyproj
import shapely

from core.catalog import spacenet_names
from core.catalog.register import MAX_OFFSET_M
from core.catalog.scan import count_buildings
from core.catalog.tile import Tile
from core.errors import LabelsOfOtherImages, LabelsOutsideImage, UnknownFootprintFormat
from core.geo.grid import LONLAT, Grid, reproject
from core.geo.vector import Footprints, Repairs, read_footprints
from core.geo.vector_writers import write_footprints
from core.labels.labels import Labels
from core.uploads.upload import LabelFacts, Upload, change_tile, clean_name, with_name

FORMATS = (".geojson", ".json", ".csv")
_WGS84 = pyproj.Geod(ellps="WGS84")


def save_labels(upload_id: str, stream: BinaryIO, file_name: str) -> Upload:
    """Replace the labels of an upload by footprints from GeoJSON or SpaceNet CSV, and reset the label offset.

    Footprints on the image are kept and counted; those around it that an offset may move onto it are kept as well. On
    an error the old labels stay.

    Args:
        upload_id: Id of the upload.
        stream: Content of the label file.
        file_name: Name of the label file.

    Returns:
        The updated upload.

    Raises:
        NoSuchUpload: There is no such upload.
        UnknownFootprintFormat: The file is neither GeoJSON nor CSV.
        LabelsOutsideImage: No footprint touches the image.
        LabelsOfOtherImages: The CSV has several images, none of which is this one.
        VectorError: The footprints cannot be read.
        DiskFull: The disk is full.
        CannotWrite: The labels cannot be written.
        CatalogError: The catalog is damaged or busy.
    """
    upload, display_name = Upload.find(upload_id), clean_name(file_name, "The file")
    suffix = Path(file_name).suffix.lower()
    if suffix not in FORMATS:
        raise UnknownFootprintFormat(name=display_name, known=", ".join(FORMATS))
    with TemporaryDirectory(dir=upload.folder, prefix=".") as temporary:
        copy, new_file = Path(temporary) / f"copy{suffix}", Path(temporary) / "labels.geojson"
        with copy.open("wb") as target:
            shutil.copyfileobj(stream, target, 2**20)
        with with_name(display_name):
            footprints = _select_image(copy, upload)
            labels = labels_near_image(copy, upload.grid, footprints)
        write_footprints(Footprints.of(labels.map_footprints, labels.grid.crs), new_file, None)
        # Reset the offset first: a kill in between must not apply the old offset to the new labels.
        change_tile(upload_id, lambda tile: replace(tile, offset_m=(0.0, 0.0)))
        new_file.replace(upload.folder / "labels.geojson")
    repairs = str(footprints.repairs) if footprints.repairs != Repairs() else ""
    facts = LabelFacts(*count_buildings(labels, 1 - upload.facts.nodata_share), repairs)
    return _save_with_tile(replace(upload, labels=facts))


def delete_labels(upload_id: str) -> Upload:
    """Delete the labels of an upload; raises NoSuchUpload."""
    upload = _save_with_tile(replace(Upload.find(upload_id), labels=None))
    (upload.folder / "labels.geojson").unlink(missing_ok=True)
    return upload


def _save_with_tile(upload: Upload) -> Upload:
    upload.save()
    labels = upload.labels

    def with_labels(tile: Tile) -> Tile:
        return replace(
            tile, footprints=upload.footprints, buildings=labels.buildings if labels else None,
            built_share=labels.built_share if labels else None, repairs=labels.repairs if labels else "",
            offset_m=(0.0, 0.0),
        )  # fmt: skip

    change_tile(upload.id, with_labels)
    return upload


def _select_image(path: Path, upload: Upload) -> Footprints:
    """Select the rows of the upload's image from a CSV of several images, by the file's name."""
    footprints = read_footprints(path)
    if not any(footprints.images):
        return footprints
    stem = Path(upload.file).stem
    parsed = spacenet_names.parse(Path(upload.file))
    matching = [image for image in footprints.images if image in (stem, parsed.tile if parsed else stem)]
    if not matching and len(footprints.images) > 1:
        raise LabelsOfOtherImages(name=path, image=stem)
    return footprints.of_image((matching or [*footprints.images])[0])


def labels_near_image(path: Path, grid: Grid, footprints: Footprints) -> Labels:
    """Select the footprints on the image and within MAX_OFFSET_M around it.

    Args:
        path: Label file, for the error message.
        grid: Grid of the image.
        footprints: Footprints of the label file.

    Raises:
        LabelsOutsideImage: There are footprints, but none touches the image.
    """
    labels = Labels.of(grid, footprints)
    if len(footprints) and not len(labels.near()):
        raise LabelsOutsideImage(name=path, found=len(footprints), distance=_format_distance(grid, footprints))
    return labels.near(MAX_OFFSET_M)


def _format_distance(grid: Grid, footprints: Footprints) -> str:
    """Format the distance from the image's center to the nearest footprint centroid."""
    shapes = grid.to_map(footprints.geometries) if footprints.crs is None else footprints.geometries
    centroids = reproject(shapely.centroid(shapes), footprints.crs or grid.crs, LONLAT)
    lon, lat = shapely.get_x(centroids), shapely.get_y(centroids)
    center = grid.footprint.centroid
    _, _, distances = _WGS84.inv(np.full_like(lon, center.x), np.full_like(lat, center.y), lon, lat)
    nearest = float(np.nanmin(distances)) if np.isfinite(distances).any() else float("nan")
    return "an unknown distance" if np.isnan(nearest) else f"{nearest / 1000:,.1f} km"
