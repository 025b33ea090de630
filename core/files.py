"""Files that appear once they are whole: a temporary one beside, synced, then put in its place."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import CannotWrite, DiskFull, GroundplanError


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


def _write_error(path: Path, error: OSError) -> Exception:
    if error.errno == errno.ENOSPC or _is_full(path.parent):
        return DiskFull(name=path)
    return CannotWrite(name=path, detail=error.strerror or str(error.__cause__ or error))


def _is_full(folder: Path) -> bool:
    """Whether the disk has no room: GDAL and NumPy say that a write failed, but not why."""
    try:
        return shutil.disk_usage(folder).free < 1_000_000
    except OSError:
        return False
