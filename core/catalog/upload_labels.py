"""The building footprints of an upload: checked against its image, kept as GeoJSON in longitude and latitude."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyproj
import shapely

from core.catalog import spacenet
from core.catalog.tile import Tile
from core.catalog.uploads import LabelFacts, Upload, called, change_tile, tidy
from core.errors import LabelsElsewhere, LabelsOfOthers, UnknownFootprintFormat
from core.exports.footprints import write_footprints
from core.grids import LONLAT, Grid, reproject
from core.labels import Labels
from core.vectors import Footprints, Repairs, read_footprints

FORMATS = (".geojson", ".json", ".csv")
#: Pixels a side from which on the built share is counted on a smaller copy.
_COUNTED = 4096
_WGS84 = pyproj.Geod(ellps="WGS84")


def put_labels(name: str, stream: BinaryIO, file: str) -> Upload:
    """Gives an upload labels from GeoJSON or SpaceNet CSV, in the place of those it had; an offset is set back to 0.

    Kept are the buildings that touch the image. Raises NoSuchUpload, UnknownFootprintFormat, LabelsElsewhere,
    LabelsOfOthers, DiskFull, CannotWrite, and what read_footprints raises; then the old labels stay.
    """
    upload, shown = Upload.find(name), tidy(file, "The file")
    suffix = Path(file).suffix.lower()
    if suffix not in FORMATS:
        raise UnknownFootprintFormat(name=shown, known=", ".join(FORMATS))
    with tempfile.NamedTemporaryFile(dir=upload.folder, prefix=".", suffix=suffix) as copy:
        shutil.copyfileobj(stream, copy, 2**20)
        copy.flush()
        with called(shown):
            found = _of_this_image(Path(copy.name), upload)
            labels = on_the_image(Path(copy.name), upload.grid, found)
    write_footprints(Footprints.of(labels.ground, labels.grid.crs), upload.folder / "labels.geojson", None)
    return _settle(replace(upload, labels=_facts(labels, found.repairs, 1 - upload.facts.nodata_share)))


def drop_labels(name: str) -> Upload:
    """Takes the labels of an upload away; raises NoSuchUpload."""
    upload = _settle(replace(Upload.find(name), labels=None))
    (upload.folder / "labels.geojson").unlink(missing_ok=True)
    return upload


def _settle(upload: Upload) -> Upload:
    upload.save()
    facts = upload.labels

    def changed(tile: Tile) -> Tile:
        return replace(
            tile, footprints=upload.footprints, buildings=facts.buildings if facts else None,
            built_share=facts.built_share if facts else None, repairs=facts.repairs if facts else "",
            offset_m=(0.0, 0.0),
        )  # fmt: skip

    change_tile(upload.id, changed)
    return upload


def _of_this_image(path: Path, upload: Upload) -> Footprints:
    """A table of several images is asked for the one the upload's file is named after."""
    found = read_footprints(path)
    if not any(found.images):
        return found
    stem = Path(upload.file).stem
    named = spacenet.parse(Path(upload.file))
    wanted = [image for image in found.images if image in (stem, named.tile if named else stem)]
    if not wanted and len(found.images) > 1:
        raise LabelsOfOthers(name=path, image=stem)
    return found.of_image((wanted or [*found.images])[0])


def on_the_image(path: Path, grid: Grid, found: Footprints) -> Labels:
    """The footprints that touch the ground of an image; raises LabelsElsewhere where there are some, but none does."""
    labels = Labels.of(grid, found)
    touching = shapely.intersects(labels.pixels, shapely.box(0, 0, grid.width, grid.height))
    if len(found) and not touching.any():
        raise LabelsElsewhere(name=path, found=len(found), distance=_distance(grid, found))
    return Labels(grid, labels.pixels[touching], labels.ground[touching])


def _distance(grid: Grid, found: Footprints) -> str:
    """From the middle of the image to the nearest footprint's middle, in words."""
    shapes = grid.to_ground(found.geometries) if found.crs is None else found.geometries
    middles = reproject(shapely.centroid(shapes), found.crs or grid.crs, LONLAT)
    lon, lat = shapely.get_x(middles), shapely.get_y(middles)
    here = grid.footprint.centroid
    _, _, metres = _WGS84.inv(np.full_like(lon, here.x), np.full_like(lat, here.y), lon, lat)
    nearest = float(np.nanmin(metres)) if np.isfinite(metres).any() else float("nan")
    return "somewhere else" if np.isnan(nearest) else f"{nearest / 1000:,.1f} km"


def _facts(labels: Labels, repairs: Repairs, valid: float) -> LabelFacts:
    grid = labels.grid
    shrink = max(1.0, max(grid.shape) / _COUNTED)
    coarse = grid.resized(max(1, round(grid.width / shrink)), max(1, round(grid.height / shrink)))
    built = Labels(coarse, coarse.to_pixels(labels.ground), labels.ground).built_share
    mended = str(repairs) if repairs != Repairs() else ""
    return LabelFacts(len(labels), min(1.0, built / valid) if valid else 0.0, mended)
