"""Images that people bring: one folder each, in it what was found, the image as a COG, and its labels.

    uploads/upload_<16 hex digits>/
        upload.json      what a person called it, where it came from, what was found in it (`Upload`)
        original.tif     what a page received; removed once the COG exists
        image.tif        the COG
        labels.geojson   building footprints in longitude and latitude, if there are any

The folder is named by the program, never by what was uploaded. It counts as a tile only once it is in the catalogue.
"""

import re
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

import orjson

from core.atomic_files import replacing
from core.catalog import spacenet_names
from core.catalog.store import Catalog, read_catalog, update_catalog
from core.catalog.tile import Tile
from core.errors import (
    CannotWrite,
    NoSuchUpload,
    RasterError,
    UploadIsBusy,
    UploadTooLarge,
    VectorError,
)
from core.geo import raster
from core.geo.grid import Grid
from core.jobs.queue import Job, Queue
from core.progress import Report, silent
from core.settings import settings
from core.types import GsdRange
from core.uploads.validation import ImageFacts, Place, check, grid_of

AOI = "Uploads"
#: A folder that belongs to no job and no tile is forgotten after this many seconds.
FORGOTTEN_S = 86_400.0
LONGEST_NAME = 80
_ID = re.compile(r"upload_[0-9a-f]{16}")


@dataclass(frozen=True)
class LabelFacts:
    """What was found in the labels of an upload."""

    buildings: int
    built_share: float  #: of the ground with a picture
    repairs: str = ""


@dataclass(frozen=True)
class Upload:
    """One image that somebody brought, as its upload.json has it."""

    id: str  #: also its folder's name and its tile's id
    name: str  #: what a person calls it
    file: str  #: what its file was called
    source: str  #: path of the GeoTIFF it is made of
    facts: ImageFacts
    place: Place = field(default_factory=Place)  #: where it lies, where a person had to say so
    attribution: str = ""
    labels: LabelFacts | None = None
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    @classmethod
    def find(cls, name: str) -> "Upload":
        """The upload of an id; raises NoSuchUpload."""
        folder = _folder(name)
        try:
            values = orjson.loads((folder / "upload.json").read_bytes())
            edges = values["place"]["edges"]
            return cls(
                **values
                | {
                    "facts": ImageFacts(**values["facts"] | {"notes": tuple(values["facts"]["notes"])}),
                    "place": Place(values["place"]["epsg"], tuple(edges) if edges else None),
                    "labels": LabelFacts(**values["labels"]) if values["labels"] else None,
                }
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NoSuchUpload(upload=tidy(name)) from error

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return _folder(self.id)

    @property
    def original(self) -> Path:
        """What a page received, until the COG exists."""
        return self.folder / "original.tif"

    @property
    def image(self) -> Path:
        """The COG, once it was made."""
        return self.folder / "image.tif"

    @property
    def footprints(self) -> Path | None:
        """The label file, where it has labels."""
        return self.folder / "labels.geojson" if self.labels else None

    @property
    def grid(self) -> Grid:
        """Where its pixels lie; raises what opening raises."""
        if self.image.exists():
            return raster.describe(self.image).grid
        with raster.open_raster(Path(self.source)) as dataset:
            return grid_of(Path(self.source), dataset, self.place)

    def save(self) -> "Upload":
        """Writes upload.json; raises DiskFull, CannotWrite."""
        with replacing(self.folder / "upload.json") as part:
            part.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        return self

    def tile(self, grid: Grid) -> Tile:
        """Its row in the catalogue."""
        facts, labels = self.facts, self.labels
        return Tile(
            # Eight bands are taken for WorldView's, as everywhere, so that networks that want the eighth find it.
            id=self.id, aoi=AOI, products={"8band" if facts.bands == 8 else "image": self.image},
            footprints=self.footprints, footprint=grid.footprint, width=grid.width, height=grid.height,
            bands=facts.bands, dtype=facts.dtype, crs=grid.crs.to_string(), gsd_m=grid.gsd_m,
            buildings=labels.buildings if labels else None, built_share=labels.built_share if labels else None,
            nodata_share=facts.nodata_share, repairs=labels.repairs if labels else "", attribution=self.attribution,
            name=self.name,
        )  # fmt: skip


def tidy(text: str, otherwise: str = "Upload") -> str:
    """A name without control, direction and other invisible signs, on one line of at most 80 characters."""
    shown = "".join(sign if unicodedata.category(sign)[0] != "C" else " " for sign in text[: 10 * LONGEST_NAME])
    return " ".join(shown.split())[:LONGEST_NAME].strip() or otherwise


def _folder(name: str) -> Path:
    if not _ID.fullmatch(name):
        raise NoSuchUpload(upload=tidy(name))
    return settings().uploads / name


@contextmanager
def called(name: str) -> Iterator[None]:
    """Sentences about a file name it as its owner does, not as it is called in its folder."""
    try:
        yield
    except (RasterError, VectorError) as error:
        raise type(error)(**{**error.facts, "name": name}) from error


@contextmanager
def new_folder() -> Iterator[Path]:
    """A fresh folder of a random name; nothing is left of it where the work in it fails or is stopped, nor of its tile.

    Raises CannotWrite.
    """
    folder = settings().uploads / f"upload_{token_hex(8)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise CannotWrite(name=folder, detail=error.strerror) from error
    with ExitStack() as undo:
        undo.callback(_remove, folder)
        yield folder
        undo.pop_all()


def receive(
    stream: BinaryIO, file: str, place: Place | None = None, report: Report = silent,
    trained_gsd: GsdRange | None = None,
) -> Upload:  # fmt: skip
    """An image that a page was given, checked and kept in a folder of its own; `take_in.add` makes the tile of it.

    `stream` is read from its beginning; `file` is what its owner calls it. Raises UploadTooLarge, NotARaster and all
    that `check` raises, DiskFull and CannotWrite; then nothing is left of it.
    """
    forget()
    shown = tidy(file, "The file")
    _check_size(stream, shown)
    raster.check_magic(stream.read(raster.MAGIC_BYTES), shown)
    stream.seek(0)
    with new_folder() as folder, called(shown):
        original = folder / "original.tif"
        with replacing(original) as part, part.open("wb") as copy:
            shutil.copyfileobj(stream, copy, 2**20)
        return described(folder.name, file, original, place, report, trained_gsd)


def _check_size(stream: BinaryIO, name: str) -> None:
    limit, size = settings().max_upload_bytes, stream.seek(0, 2)
    stream.seek(0)
    if size > limit:
        raise UploadTooLarge(
            name=name, size=f"{size / 1e6:.0f} MB", limit=f"{limit / 1e6:.0f} MB", inbox=str(settings().inbox)
        )


def described(
    name: str, file: str, source: Path, place: Place | None, report: Report = silent,
    trained_gsd: GsdRange | None = None,
) -> Upload:  # fmt: skip
    """A checked image as an upload of that id, saved into its folder; raises what `check` raises."""
    facts = check(source, place, report, trained_gsd)
    named = spacenet_names.parse(Path(tidy(file)))
    owner = spacenet_names.attribution(named.aoi) if named else ""
    shown = tidy(Path(file).stem)
    return Upload(name, shown, tidy(file), str(source.absolute()), facts, place or Place(), owner).save()


def upload_jobs() -> dict[str, Job]:
    """The latest job of every upload that has one, by the upload's id."""
    jobs = Queue(settings().queue).jobs(limit=10_000, task="upload")
    return {job.params["upload"]: job for job in reversed(jobs) if "upload" in job.params}


def uploads() -> list[Upload]:
    """All there are, newest first, also those that are not in the catalogue yet."""
    found = []
    for folder in settings().uploads.glob("upload_*"):
        with suppress(NoSuchUpload):
            found.append(Upload.find(folder.name))
    return sorted(found, key=lambda upload: (upload.created, upload.id), reverse=True)


def rename(name: str, title: str) -> Upload:
    """Another name for people; raises NoSuchUpload."""
    upload = Upload.find(name)
    upload = replace(upload, name=tidy(title, upload.name)).save()
    change_tile(name, lambda tile: replace(tile, name=upload.name))
    return upload


def change_tile(name: str, change: Callable[[Tile], Tile]) -> None:
    """Changes the row of an upload in the catalogue, where it has one."""

    def changed(catalog: Catalog) -> Catalog:
        for tile in catalog.named([name]):
            return catalog.with_tile(change(tile))
        return catalog

    if read_catalog().named([name]):
        update_catalog(changed)


def delete(name: str) -> None:
    """Removes an upload: its tile, what was predicted on it, and its files; raises NoSuchUpload, UploadIsBusy.

    There may be its tile alone, where somebody removed its folder.
    """
    folder = _folder(name)
    for job in Queue(settings().queue).jobs(limit=10_000):
        if not job.state.is_over and _names(job, name):
            raise UploadIsBusy(name=_title(name), job=tidy(job.title))
    _remove(folder)


def _names(job: Job, name: str) -> bool:
    """Whether a job, of whichever task, works on this upload."""
    params = job.params
    return name in (params.get("upload"), params.get("tile"), *params.get("tiles", ()))


def _title(name: str) -> str:
    return next((found.title for found in read_catalog().named([name])), None) or Upload.find(name).name


def _remove(folder: Path) -> None:
    """Its row goes first: where that fails, no tile without files stays on the map."""
    name = folder.name
    if read_catalog().named([name]):
        update_catalog(lambda catalog: catalog.without(name))
    for prediction in settings().predictions.glob(f"*/{name}"):
        shutil.rmtree(prediction, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def forget() -> None:
    """Removes the folders of a day ago and older that belong to no tile and no job: nobody pressed the button.

    Those with a COG stay: their tile was taken off the map by hand.
    """
    kept = upload_jobs().keys() | {tile.id for tile in read_catalog().of_aoi(AOI).tiles}
    for folder in settings().uploads.glob("upload_*"):
        is_kept = folder.name in kept or (folder / "image.tif").exists()
        if not is_kept and time.time() - folder.stat().st_mtime > FORGOTTEN_S:
            shutil.rmtree(folder, ignore_errors=True)
