"""The building footprints of an upload: checked against its image, kept as GeoJSON in longitude and latitude."""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pyproj
import shapely

from core.catalog import spacenet_names
from core.catalog.register import FARTHEST_M
from core.catalog.scan import count_buildings
from core.catalog.tile import Tile
from core.errors import LabelsElsewhere, LabelsOfOthers, UnknownFootprintFormat
from core.geo.grid import LONLAT, Grid, reproject
from core.geo.vector import Footprints, Repairs, read_footprints
from core.geo.vector_writers import write_footprints
from core.labels.labels import Labels
from core.uploads.upload import LabelFacts, Upload, called, change_tile, tidy

FORMATS = (".geojson", ".json", ".csv")
_WGS84 = pyproj.Geod(ellps="WGS84")


def put_labels(name: str, stream: BinaryIO, file: str) -> Upload:
    """Gives an upload labels from GeoJSON or SpaceNet CSV, in the place of those it had; an offset is set back to 0.

    Kept are the buildings that touch the image or can be moved onto it; those that touch it are counted. Raises
    NoSuchUpload, UnknownFootprintFormat, LabelsElsewhere, LabelsOfOthers, DiskFull, CannotWrite, what read_footprints
    raises, and what changing the catalogue does; then the old labels stay.
    """
    upload, shown = Upload.find(name), tidy(file, "The file")
    suffix = Path(file).suffix.lower()
    if suffix not in FORMATS:
        raise UnknownFootprintFormat(name=shown, known=", ".join(FORMATS))
    with TemporaryDirectory(dir=upload.folder, prefix=".") as scratch:
        copy, fresh = Path(scratch) / f"copy{suffix}", Path(scratch) / "labels.geojson"
        with copy.open("wb") as out:
            shutil.copyfileobj(stream, out, 2**20)
        with called(shown):
            found = _of_this_image(copy, upload)
            labels = around_the_image(copy, upload.grid, found)
        write_footprints(Footprints.of(labels.ground, labels.grid.crs), fresh, None)
        # The offset goes first: a kill in between must not leave new labels moved as the old ones were.
        change_tile(name, lambda tile: replace(tile, offset_m=(0.0, 0.0)))
        fresh.replace(upload.folder / "labels.geojson")
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
    named = spacenet_names.parse(Path(upload.file))
    wanted = [image for image in found.images if image in (stem, named.tile if named else stem)]
    if not wanted and len(found.images) > 1:
        raise LabelsOfOthers(name=path, image=stem)
    return found.of_image((wanted or [*found.images])[0])


def around_the_image(path: Path, grid: Grid, found: Footprints) -> Labels:
    """The footprints on the image and as far around it as labels can be moved.

    Raises LabelsElsewhere where there are some, but none touches the image.
    """
    labels = Labels.of(grid, found)
    if len(found) and not len(labels.near()):
        raise LabelsElsewhere(name=path, found=len(found), distance=_distance(grid, found))
    return labels.near(FARTHEST_M)


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
    return LabelFacts(*count_buildings(labels, valid), str(repairs) if repairs != Repairs() else "")
