"""The only door for footprints: GeoJSON and SpaceNet CSV in, one carrier out. Nothing real data holds stops it.

Parsed by orjson and shapely, never by OGR: an OGR VRT called .geojson would read any file of this machine.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import orjson
import pandas as pd
import pyproj
import shapely
from pyproj.exceptions import CRSError, ProjError
from shapely import Polygon

from core.errors import (
    CannotRead,
    FootprintsWithoutCRS,
    NotFootprintsCSV,
    NotGeoJSON,
    UnknownFootprintFormat,
)
from core.geo.grid import LONLAT, area_m2, crs_from, reproject, transformer
from core.geo.vector_limits import check_csv, check_file, check_json, check_vertices
from core.types import Geometries, Where

_Ring = list[list[float]]
#: Coordinates beyond are no place on earth and no pixel, and their squares would not be numbers.
_FARTHEST = 1e15
#: How many edges an edge of a shape meets on average, itself and its neighbours among them, that is worth repairing.
_MEETINGS = 16
#: Pairs of edges looked at, at once.
_PAIRS = 1_000_000
_COLUMNS = frozenset({"ImageId", "BuildingId", "PolygonWKT_Pix", "Confidence"})
_POLYGON_WKT = re.compile(r"\s*(?:MULTI)?POLYGON\b", re.IGNORECASE)


@dataclass(frozen=True)
class Repairs:
    """What had to be done to the geometries of a file."""

    repaired: int = 0  #: invalid rings made valid
    dropped: int = 0  #: null, empty, collapsed, not finite or too tangled
    skipped: int = 0  #: points and lines: no building
    multipart: int = 0  #: MultiPolygons, all their parts kept

    def __add__(self, other: "Repairs") -> "Repairs":
        return Repairs(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __str__(self) -> str:
        found = [f"{getattr(self, f.name)} {f.name}" for f in fields(self) if getattr(self, f.name)]
        return ", ".join(found) or "nothing to repair"


@dataclass(frozen=True)
class Footprints:
    """Building footprints: a GeoDataFrame of `id`, `image`, `confidence` (0 to 1, or the file's own) and geometry.

    `crs` is None where the geometries are pixel coordinates. `images` also names images without a building.
    """

    frame: gpd.GeoDataFrame
    images: tuple[str, ...] = ()
    repairs: Repairs = field(default_factory=Repairs)

    @classmethod
    def of(
        cls,
        geometries: Geometries,
        crs: pyproj.CRS | None,
        confidence: Iterable[float] | float = 1.0,
        image: Iterable[str] | str = "",
        images: tuple[str, ...] = (),
        repairs: Repairs | None = None,
    ) -> "Footprints":
        """Footprints numbered from 1."""
        columns = {"id": np.arange(1, len(geometries) + 1), "image": image, "confidence": confidence}
        frame = gpd.GeoDataFrame(pd.DataFrame(columns, index=np.arange(len(geometries))), geometry=geometries, crs=crs)
        return cls(frame, images or tuple(pd.unique(frame["image"])), repairs or Repairs())

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def geometries(self) -> Geometries:
        """The shapes as a plain array."""
        return np.asarray(self.frame.geometry.to_numpy(), dtype=object)

    @property
    def confidence(self) -> np.ndarray:
        """Float64, one a footprint."""
        return self.frame["confidence"].to_numpy(dtype=float)

    @property
    def crs(self) -> pyproj.CRS | None:
        """The ground's CRS, or None for pixel coordinates."""
        return self.frame.crs

    @cached_property
    def area_m2(self) -> np.ndarray:
        """Square metres on the ground, one a footprint; raises where the coordinates are pixels."""
        assert self.crs is not None, "pixel coordinates have no square metres"
        return area_m2(self.geometries, self.crs)

    def of_image(self, image: str) -> "Footprints":
        """Only those of one image, where the file tells images apart; repairs stay with a file of several images."""
        if not any(self.images):
            return self
        repairs = self.repairs if self.images == (image,) else Repairs()
        return Footprints(self.frame[self.frame["image"] == image], (image,), repairs)

    def named(self, image: str) -> "Footprints":
        """The same footprints as those of one image."""
        return Footprints(self.frame.assign(image=image), (image,), self.repairs)

    def to_crs(self, crs: pyproj.CRS) -> "Footprints":
        """The same footprints in another CRS."""
        assert self.crs is not None, "pixel coordinates have no CRS"
        moved = self.frame.set_geometry(reproject(self.geometries, self.crs, crs), crs=crs)
        return Footprints(moved, self.images, self.repairs)


def read_footprints(path: Path) -> Footprints:
    """Footprints of a .geojson, .json or .csv file (SpaceNet's columns, pixel coordinates).

    Raises NoSuchPath, UnknownFootprintFormat, and what read_geojson and read_csv raise.
    """
    check_file(path)
    suffix = path.suffix.lower()
    if suffix in (".geojson", ".json"):
        return read_geojson(path)
    if suffix == ".csv":
        return read_csv(path)
    raise UnknownFootprintFormat(name=path, known=".geojson, .csv")


def read_geojson(path: Path) -> Footprints:
    """All polygon parts of a FeatureCollection, Z dropped, invalid ones repaired; a zero-byte file holds none.

    Raises CannotRead, NotGeoJSON, FootprintsWithoutCRS, VectorTooLarge.
    """
    document = _document(path)
    polygons, repairs = _polygons(document["features"])
    check_vertices(path, sum(map(len, chain.from_iterable(polygons))))
    geometries, mended = _repaired(_assemble(polygons))
    return Footprints.of(geometries, _crs(path, document, geometries), repairs=repairs + mended)


def _document(path: Path) -> dict[str, Any]:
    """A FeatureCollection as it was written; one without features where the file is blank."""
    check_json(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CannotRead(name=path, detail=error.strerror) from error
    if not text.strip():
        return {"features": []}
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotGeoJSON(name=path, detail=f"line {error.lineno} is not JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("features"), list):
        raise NotGeoJSON(name=path, detail="it has no list of features")
    return document


def read_named_polygons(path: Path, name: str) -> dict[str, Polygon]:
    """The first polygon of every feature by one of its properties, in longitude and latitude; others are left out.

    Raises NoSuchPath, CannotRead, NotGeoJSON, FootprintsWithoutCRS, VectorTooLarge.
    """
    check_file(path)
    document, found = _document(path), {}
    for feature in document["features"]:
        parts, _ = _polygons([feature])
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if parts and isinstance(properties, dict) and name in properties:
            found[str(properties[name])] = parts[0]
    check_vertices(path, sum(map(len, chain.from_iterable(found.values()))))
    shapes = _assemble([*found.values()])
    ground = reproject(shapes, _crs(path, document, shapes), LONLAT)
    return dict(zip(found, ground, strict=True))


def _crs(path: Path, document: dict[str, Any], geometries: Geometries) -> pyproj.CRS:
    """The old "crs" member, else longitude and latitude as RFC 7946 has it, where the numbers allow that."""
    member = document.get("crs")
    try:
        name = member["properties"]["name"] if member else None
        crs = LONLAT if not name or "CRS84" in str(name) else crs_from(str(name))
        on_earth = (crs.is_geographic or crs.is_projected) and _is_on_earth(geometries, crs)
    except (CRSError, ProjError, KeyError, TypeError) as error:
        raise FootprintsWithoutCRS(name=path) from error
    if not on_earth:
        raise FootprintsWithoutCRS(name=path)
    return crs


def _is_on_earth(geometries: Geometries, crs: pyproj.CRS) -> bool:
    """Whether the corners of the box around the shapes are longitudes and latitudes."""
    if len(geometries) == 0:
        return True
    west, south, east, north = shapely.total_bounds(geometries)
    lon, lat = transformer(crs, LONLAT).transform([west, west, east, east], [south, north, south, north])
    return bool((np.abs(lon) <= 180).all() and (np.abs(lat) <= 90).all())


def _geometries_of(geometry: Any) -> Iterator[tuple[str, Any]]:
    """(type, coordinates) of a GeoJSON geometry and of those inside a collection."""
    if not isinstance(geometry, dict):
        yield "null", None
    elif geometry.get("type") == "GeometryCollection":
        parts = geometry.get("geometries")
        for part in parts if isinstance(parts, list) else [None]:
            yield from _geometries_of(part)
    else:
        yield str(geometry.get("type")), geometry.get("coordinates")


def _polygons(features: list[Any]) -> tuple[list[list[_Ring]], Repairs]:
    """The rings of every polygon part, and how many were left out."""
    kept: list[list[_Ring]] = []
    dropped = skipped = multipart = 0
    for feature in features:
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        for kind, coordinates in _geometries_of(geometry):
            if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
                skipped += 1
                continue
            several = kind == "MultiPolygon" and isinstance(coordinates, list)
            multipart += several
            parts = coordinates if several else [coordinates if kind == "Polygon" else None]
            rings = [_rings(part) for part in parts or [None]]
            kept += [ring for ring in rings if ring]
            dropped += sum(not ring for ring in rings)
    return kept, Repairs(dropped=dropped, skipped=skipped, multipart=multipart)


def _rings(coordinates: Any) -> list[_Ring]:
    """A polygon's rings without Z, closed; none where the outer one is no ring of finite numbers."""
    rings = []
    for n, ring in enumerate(coordinates if isinstance(coordinates, list) else []):
        try:
            points = np.array([point[:2] for point in ring], dtype=float)
        except (TypeError, ValueError, KeyError, OverflowError):
            points = np.empty((0, 2))
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not (np.abs(points) < _FARTHEST).all():
            if n == 0:
                return []
            continue
        closed = points if (points[0] == points[-1]).all() else np.vstack([points, points[:1]])
        if len(closed) >= 4:
            rings.append(closed.tolist())
        elif n == 0:
            return []
    return rings


def _assemble(polygons: list[list[_Ring]]) -> Geometries:
    """All polygons at once from their rings."""
    if not polygons:
        return np.empty(0, object)
    rings = list(chain.from_iterable(polygons))
    points = np.array(list(chain.from_iterable(rings)), dtype=float)
    ring_ends = np.cumsum([0, *map(len, rings)])
    polygon_ends = np.cumsum([0, *map(len, polygons)])
    made = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (ring_ends, polygon_ends))
    return np.asarray(made, dtype=object)


def _repaired(polygons: Geometries) -> tuple[Geometries, Repairs]:
    """Valid polygons only; a shape that falls apart gives all its parts."""
    mended, _, repairs = _made_valid(polygons)
    if repairs.repaired:
        mended = shapely.get_parts(shapely.get_parts(mended))
        mended = mended[(shapely.get_type_id(mended) == shapely.GeometryType.POLYGON) & (shapely.area(mended) > 0)]
    return mended, repairs


def _made_valid(shapes: Geometries) -> tuple[Geometries, Where, Repairs]:
    """Each shape made valid, without those that have no area, and which ones were kept."""
    bad = ~shapely.is_valid(shapes)  # None is invalid too
    shapes = shapes.copy()
    shapes[bad] = [None if _is_tangled(shape) else shape for shape in shapes[bad]]
    shapes[bad] = shapely.make_valid(shapes[bad], method="structure", keep_collapsed=False)
    solid = shapely.area(shapes) > 0
    return shapes[solid], solid, Repairs(repaired=int((bad & solid).sum()), dropped=int((~solid).sum()))


def _is_tangled(shape: shapely.Geometry | None) -> bool:
    """Whether its edges cross so often that repairing it would take minutes and gigabytes: 3000 vertices are enough."""
    points = shapely.get_coordinates(shape)
    if len(points) <= _MEETINGS:
        return False
    edges = np.asarray(shapely.linestrings(np.stack([points[:-1], points[1:]], axis=1)), dtype=object)
    tree, met = shapely.STRtree(edges), 0
    for some in np.array_split(edges, 1 + len(edges) ** 2 // _PAIRS):  # no more than a million answers at once
        met += tree.query(some).shape[1]
        if met > _MEETINGS * len(edges):
            return True
    return False


def read_csv(path: Path) -> Footprints:
    """SpaceNet's CSV: ImageId, BuildingId, PolygonWKT_Pix and, for proposals, Confidence; crs is None (pixels).

    One row is one building, also where it is a MultiPolygon. BuildingId -1 or an empty polygon says "no building".
    Raises CannotRead, NotFootprintsCSV, VectorTooLarge.
    """
    table = _read_table(path)
    shapes = _from_wkt(table["PolygonWKT_Pix"])
    check_vertices(path, int(shapely.get_num_coordinates(shapes).sum()))
    number = pd.to_numeric(table.get("BuildingId", pd.Series(0, table.index)), errors="coerce").to_numpy()
    meant = (number != -1) & ~shapely.is_empty(shapes)
    geometries, kept, repairs = _made_valid(shapes[meant])
    rows = table[meant][kept]
    confidence = pd.to_numeric(rows.get("Confidence", pd.Series(1.0, rows.index)), errors="coerce").fillna(0.0)
    images = tuple(table["ImageId"].dropna().unique())
    return Footprints.of(geometries, None, confidence.to_numpy(), rows["ImageId"].to_numpy(), images, repairs)


def _read_table(path: Path) -> pd.DataFrame:
    check_csv(path)
    try:
        table = pd.read_csv(
            path, index_col=False, usecols=_COLUMNS.__contains__, dtype={"ImageId": str}, encoding_errors="replace",
            low_memory=False,
        )  # fmt: skip
    except (ValueError, pd.errors.ParserError) as error:
        raise NotFootprintsCSV(name=path, detail=str(error).splitlines()[0]) from error
    except OSError as error:
        raise CannotRead(name=path, detail=error.strerror) from error
    missing = {"ImageId", "PolygonWKT_Pix"} - set(table.columns)
    if missing:
        raise NotFootprintsCSV(name=path, detail=f"{' and '.join(sorted(missing))} missing")
    return table


def _from_wkt(cells: Iterable[object]) -> Geometries:
    """Polygons without Z; None for what is not one, or not finite."""
    # Only polygons get to GEOS: it follows collections inside collections until the stack ends and the process dies.
    polygons = [cell if isinstance(cell, str) and _POLYGON_WKT.match(cell) else None for cell in cells]
    with np.errstate(invalid="ignore"):
        shapes = shapely.force_2d(shapely.from_wkt(polygons, on_invalid="ignore"))
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    shapes[owner[~(np.abs(points) < _FARTHEST).all(axis=1)]] = None
    return np.asarray(shapes, dtype=object)
