"""Tiles from SpaceNet's bucket into the catalogue: sizes first, then eight files at a time, resumed and checked.

The files lie under settings().spacenet by their keys; manifest.json beside them says who made them and what they were.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from threading import Event, Lock

from filelock import FileLock, Timeout

from core.catalog import spacenet_names
from core.catalog.register import register
from core.catalog.scan import Found
from core.errors import (
    CannotWrite,
    DamagedDownload,
    DownloadRunning,
    GroundplanError,
    NoSuchObject,
    NotEnoughRoom,
    NotInBucket,
    ObjectChanged,
)
from core.formatting import megabytes
from core.progress import Report, silent
from core.settings import settings
from core.spacenet.bucket import LICENCE, LICENCE_URL, Bucket, Object
from core.spacenet.resumable_download import Record, bring, read_manifest, write_manifest
from core.spacenet.selection import Request, spell_numbers

THREADS = 8
#: Shares of the progress at which the files begin to come, and at which they are read.
_ASKED, _CAME = 0.02, 0.85
#: Seconds between two looks at what has come.
_LOOK_S = 0.25
#: A stop leaves seconds: no more files than this (15 ms a tile) are registered then.
_QUICK = 120
#: What is wrong with one file only.
_ONE_FILE = (NoSuchObject, ObjectChanged, DamagedDownload)


@dataclass(frozen=True)
class Plan:
    """What the bucket has of a request."""

    request: Request
    objects: Mapping[str, tuple[Object, ...]]  #: by product
    problems: tuple[str, ...]  #: one sentence a product of which something is missing

    @property
    def all_objects(self) -> tuple[Object, ...]:
        """Of all products, tile by tile: what came when a download is stopped are whole tiles."""
        return tuple(one for of_tile in zip_longest(*self.objects.values()) for one in of_tile if one)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.all_objects)

    @property
    def missing(self) -> int:
        """Bytes of the files that are not here yet, going by their sizes."""
        return sum(one.size for one in self.all_objects if _size(file_of(one)) != one.size)

    @property
    def here(self) -> tuple[Object, ...]:
        """Those whose files are here."""
        return tuple(one for one in self.all_objects if file_of(one).is_file())

    def lines(self) -> tuple[str, ...]:
        """Sizes, room and licence for a terminal."""
        return (
            *(f"{name:<18}{len(of):>6} files {megabytes(_total(of)):>12}" for name, of in self.objects.items()),
            f"{'together':<18}{len(self.all_objects):>6} files {megabytes(self.size):>12}",
            f"{megabytes(self.size - self.missing)} of it are here, the disk has {megabytes(free_bytes())} left",
            f"Licence: {LICENCE}, {LICENCE_URL}",
            f"Attribution: {spacenet_names.SPACENET}",
        )


def free_bytes() -> int:
    """Room on the disk the files will lie on."""
    folder = settings().spacenet
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.is_dir())).free


def file_of(wanted: Object) -> Path:
    """Where an object comes to lie."""
    return settings().spacenet / wanted.key


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _total(objects: Sequence[Object]) -> int:
    return sum(one.size for one in objects)


def ask_bucket(request: Request, bucket: Bucket | None = None) -> Plan:
    """Which files there are, with their exact sizes: a few requests, however many the tiles.

    Raises NotInBucket where there are none, BucketUnreachable, BucketRefused.
    """
    bucket, area = bucket or Bucket.spacenet(), request.area
    with ThreadPoolExecutor(THREADS) as pool:
        listed = list(pool.map(bucket.objects, map(area.folder_of, request.products)))
    objects: dict[str, tuple[Object, ...]] = {}
    absent: dict[str, list[str]] = {}
    for product, there in zip(request.products, listed, strict=True):
        keys = {number: area.key(product, number) for number in request.numbers}
        objects[product] = tuple(there[key] for key in keys.values() if key in there)
        lost = spell_numbers([number for number, key in keys.items() if key not in there])
        absent.setdefault(lost, []).append(product)
    problems = [
        f"SpaceNet's bucket has no {' and '.join(names)} of {area.aoi} {lost}."
        for lost, names in absent.items()
        if lost
    ]
    if not any(objects.values()):
        raise NotInBucket(numbers=spell_numbers(request.numbers)[:200], aoi=request.aoi)
    return Plan(request, objects, tuple(problems))


def fetch_tiles(request: Request, report: Report = silent) -> Found:
    """Brings the files of a request and registers their tiles; files that are here and whole are not asked for again.

    A file that is missing or damaged is one of the problems and does not stop the rest. The tiles that came are
    registered before BucketUnreachable, BucketRefused, DiskFull or CannotWrite is raised, and on a stop where it is
    quickly done. Also raises NotInBucket, NotEnoughRoom and DownloadRunning.
    """
    report(0.0, "asking SpaceNet's bucket")
    bucket = Bucket.spacenet()
    plan = ask_bucket(request, bucket)
    if plan.missing > free_bytes():
        raise NotEnoughRoom(needed=megabytes(plan.missing), free=megabytes(free_bytes()))
    with _alone():
        try:
            problems = _bring_all(bucket, plan, report)
        except GroundplanError:
            _register(plan, report)
            raise
        except BaseException:  # a stop
            if len(plan.here) <= _QUICK:
                with suppress(GroundplanError):
                    _register(plan, silent)
            raise
        found = _register(plan, report)
    return replace(found, problems=(*plan.problems, *problems, *found.problems))


def _bring_all(bucket: Bucket, plan: Plan, report: Report) -> list[str]:
    """All files of a plan; returns sentences about those that did not come. The manifest is written also on a stop."""
    manifest = settings().spacenet / "manifest.json"
    transfers = _Transfers(bucket, plan, read_manifest(manifest))
    try:
        transfers.run(report)
    finally:
        write_manifest(manifest, dict(transfers.records))
    return transfers.problems


def _register(plan: Plan, report: Report) -> Found:
    """The tiles of which something has come."""
    if not plan.here:
        return Found(())
    folder = settings().spacenet / plan.request.area.folder
    return register(
        folder,
        report=lambda share, doing: report(_CAME + (1 - _CAME) * share, doing),
        only=frozenset(plan.request.tiles),
    )


@contextmanager
def _alone() -> Iterator[None]:
    """Two downloads at a time would write the same parts."""
    folder = settings().spacenet
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise DownloadRunning() from error
    except PermissionError as error:
        raise CannotWrite(name=folder, detail=error.strerror) from error


@dataclass
class _Transfers:
    """All files of a plan on their way."""

    bucket: Bucket
    plan: Plan
    records: dict[str, Record]  #: of the files that are here, by key
    problems: list[str] = field(default_factory=list)  #: sentences about single files
    came: int = 0  #: bytes
    over: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def run(self, report: Report) -> None:
        """Returns when all have come; raises what ends it for all. Then, as on a stop, each thread ends its piece."""
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        try:
            waiting = {pool.submit(self._one, wanted) for wanted in self.plan.all_objects}
            while waiting:
                done, waiting = wait(waiting, timeout=_LOOK_S)
                report(*self._progress(len(self.plan.all_objects) - len(waiting)))
                for future in done:
                    future.result()
        finally:
            self.over.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _one(self, wanted: Object) -> None:
        try:
            known = self.records.get(wanted.key)
            self.records[wanted.key] = bring(self.bucket, wanted, file_of(wanted), known, self._tell)
        except _ONE_FILE as error:
            self.problems.append(str(error))

    def _tell(self, size: int) -> None:
        if self.over.is_set():
            raise CancelledError
        with self.lock:
            self.came += size

    def _progress(self, files: int) -> tuple[float, str]:
        share = min(self.came / max(self.plan.size, 1), 1.0)
        words = f"{megabytes(self.came)} of {megabytes(self.plan.size)}, {files} of {len(self.plan.all_objects)} files"
        return _ASKED + (_CAME - _ASKED) * share, words
