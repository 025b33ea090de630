"""Limits of footprint files, counted before parsing: in memory a file takes many times its size."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from core.errors import CannotRead, NoSuchPath, NotFootprintsCSV, VectorTooLarge
from core.settings import settings

#: Bytes read at once.
_CHUNK_BYTES = 1_000_000
#: Start of an array of numbers in GeoJSON, nearly always a vertex.
_POINT = re.compile(rb"\[\s*[-\d]")
#: Per allowed vertex: arrays of numbers (bounding boxes too), JSON values, and fields and vertices of a CSV. Footprints
#: usually have fewer: a building of OpenStreetMap with 5 vertices and 6 properties has 5 values per vertex.
_MAX_POINTS, _MAX_VALUES, _MAX_FIELDS = 1.25, 6, 4
#: Maximum columns of a CSV: pandas would take minutes to name a million.
_MAX_COLUMNS = 1000


def check_file(path: Path) -> None:
    """Raise NoSuchPath, or VectorTooLarge by the size of the file."""
    if not path.is_file():
        raise NoSuchPath(name=path)
    _refuse_if_over(path, path.stat().st_size, settings().max_vector_bytes, "bytes", "GROUNDPLAN_MAX_VECTOR_BYTES")


def check_vertices(path: Path, count: int) -> None:
    """Raise VectorTooLarge if there are more vertices than allowed."""
    _refuse_if_over(path, count, settings().max_vertices, "vertices", "GROUNDPLAN_MAX_VERTICES")


def check_json(path: Path) -> None:
    """Count vertices and values of a JSON file. Raises CannotRead, and VectorTooLarge once there are too many."""
    points = values = 0
    for chunk in _chunks(path):
        points += len(_POINT.findall(chunk))
        values += sum(map(chunk.count, (b",", b"[", b"{")))
        _check_count(path, points, "vertices", _MAX_POINTS)
        _check_count(path, values, "values", _MAX_VALUES)


def check_csv(path: Path) -> None:
    """Count columns, fields and vertices of a CSV. Raises CannotRead, NotFootprintsCSV and VectorTooLarge."""
    fields = 0
    for n, chunk in enumerate(_chunks(path)):
        if n == 0:
            _check_columns(path, chunk)
        # Every field and every vertex of a WKT ends with a comma or a line end.
        fields += sum(map(chunk.count, (b",", b"\n", b"\r")))
        _check_count(path, fields, "fields and vertices", _MAX_FIELDS)


def _check_columns(path: Path, chunk: bytes) -> None:
    try:
        columns = next(csv.reader(io.StringIO(chunk.decode(errors="replace"), newline="")), [])
    except csv.Error as error:
        raise NotFootprintsCSV(name=path, detail=str(error)) from error
    if len(columns) > _MAX_COLUMNS:
        raise NotFootprintsCSV(name=path, detail=f"it has {len(columns):,} columns")


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from iter(lambda: file.read(_CHUNK_BYTES), b"")
    except OSError as error:
        raise CannotRead(name=path, detail=error.strerror) from error


def _check_count(path: Path, count: int, unit: str, per_vertex: float) -> None:
    """Raise VectorTooLarge if the count so far exceeds the limit."""
    limit = int(per_vertex * settings().max_vertices)
    _refuse_if_over(path, count, limit, unit, "GROUNDPLAN_MAX_VERTICES", "at least ")


def _refuse_if_over(path: Path, count: int, limit: int, unit: str, variable: str, prefix: str = "") -> None:
    if count > limit:
        raise VectorTooLarge(name=path, size=f"{prefix}{count:,} {unit}", limit=f"{limit:,}", variable=variable)
