"""Ingest a GeoTIFF: convert it to a cloud-optimized GeoTIFF (COG) and add its tile to the catalog."""

import shutil
from dataclasses import replace
from pathlib import Path

from core.catalog import spacenet_names
from core.catalog.store import update_catalog
from core.catalog.tile import Tile
from core.errors import NoSuchPath, SingleImageOnly
from core.geo.cog import make_cog
from core.progress import Report, silent
from core.types import GsdRange
from core.uploads.inbox import SUFFIXES
from core.uploads.labels import save_labels
from core.uploads.upload import Upload, clean_name, create_upload, delete_abandoned, new_folder, with_name
from core.uploads.validation import Georeference

#: Shares of the progress once the image is validated, and once the COG is written.
_VALIDATED, _CONVERTED = 0.2, 0.98


def ingest(
    path: Path, labels: Path | None = None, georeference: Georeference | None = None, name: str = "",
    attribution: str = "", report: Report = silent, trained_gsd: GsdRange | None = None,
) -> Tile:  # fmt: skip
    """Add a GeoTIFF of any size on this machine to the catalog; the source file stays unchanged.

    On an error or a stop neither files nor a catalog row remain.

    Args:
        path: GeoTIFF.
        labels: Building footprints, GeoJSON or SpaceNet CSV.
        georeference: Georeference to use if the file has none.
        name: Display name; the file's name if empty.
        attribution: Credit of the image.
        report: Called with the progress.
        trained_gsd: Range of ground sampling distances [m] of the trained runs, for a note.

    Raises:
        NoSuchPath: The label file does not exist.
        GroundplanError: What `validate_image`, `save_labels`, `make_cog` and `update_catalog` raise.
    """
    if labels is not None and not labels.is_file():
        raise NoSuchPath(name=labels)
    delete_abandoned()
    with new_folder() as folder:
        upload = create_upload(
            folder.name,
            path.name,
            path,
            georeference,
            lambda share, doing: report(_VALIDATED * share, doing),
            trained_gsd,
        )
        display_name, credit = clean_name(name, upload.name), attribution or upload.attribution
        replace(upload, name=display_name, attribution=credit).save()
        if labels is not None:
            with labels.open("rb") as stream:
                save_labels(upload.id, stream, labels.name)
        return add(upload.id, lambda share, doing: report(_VALIDATED + (1 - _VALIDATED) * share, doing))


def is_one_image(path: Path, *options: object) -> bool:
    """Tell whether a path is a single GeoTIFF to ingest: outside the SpaceNet layouts, or with options given.

    Raises SingleImageOnly if options are given for anything else.
    """
    is_image = path.is_file() and path.suffix.lower() in SUFFIXES
    if any(options) and not is_image:
        raise SingleImageOnly(name=path, options="Labels, georeference and name")
    return is_image and (any(options) or spacenet_names.parse(path) is None)


def add(upload_id: str, report: Report = silent) -> Tile:
    """Write the COG of an upload and add its tile to the catalog; can be called again after a stop.

    Raises NoSuchUpload, and what `make_cog` and `update_catalog` raise; then the catalog is unchanged.
    """
    upload = Upload.find(upload_id)
    for leftover in upload.folder.glob(".*"):  # of an attempt that was killed
        shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    if not upload.image.exists():
        with with_name(upload.file):
            make_cog(
                Path(upload.source), upload.image, upload.grid, lambda share, doing: report(_CONVERTED * share, doing)
            )
    grid = upload.grid
    # Read upload.json again under the lock: name and labels may have changed while the COG was written.
    updated = update_catalog(lambda catalog: catalog.with_tiles([Upload.find(upload_id).tile(grid)]))
    upload.original.unlink(missing_ok=True)
    report(1.0, "Added to the map")
    return updated.tile(upload_id)
