"""Files that appear once they are whole: a temporary one beside, synced, then put in its place. And files that grow."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from core.errors import CannotWrite, DiskFull, GroundplanError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Makes the folder of a file that is written in place; what goes wrong is DiskFull or CannotWrite."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise _write_error(path, error) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place once it is whole; on failure nothing is left.

    Raises DiskFull or CannotWrite.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix="".join(path.suffixes[-2:]))
        os.close(handle)
    except OSError as error:
        raise _write_error(path, error) from error
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except GroundplanError:
        raise
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place once it is whole; on failure nothing is left.

    Raises CannotWrite, also where the folder is there already, and DiskFull.
    """
    if folder.exists():
        raise CannotWrite(name=folder, detail="it is there already")
    with writing(folder):
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
        try:
            yield part
            part.chmod(0o755)
            part.replace(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def add_line(file: Path, row: Mapping[str, Any]) -> None:
    """Appends a line of JSON to a file, in one write, whole or not at all; raises CannotWrite, DiskFull."""
    line = orjson.dumps(dict(row)) + b"\n"
    with writing(file), file.open("ab", buffering=0) as opened:
        written = opened.write(line)
        if written < len(line):  # as much as there was room for, which is no error yet
            opened.truncate(opened.tell() - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of JSON in a file, without one that is not whole yet; none where there is no file.

    Raises ValueError where a whole line is no JSON.
    """
    lines = file.read_bytes().splitlines(keepends=True) if file.is_file() else []
    return [orjson.loads(line) for line in lines if line.endswith(b"\n")]


def keep_lines(file: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrites a file of JSON lines with those to be kept, leaving out what is none; raises CannotWrite, DiskFull."""
    kept = []
    for line in file.read_bytes().splitlines() if file.is_file() else []:
        with suppress(ValueError, KeyError, TypeError):
            if keep(orjson.loads(line)):
                kept.append(line + b"\n")
    with replacing(file) as part:
        part.write_bytes(b"".join(kept))


def _write_error(path: Path, error: OSError) -> Exception:
    if error.errno == errno.ENOSPC or is_full(path.parent):
        return DiskFull(name=path)
    return CannotWrite(name=path, detail=error.strerror or str(error.__cause__ or error))


def is_full(folder: Path) -> bool:
    """Whether its disk has no room: GDAL, NumPy and SQLite say that a write failed, but not why."""
    try:
        return shutil.disk_usage(folder).free < 1_000_000
    except OSError:
        return False
