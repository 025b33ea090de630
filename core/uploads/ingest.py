"""From an image that somebody brought to a tile on the map: the COG is made, then the catalogue has it or has not."""

import shutil
from dataclasses import replace
from pathlib import Path

from core.catalog import spacenet_names
from core.catalog.store import update_catalog
from core.catalog.tile import Tile
from core.errors import NoSuchPath, OnlyForOneImage
from core.geo.cog import make_cog
from core.progress import Report, silent
from core.types import GsdRange
from core.uploads.inbox import SUFFIXES
from core.uploads.labels import put_labels
from core.uploads.upload import Upload, called, described, forget, new_folder, tidy
from core.uploads.validation import Place

#: Shares of the progress at which the checks and the COG are done.
_CHECKED, _MADE = 0.2, 0.98


def take_in(
    path: Path, labels: Path | None = None, place: Place | None = None, name: str = "", attribution: str = "",
    report: Report = silent, trained_gsd: GsdRange | None = None,
) -> Tile:  # fmt: skip
    """A GeoTIFF of any size on this machine as a tile of the catalogue; the file stays where it is.

    Raises what `check`, `put_labels` and `make_cog` raise; then, as on a stop, nothing is left of it, and nothing in
    the catalogue.
    """
    if labels is not None and not labels.is_file():
        raise NoSuchPath(name=labels)
    forget()
    with new_folder() as folder:
        upload = described(
            folder.name, path.name, path, place, lambda share, doing: report(_CHECKED * share, doing), trained_gsd
        )
        title, owner = tidy(name, upload.name), attribution or upload.attribution
        replace(upload, name=title, attribution=owner).save()
        if labels is not None:
            with labels.open("rb") as stream:
                put_labels(upload.id, stream, labels.name)
        return add(upload.id, lambda share, doing: report(_CHECKED + (1 - _CHECKED) * share, doing))


def is_one_image(path: Path, *options: object) -> bool:
    """Whether a path is a GeoTIFF to be taken in by itself: its name is in no SpaceNet layout, or it has options.

    Raises OnlyForOneImage where there are options and the path is something else.
    """
    is_image = path.is_file() and path.suffix.lower() in SUFFIXES
    if any(options) and not is_image:
        raise OnlyForOneImage(name=path, options="Labels, a place and a name")
    return is_image and (any(options) or spacenet_names.parse(path) is None)


def add(name: str, report: Report = silent) -> Tile:
    """Makes the COG of an upload and puts its tile into the catalogue; may be called again after it was stopped.

    Raises NoSuchUpload, and what make_cog and update_catalog raise; then the catalogue is as it was.
    """
    upload = Upload.find(name)
    _clear(upload.folder)
    if not upload.image.exists():
        with called(upload.file):
            make_cog(Path(upload.source), upload.image, upload.grid, lambda share, doing: report(_MADE * share, doing))
    grid = upload.grid
    # Read again within the lock: name and labels may have changed while the pixels were copied.
    changed = update_catalog(lambda catalog: catalog.adding([Upload.find(name).tile(grid)]))
    upload.original.unlink(missing_ok=True)
    report(1.0, "on the map")
    return changed.tile(name)


def _clear(folder: Path) -> None:
    """Removes what an attempt that was killed has left."""
    for left in folder.glob(".*"):
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
