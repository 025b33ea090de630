"""Resumable download of one object: checked by its checksum and renamed to its final name once complete."""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import orjson

from core.atomic_files import atomic_write
from core.catalog.spacenet_names import SPACENET
from core.errors import BucketUnreachable, CannotWrite, DamagedDownload, DiskFull, GroundplanError
from core.spacenet.bucket import LICENSE, Bucket, Object

#: Called with the bytes received, negative for discarded ones; an exception it raises stops the download.
ReportBytes: TypeAlias = Callable[[int], None]


@dataclass(frozen=True)
class Record:
    """Manifest record of a downloaded file."""

    size: int  #: bytes
    etag: str
    sha256: str

    @classmethod
    def of(cls, file: Path, remote: Object) -> "Record":
        """Build the record of a file on disk."""
        return cls(remote.size, remote.etag, _digest(file, "sha256"))


def download_object(
    bucket: Bucket, remote: Object, file: Path, record: Record | None, report_bytes: ReportBytes
) -> Record:
    """Download an object to a file, resuming a partial one; a complete file causes no request.

    The partial file `.<name>.<ETag>.part` beside it stays when the download is stopped.

    Args:
        bucket: Bucket to read from.
        remote: Object to download.
        file: Path to write.
        record: Manifest record of an earlier download, if any.
        report_bytes: Called with the number of bytes received.

    Returns:
        The record for the manifest.

    Raises:
        DamagedDownload: The checksum is wrong twice.
        DiskFull: The disk is full.
        CannotWrite: The file cannot be written.
        FetchError: The bucket cannot be read.
    """
    with _translated_errors(file):
        if _is_complete(file, remote, record):
            report_bytes(remote.size)
            return Record.of(file, remote)
        partial = _partial_file(file, remote)
        for _ in range(2):  # a damaged partial file is downloaded again from the start
            _download_rest(bucket, remote, partial, report_bytes)
            if _matches(partial, remote):
                record = Record.of(partial, remote)
                partial.replace(file)
                return record
            report_bytes(-partial.stat().st_size)
            partial.unlink()
    raise DamagedDownload(name=file)


def _is_complete(file: Path, remote: Object, record: Record | None) -> bool:
    """Compare a file with the object: by its manifest record, else by the object's checksum."""
    if not file.is_file() or file.stat().st_size != remote.size:
        return False
    if record is not None and record.etag == remote.etag:
        return record.sha256 == _digest(file, "sha256")
    return remote.md5 is not None and _matches(file, remote)


def _matches(file: Path, remote: Object) -> bool:
    """Compare by size and MD5, or by size alone if the bucket gives no checksum."""
    return file.stat().st_size == remote.size and remote.md5 in (None, _digest(file, "md5"))


def _digest(file: Path, algorithm: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _partial_file(file: Path, remote: Object) -> Path:
    """Name the partial file after the ETag, so that a changed object is never resumed; stale ones are deleted."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{re.sub(r'[^0-9A-Za-z-]', '', remote.etag)[:64]}.part")
    for stale in file.parent.glob(f".{file.name}.*.part"):
        if stale != partial or stale.stat().st_size > remote.size:
            stale.unlink()
    return partial


def _download_rest(bucket: Bucket, remote: Object, partial: Path, report_bytes: ReportBytes) -> None:
    """Download the remaining bytes, reconnecting as long as every connection brings some."""
    with partial.open("ab", buffering=0) as file:  # unbuffered, so that closing after a stop writes nothing more
        report_bytes(file.tell())
        while (offset := file.tell()) < remote.size:
            try:
                _append_stream(bucket, remote, file, report_bytes)
            except BucketUnreachable:
                if file.tell() == offset:
                    raise
            if file.tell() == offset:
                raise BucketUnreachable(detail="it sent no data")
        os.fsync(file.fileno())


def _append_stream(bucket: Bucket, remote: Object, file: BinaryIO, report_bytes: ReportBytes) -> None:
    for chunk in bucket.read(remote, file.tell()):
        report_bytes(len(chunk))  # raises after a stop, before the write: a resumed download may own the file by now
        file.write(chunk)
        if file.tell() > remote.size:  # more than the object has: do not fill the disk
            return


@contextmanager
def _translated_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except GroundplanError:  # some are OSErrors as well
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(name=file) from error
        raise CannotWrite(name=file, detail=error.strerror) from error


def read_manifest(path: Path) -> dict[str, Record]:
    """Read the records of all downloaded files, by key; empty if there is no readable manifest."""
    try:
        return {key: Record(**fields) for key, fields in orjson.loads(path.read_bytes())["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_manifest(path: Path, records: Mapping[str, Record]) -> None:
    """Write attribution and records of the files as JSON; raises DiskFull, CannotWrite."""
    files = {key: asdict(record) for key, record in sorted(records.items())}
    content = {"attribution": SPACENET, "licence": LICENSE, "files": files}
    with atomic_write(path) as partial:
        partial.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
