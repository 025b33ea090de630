"""Download SpaceNet tiles into the catalog: planned by exact sizes, parallel, resumable and verified.

The files lie below settings().spacenet under their keys; manifest.json beside them has attribution and checksums.
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
from core.catalog.scan import ScanResult
from core.errors import (
    CannotWrite,
    DamagedDownload,
    DownloadRunning,
    GroundplanError,
    InsufficientDiskSpace,
    NoSuchObject,
    NotInBucket,
    ObjectChanged,
)
from core.formatting import format_bytes
from core.progress import Report, silent
from core.settings import settings
from core.spacenet.bucket import LICENSE, LICENSE_URL, Bucket, Object
from core.spacenet.resumable_download import Record, download_object, read_manifest, write_manifest
from core.spacenet.selection import TileSelection, format_numbers

THREADS = 8
#: Shares of the progress once the bucket is listed, and once the files are downloaded.
_LISTED, _DOWNLOADED = 0.02, 0.85
#: Interval of the progress reports [s].
_REPORT_S = 0.25
#: Most files to register after a stop, which leaves a few seconds; a tile takes 15 ms.
_MAX_REGISTERED_ON_STOP = 120
#: Errors that concern one file and do not end the download.
_FILE_ERRORS = (NoSuchObject, ObjectChanged, DamagedDownload)


@dataclass(frozen=True)
class Plan:
    """Download plan: the objects of a selection that the bucket has."""

    selection: TileSelection
    objects: Mapping[str, tuple[Object, ...]]  #: by product
    problems: tuple[str, ...]  #: one sentence per product with missing files

    @property
    def all_objects(self) -> tuple[Object, ...]:
        """Objects of all products, tile by tile, so that a stopped download leaves complete tiles."""
        by_tile = zip_longest(*self.objects.values())
        return tuple(remote for tile_objects in by_tile for remote in tile_objects if remote)

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return _total_size(self.all_objects)

    @property
    def missing_bytes(self) -> int:
        """Size of the files that are not downloaded yet, or not with the right size."""
        files = [(remote.size, local_path(remote)) for remote in self.all_objects]
        return sum(size for size, file in files if not file.is_file() or file.stat().st_size != size)

    @property
    def downloaded(self) -> tuple[Object, ...]:
        """Objects whose file exists."""
        return tuple(remote for remote in self.all_objects if local_path(remote).is_file())

    def lines(self) -> tuple[str, ...]:
        """Summarize sizes, disk space and license for a terminal."""
        total, missing = self.total_bytes, self.missing_bytes
        return (
            *(
                f"{product:<18}{len(objects):>6} files {format_bytes(_total_size(objects)):>12}"
                for product, objects in self.objects.items()
            ),
            f"{'total':<18}{len(self.all_objects):>6} files {format_bytes(total):>12}",
            f"{format_bytes(total - missing)} already downloaded, {format_bytes(free_bytes())} of disk space free",
            f"License: {LICENSE}, {LICENSE_URL}",
            f"Attribution: {spacenet_names.SPACENET}",
        )


def free_bytes() -> int:
    """Measure the free disk space at the download folder."""
    folder = settings().spacenet
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free


def local_path(remote: Object) -> Path:
    """Build the path an object is downloaded to."""
    return settings().spacenet / remote.key


def _total_size(objects: Sequence[Object]) -> int:
    return sum(remote.size for remote in objects)


def plan_download(selection: TileSelection, bucket: Bucket | None = None) -> Plan:
    """List the files of a selection with their exact sizes, with one request per thousand objects of a product.

    Raises NotInBucket if there are none, BucketUnreachable, BucketRefused.
    """
    bucket, area = bucket or Bucket.spacenet(), selection.area
    with ThreadPoolExecutor(THREADS) as pool:
        listings = list(pool.map(bucket.objects, map(area.folder_of, selection.products)))
    objects: dict[str, tuple[Object, ...]] = {}
    products_without: dict[str, list[str]] = {}
    for product, objects_by_key in zip(selection.products, listings, strict=True):
        keys = {number: area.key(product, number) for number in selection.numbers}
        objects[product] = tuple(objects_by_key[key] for key in keys.values() if key in objects_by_key)
        missing_tiles = format_numbers([number for number, key in keys.items() if key not in objects_by_key])
        products_without.setdefault(missing_tiles, []).append(product)
    problems = [
        f"The SpaceNet bucket has no {' and '.join(products)} for tiles {missing_tiles} of {area.aoi}."
        for missing_tiles, products in products_without.items()
        if missing_tiles
    ]
    if not any(objects.values()):
        raise NotInBucket(numbers=format_numbers(selection.numbers)[:200], aoi=selection.aoi)
    return Plan(selection, objects, tuple(problems))


def download_tiles(selection: TileSelection, report: Report = silent) -> ScanResult:
    """Download the files of a selection and register their tiles; verified files are not downloaded again.

    A file that is missing or damaged becomes a problem of the result and does not end the download. The tiles
    downloaded so far are registered before BucketUnreachable, BucketRefused, DiskFull or CannotWrite is raised, and
    after a stop if they are few. Also raises NotInBucket, InsufficientDiskSpace and DownloadRunning.
    """
    report(0.0, "Checking files in the SpaceNet bucket")
    bucket = Bucket.spacenet()
    plan = plan_download(selection, bucket)
    if plan.missing_bytes > free_bytes():
        raise InsufficientDiskSpace(needed=format_bytes(plan.missing_bytes), free=format_bytes(free_bytes()))
    with _download_lock():
        try:
            problems = _download_all(bucket, plan, report)
        except GroundplanError:
            _register(plan, report)
            raise
        except BaseException:  # a stop
            if len(plan.downloaded) <= _MAX_REGISTERED_ON_STOP:
                with suppress(GroundplanError):
                    _register(plan, silent)
            raise
        result = _register(plan, report)
    return replace(result, problems=(*plan.problems, *problems, *result.problems))


def _download_all(bucket: Bucket, plan: Plan, report: Report) -> list[str]:
    """Download the files of a plan and return the problems; the manifest is written after a stop as well."""
    manifest = settings().spacenet / "manifest.json"
    downloads = _ParallelDownload(bucket, plan, read_manifest(manifest))
    try:
        downloads.run(report)
    finally:
        write_manifest(manifest, dict(downloads.records))
    return downloads.problems


def _register(plan: Plan, report: Report) -> ScanResult:
    """Register the tiles of a plan that have files."""
    if not plan.downloaded:
        return ScanResult(())
    folder = settings().spacenet / plan.selection.area.folder
    return register(
        folder,
        report=lambda share, doing: report(_DOWNLOADED + (1 - _DOWNLOADED) * share, doing),
        tile_ids=frozenset(plan.selection.tiles),
    )


@contextmanager
def _download_lock() -> Iterator[None]:
    """Refuse a second download at the same time, which would write the same partial files."""
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
class _ParallelDownload:
    """Parallel download of the files of a plan."""

    bucket: Bucket
    plan: Plan
    records: dict[str, Record]  #: of the downloaded files, by key
    problems: list[str] = field(default_factory=list)  #: one sentence per file that failed
    received: int = 0  #: [bytes]
    stopped: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    def run(self, report: Report) -> None:
        """Download all files; raises the first error that concerns all of them.

        On an error or a stop every thread ends at its next chunk.
        """
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        try:
            pending = {pool.submit(self._download, remote) for remote in self.plan.all_objects}
            while pending:
                finished, pending = wait(pending, timeout=_REPORT_S)
                report(*self._progress(len(self.plan.all_objects) - len(pending)))
                for future in finished:
                    future.result()
        finally:
            self.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _download(self, remote: Object) -> None:
        try:
            record = self.records.get(remote.key)
            self.records[remote.key] = download_object(
                self.bucket, remote, local_path(remote), record, self._report_bytes
            )
        except _FILE_ERRORS as error:
            self.problems.append(str(error))

    def _report_bytes(self, size: int) -> None:
        if self.stopped.is_set():
            raise CancelledError
        with self.lock:
            self.received += size

    def _progress(self, file_count: int) -> tuple[float, str]:
        total = self.plan.total_bytes
        share = min(self.received / max(total, 1), 1.0)
        files = f"{file_count} of {len(self.plan.all_objects)} files"
        message = f"{format_bytes(self.received)} of {format_bytes(total)}, {files}"
        return _LISTED + (_DOWNLOADED - _LISTED) * share, message
