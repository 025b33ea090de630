"""Uploads: one folder per image that a person adds, with its metadata, the image as a COG, and its labels.

    uploads/upload_<16 hex digits>/
        upload.json      name, source file, georeference and image metadata (`Upload`)
        original.tif     the uploaded file; deleted once the COG exists
        image.tif        the COG
        labels.geojson   building footprints in longitude and latitude, optional

Folder names are generated, never taken from a file name. An upload is a tile once it is in the catalog.
"""

import re
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

import orjson

from core.atomic_files import atomic_write
from core.catalog import spacenet_names
from core.catalog.store import Catalog, read_catalog, update_catalog
from core.catalog.tile import Tile
from core.compat import from_stored, to_stored
from core.errors import (
    CannotWrite,
    NoSuchUpload,
    RasterError,
    UploadBusy,
    UploadTooLarge,
    VectorError,
)
from core.geo import raster
from core.geo.grid import Grid
from core.jobs.queue import Job, Queue
from core.progress import Report, silent
from core.settings import settings
from core.types import GsdRange
from core.uploads.validation import Georeference, ImageFacts, grid_of, validate_image

AOI = "Uploads"
#: Age at which a folder without a job and a tile is deleted [s].
ABANDONED_AFTER_S = 86_400.0
MAX_NAME_LENGTH = 80
_ID = re.compile(r"upload_[0-9a-f]{16}")


@dataclass(frozen=True)
class LabelFacts:
    """Metadata of an upload's labels."""

    buildings: int
    built_share: float  #: share of the valid area, 0 to 1
    repairs: str = ""


@dataclass(frozen=True)
class Upload:
    """Metadata of an uploaded image, stored as upload.json."""

    id: str  #: also the name of its folder and the id of its tile
    name: str  #: display name
    file: str  #: name of the uploaded file
    source: str  #: path of the original GeoTIFF
    facts: ImageFacts
    georeference: Georeference = field(default_factory=Georeference)  #: entered by a person
    attribution: str = ""
    labels: LabelFacts | None = None
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    @classmethod
    def find(cls, upload_id: str) -> "Upload":
        """Read the upload of an id; raises NoSuchUpload."""
        folder = _folder(upload_id)
        try:
            values = from_stored(cls, orjson.loads((folder / "upload.json").read_bytes()))
            edges = values["georeference"]["edges"]
            nested = {
                "facts": ImageFacts(**values["facts"] | {"notes": tuple(values["facts"]["notes"])}),
                "georeference": Georeference(values["georeference"]["epsg"], tuple(edges) if edges else None),
                "labels": LabelFacts(**values["labels"]) if values["labels"] else None,
            }
            return cls(**values | nested)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NoSuchUpload(upload=clean_name(upload_id)) from error

    @property
    def folder(self) -> Path:
        """Folder of the upload's files."""
        return _folder(self.id)

    @property
    def original(self) -> Path:
        """The uploaded file, until the COG exists."""
        return self.folder / "original.tif"

    @property
    def image(self) -> Path:
        """The COG, once it is written."""
        return self.folder / "image.tif"

    @property
    def footprints(self) -> Path | None:
        """Label file, if the upload has labels."""
        return self.folder / "labels.geojson" if self.labels else None

    @property
    def grid(self) -> Grid:
        """Grid of the image; raises what opening raises."""
        if self.image.exists():
            return raster.read_info(self.image).grid
        with raster.open_raster(Path(self.source)) as dataset:
            return grid_of(Path(self.source), dataset, self.georeference)

    def save(self) -> "Upload":
        """Write upload.json; raises DiskFull, CannotWrite."""
        with atomic_write(self.folder / "upload.json") as partial:
            partial.write_bytes(orjson.dumps(to_stored(self), option=orjson.OPT_INDENT_2))
        return self

    def tile(self, grid: Grid) -> Tile:
        """Build the catalog row of the upload."""
        facts, labels = self.facts, self.labels
        return Tile(
            # Eight bands are assumed to be WorldView's, so that networks that need the eighth accept the tile.
            id=self.id, aoi=AOI, products={"8band" if facts.bands == 8 else "image": self.image},
            footprints=self.footprints, footprint=grid.footprint, width=grid.width, height=grid.height,
            bands=facts.bands, dtype=facts.dtype, crs=grid.crs.to_string(), gsd_m=grid.gsd_m,
            buildings=labels.buildings if labels else None, built_share=labels.built_share if labels else None,
            nodata_share=facts.nodata_share, repairs=labels.repairs if labels else "", attribution=self.attribution,
            name=self.name,
        )  # fmt: skip


def clean_name(text: str, default: str = "Upload") -> str:
    """Clean a name: no control, direction or other invisible characters, one line of at most MAX_NAME_LENGTH."""
    printable = "".join(
        character if unicodedata.category(character)[0] != "C" else " " for character in text[: 10 * MAX_NAME_LENGTH]
    )
    return " ".join(printable.split())[:MAX_NAME_LENGTH].strip() or default


def _folder(upload_id: str) -> Path:
    if not _ID.fullmatch(upload_id):
        raise NoSuchUpload(upload=clean_name(upload_id))
    return settings().uploads / upload_id


@contextmanager
def with_name(name: str) -> Iterator[None]:
    """Let errors about a file show its original name instead of its name in the upload folder."""
    try:
        yield
    except (RasterError, VectorError) as error:
        raise type(error)(**{**error.facts, "name": name}) from error


@contextmanager
def new_folder() -> Iterator[Path]:
    """Create an upload folder with a random name; on an error or a stop it is deleted again, with its tile.

    Raises CannotWrite.
    """
    folder = settings().uploads / f"upload_{token_hex(8)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise CannotWrite(name=folder, detail=error.strerror) from error
    with ExitStack() as cleanup:
        cleanup.callback(_remove, folder)
        yield folder
        cleanup.pop_all()


def receive(
    stream: BinaryIO, file_name: str, georeference: Georeference | None = None, report: Report = silent,
    trained_gsd: GsdRange | None = None,
) -> Upload:  # fmt: skip
    """Validate an uploaded image and store it in a new folder; `core.uploads.ingest.add` makes a tile of it.

    On an error nothing of it remains.

    Args:
        stream: Content of the GeoTIFF; read from its beginning.
        file_name: Name of the uploaded file.
        georeference: Georeference to use if the file has none.
        report: Called with the progress.
        trained_gsd: Range of ground sampling distances [m] of the trained runs, for a note.

    Raises:
        UploadTooLarge: The file is larger than the limit.
        RasterError: The image is not valid, see `validate_image`.
        DiskFull: The disk is full.
        CannotWrite: The file cannot be written.
    """
    delete_abandoned()
    display_name = clean_name(file_name, "The file")
    _check_size(stream, display_name)
    raster.check_magic(stream.read(raster.MAGIC_BYTES), display_name)
    stream.seek(0)
    with new_folder() as folder, with_name(display_name):
        original = folder / "original.tif"
        with atomic_write(original) as partial, partial.open("wb") as copy:
            shutil.copyfileobj(stream, copy, 2**20)
        return create_upload(folder.name, file_name, original, georeference, report, trained_gsd)


def _check_size(stream: BinaryIO, name: str) -> None:
    limit, size = settings().max_upload_bytes, stream.seek(0, 2)
    stream.seek(0)
    if size > limit:
        raise UploadTooLarge(
            name=name, size=f"{size / 1e6:.0f} MB", limit=f"{limit / 1e6:.0f} MB", inbox=str(settings().inbox)
        )


def create_upload(
    upload_id: str, file_name: str, source: Path, georeference: Georeference | None, report: Report = silent,
    trained_gsd: GsdRange | None = None,
) -> Upload:  # fmt: skip
    """Validate an image and save its upload.json.

    Args:
        upload_id: Id of the upload, whose folder exists.
        file_name: Name of the uploaded file.
        source: Path of the GeoTIFF.
        georeference: Georeference to use if the file has none.
        report: Called with the progress.
        trained_gsd: Range of ground sampling distances [m] of the trained runs, for a note.

    Raises:
        RasterError: The image is not valid, see `validate_image`.
        DiskFull: The disk is full.
        CannotWrite: The file cannot be written.
    """
    facts = validate_image(source, georeference, report, trained_gsd)
    parsed = spacenet_names.parse(Path(clean_name(file_name)))
    attribution = spacenet_names.attribution(parsed.aoi) if parsed else ""
    display_name = clean_name(Path(file_name).stem)
    upload = Upload(
        id=upload_id, name=display_name, file=clean_name(file_name), source=str(source.absolute()), facts=facts,
        georeference=georeference or Georeference(), attribution=attribution,
    )  # fmt: skip
    return upload.save()


def upload_jobs() -> dict[str, Job]:
    """Latest ingest job of every upload, by upload id."""
    jobs = Queue(settings().queue).jobs(limit=10_000, task="upload")
    return {job.params["upload"]: job for job in reversed(jobs) if "upload" in job.params}


def uploads() -> list[Upload]:
    """List all uploads, newest first, including those without a tile."""
    uploads_on_disk = []
    for folder in settings().uploads.glob("upload_*"):
        with suppress(NoSuchUpload):
            uploads_on_disk.append(Upload.find(folder.name))
    return sorted(uploads_on_disk, key=lambda upload: (upload.created, upload.id), reverse=True)


def rename(upload_id: str, name: str) -> Upload:
    """Change the display name of an upload; raises NoSuchUpload."""
    upload = Upload.find(upload_id)
    upload = replace(upload, name=clean_name(name, upload.name)).save()
    change_tile(upload_id, lambda tile: replace(tile, name=upload.name))
    return upload


def change_tile(upload_id: str, change: Callable[[Tile], Tile]) -> None:
    """Apply a change to the catalog row of an upload, if it has one."""

    def apply(catalog: Catalog) -> Catalog:
        for tile in catalog.named([upload_id]):
            return catalog.with_tile(change(tile))
        return catalog

    if read_catalog().named([upload_id]):
        update_catalog(apply)


def delete(upload_id: str) -> None:
    """Delete an upload with its tile, predictions and files; raises NoSuchUpload, UploadBusy.

    Works for a tile whose folder was deleted by hand as well.
    """
    folder = _folder(upload_id)
    for job in Queue(settings().queue).jobs(limit=10_000):
        if job.state.is_over:
            continue
        if upload_id in (job.params.get("upload"), job.params.get("tile"), *job.params.get("tiles", ())):
            [title] = [tile.title for tile in read_catalog().named([upload_id])] or [Upload.find(upload_id).name]
            raise UploadBusy(name=title, job=clean_name(job.title))
    _remove(folder)


def _remove(folder: Path) -> None:
    """Delete catalog row, predictions and files; the row first, so that no tile without files can remain."""
    upload_id = folder.name
    if read_catalog().named([upload_id]):
        update_catalog(lambda catalog: catalog.without(upload_id))
    for prediction in settings().predictions.glob(f"*/{upload_id}"):
        shutil.rmtree(prediction, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def delete_abandoned() -> None:
    """Delete folders older than ABANDONED_AFTER_S that have neither a tile nor a job: the upload was not confirmed.

    Folders with a COG stay: their tile was removed from the catalog on purpose.
    """
    used_ids = upload_jobs().keys() | {tile.id for tile in read_catalog().of_aoi(AOI).tiles}
    for folder in settings().uploads.glob("upload_*"):
        is_used = folder.name in used_ids or (folder / "image.tif").exists()
        if not is_used and time.time() - folder.stat().st_mtime > ABANDONED_AFTER_S:
            shutil.rmtree(folder, ignore_errors=True)
