"""What a footprint file may hold, counted before it is parsed: in memory it would be many times larger."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from core.errors import CannotRead, NoSuchPath, NotFootprintsCSV, VectorTooLarge
from core.settings import settings

#: Bytes read at once.
_PIECE = 1_000_000
#: How an array of numbers begins in GeoJSON: a vertex, hardly ever anything else.
_POINT = re.compile(rb"\[\s*[-\d]")
#: To a vertex that is allowed: arrays of numbers (boxes are such, too), JSON values, fields and vertices of a CSV.
#: Footprints have fewer, as a rule: a house of OpenStreetMap with 5 vertices and 6 properties has 5 values to a vertex.
_POINTS, _VALUES, _FIELDS = 1.25, 6, 4
#: No table of footprints has more columns: pandas would take minutes to name a million.
_MOST_COLUMNS = 1000


def check_file(path: Path) -> None:
    """Raises NoSuchPath, and VectorTooLarge by bytes."""
    if not path.is_file():
        raise NoSuchPath(name=path)
    _check(path, path.stat().st_size, settings().max_vector_bytes, "bytes", "GROUNDPLAN_MAX_VECTOR_BYTES")


def check_vertices(path: Path, found: int) -> None:
    """Raises VectorTooLarge where more vertices were found than are allowed."""
    _check(path, found, settings().max_vertices, "vertices", "GROUNDPLAN_MAX_VERTICES")


def check_json(path: Path) -> None:
    """Counts vertices and values; raises CannotRead, and VectorTooLarge once there are too many."""
    points = values = 0
    for piece in _pieces(path):
        points += len(_POINT.findall(piece))
        values += sum(map(piece.count, (b",", b"[", b"{")))
        _check_count(path, points, "vertices", _POINTS)
        _check_count(path, values, "values", _VALUES)


def check_csv(path: Path) -> None:
    """Counts columns, fields and vertices; raises CannotRead, NotFootprintsCSV, and VectorTooLarge."""
    fields = 0
    for n, piece in enumerate(_pieces(path)):
        if n == 0:
            _check_columns(path, piece)
        # A comma or the end of a line is behind every field, and behind every vertex of WKT.
        fields += sum(map(piece.count, (b",", b"\n", b"\r")))
        _check_count(path, fields, "fields and vertices", _FIELDS)


def _check_columns(path: Path, piece: bytes) -> None:
    try:
        columns = next(csv.reader(io.StringIO(piece.decode(errors="replace"), newline="")), [])
    except csv.Error as error:
        raise NotFootprintsCSV(name=path, detail=str(error)) from error
    if len(columns) > _MOST_COLUMNS:
        raise NotFootprintsCSV(name=path, detail=f"it has {len(columns):,} columns")


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from iter(lambda: file.read(_PIECE), b"")
    except OSError as error:
        raise CannotRead(name=path, detail=error.strerror) from error


def _check_count(path: Path, found: int, unit: str, per_vertex: float) -> None:
    """Of what was found so far."""
    limit = int(per_vertex * settings().max_vertices)
    _check(path, found, limit, unit, "GROUNDPLAN_MAX_VERTICES", "at least ")


def _check(path: Path, found: int, limit: int, unit: str, variable: str, how: str = "") -> None:
    if found > limit:
        raise VectorTooLarge(name=path, size=f"{how}{found:,} {unit}", limit=f"{limit:,}", variable=variable)
