"""Atomic file writes: a temporary file is synced, then replaces the target. And JSON Lines files to append to."""

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
def translating_errors(path: Path) -> Iterator[None]:
    """Create the parent folder of a file to write, and raise DiskFull or CannotWrite for an OSError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise _write_error(path, error) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a temporary file beside `path` that replaces it when complete; on failure nothing is left.

    Raises DiskFull or CannotWrite.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix="".join(path.suffixes[-2:]))
        os.close(handle)
    except OSError as error:
        raise _write_error(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except GroundplanError:
        raise
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Fill a temporary folder beside `folder` that is renamed to it when complete; on failure nothing is left.

    Raises CannotWrite, also if the folder exists, and DiskFull.
    """
    if folder.exists():
        raise CannotWrite(name=folder, detail="it already exists")
    with translating_errors(folder):
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
        try:
            yield temporary
            temporary.chmod(0o755)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def append_jsonl(file: Path, row: Mapping[str, Any]) -> None:
    """Append a line of JSON in one write, completely or not at all. Raises CannotWrite, DiskFull."""
    line = orjson.dumps(dict(row)) + b"\n"
    with translating_errors(file), file.open("ab", buffering=0) as stream:
        written = stream.write(line)
        if written < len(line):  # a partial write on a full disk is no error yet
            stream.truncate(stream.tell() - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_jsonl(file: Path) -> list[dict[str, Any]]:
    """Read the complete lines of a JSON Lines file; none if there is no file.

    Raises ValueError if a complete line is no JSON.
    """
    lines = file.read_bytes().splitlines(keepends=True) if file.is_file() else []
    return [orjson.loads(line) for line in lines if line.endswith(b"\n")]


def filter_jsonl(file: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrite a JSON Lines file with the rows to keep, dropping invalid lines. Raises CannotWrite, DiskFull."""
    lines = []
    for line in file.read_bytes().splitlines() if file.is_file() else []:
        with suppress(ValueError, KeyError, TypeError):
            if keep(orjson.loads(line)):
                lines.append(line + b"\n")
    with atomic_write(file) as temporary:
        temporary.write_bytes(b"".join(lines))


def _write_error(path: Path, error: OSError) -> Exception:
    if error.errno == errno.ENOSPC or is_full(path.parent):
        return DiskFull(name=path)
    return CannotWrite(name=path, detail=error.strerror or str(error.__cause__ or error))


def is_full(folder: Path) -> bool:
    """Tell whether the disk of a folder is full: GDAL, NumPy and SQLite do not tell why a write failed."""
    try:
        return shutil.disk_usage(folder).free < 1_000_000
    except OSError:
        return False
