"""One object of the bucket to one file: resumed, checked, and under its real name only once it is whole."""

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

from core.atomic_files import replacing
from core.catalog.spacenet_names import SPACENET
from core.errors import BucketUnreachable, CannotWrite, DamagedDownload, DiskFull, GroundplanError
from core.spacenet.bucket import LICENCE, Bucket, Object

#: Called with the bytes that came, or minus those that were thrown away; what it raises stops the transfer.
Tell: TypeAlias = Callable[[int], None]


@dataclass(frozen=True)
class Record:
    """What a file was when it came."""

    size: int  #: bytes
    etag: str
    sha256: str

    @classmethod
    def of(cls, file: Path, wanted: Object) -> "Record":
        """Of a file that is there."""
        return cls(wanted.size, wanted.etag, _digest(file, "sha256"))


def bring(bucket: Bucket, wanted: Object, file: Path, known: Record | None, tell: Tell) -> Record:
    """The file of an object; nothing is asked for where it is whole, and only the rest where a part of it is here.

    What came of it lies beside it as `.<name>.<ETag>.part` and stays there when the transfer is stopped. Raises
    DamagedDownload, DiskFull, CannotWrite, and what the bucket does.
    """
    with _writing(file):
        if _is_whole(file, wanted, known):
            tell(wanted.size)
            return Record.of(file, wanted)
        part = _part(file, wanted)
        for _ in range(2):  # the part of an earlier time may be damaged: then once more from its first byte
            _append(bucket, wanted, part, tell)
            if _is_right(part, wanted):
                return _finish(part, file, wanted)
            tell(-part.stat().st_size)
            part.unlink()
    raise DamagedDownload(name=file)


def _is_whole(file: Path, wanted: Object, known: Record | None) -> bool:
    """Whether the file is what the bucket has: by its record, or by its checksum where there is no record of it."""
    if not file.is_file() or file.stat().st_size != wanted.size:
        return False
    if known is not None and known.etag == wanted.etag:
        return known.sha256 == _digest(file, "sha256")
    return wanted.md5 is not None and _is_right(file, wanted)


def _is_right(file: Path, wanted: Object) -> bool:
    """By MD5, by the size alone where the bucket tells no checksum."""
    return file.stat().st_size == wanted.size and wanted.md5 in (None, _digest(file, "md5"))


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _part(file: Path, wanted: Object) -> Path:
    """Named after the ETag, so that the part of an object that has changed since is never gone on with."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{re.sub(r'[^0-9A-Za-z-]', '', wanted.etag)[:64]}.part")
    for other in file.parent.glob(f".{file.name}.*.part"):
        if other != part or other.stat().st_size > wanted.size:
            other.unlink()
    return part


def _append(bucket: Bucket, wanted: Object, part: Path, tell: Tell) -> None:
    """Until all is there; a connection that breaks is made anew as long as each one brings something."""
    with part.open("ab", buffering=0) as file:  # nothing is left to be written when a stopped one closes it
        tell(file.tell())
        while (before := file.tell()) < wanted.size:
            try:
                _read_on(bucket, wanted, file, tell)
            except BucketUnreachable:
                if file.tell() == before:
                    raise
            if file.tell() == before:
                raise BucketUnreachable(detail="it sent nothing")
        os.fsync(file.fileno())


def _read_on(bucket: Bucket, wanted: Object, file: BinaryIO, tell: Tell) -> None:
    for chunk in bucket.read(wanted, file.tell()):
        tell(len(chunk))  # raises where the download was stopped: whoever goes on with it may be writing by now
        file.write(chunk)
        if file.tell() > wanted.size:  # whatever this is, it is not the object: no disk is filled with it
            return


def _finish(part: Path, file: Path, wanted: Object) -> Record:
    record = Record.of(part, wanted)
    part.replace(file)
    return record


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except GroundplanError:  # some are OSErrors too
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(name=file) from error
        raise CannotWrite(name=file, detail=error.strerror) from error


def read_manifest(path: Path) -> dict[str, Record]:
    """The record of every file that came, by key; empty where there is none, or none that can be read."""
    try:
        return {key: Record(**facts) for key, facts in orjson.loads(path.read_bytes())["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_manifest(path: Path, records: Mapping[str, Record]) -> None:
    """Who made the files and what they were, as JSON; raises DiskFull, CannotWrite."""
    files = {key: asdict(record) for key, record in sorted(records.items())}
    facts = {"attribution": SPACENET, "licence": LICENCE, "files": files}
    with replacing(path) as part:
        part.write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
