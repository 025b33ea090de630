"""Vector footprints: read GeoJSON and SpaceNet CSV into Footprints, repairing invalid geometries.

Parsed by orjson and shapely, never by OGR: an OGR VRT called .geojson could read any file of this machine.
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
from core.formatting import counted
from core.geo.grid import LONLAT, area_m2, crs_from, reproject, transformer
from core.geo.vector_limits import check_csv, check_file, check_json, check_vertices
from core.types import BoolMask, Geometries

_Ring = list[list[float]]
#: Maximum coordinate; larger ones are neither on earth nor pixels, and their squares would overflow.
_MAX_COORDINATE = 1e15
#: Maximum mean number of edges that an edge of a shape intersects, itself and its neighbors included.
_MAX_INTERSECTIONS = 16
#: Pairs of edges queried at once.
_MAX_PAIRS = 1_000_000
_COLUMNS = frozenset({"ImageId", "BuildingId", "PolygonWKT_Pix", "Confidence"})
_POLYGON_WKT = re.compile(r"\s*(?:MULTI)?POLYGON\b", re.IGNORECASE)


@dataclass(frozen=True)
class Repairs:
    """Counts of repaired, dropped, skipped and split geometries of a file."""

    repaired: int = 0  #: invalid rings made valid
    dropped: int = 0  #: null, empty, collapsed, not finite, or with too many self-intersections
    skipped: int = 0  #: points and lines
    multipart: int = 0  #: MultiPolygons, split into their polygons

    def __add__(self, other: "Repairs") -> "Repairs":
        return Repairs(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __str__(self) -> str:
        counts = (
            (self.repaired, "invalid polygon", "repaired"), (self.dropped, "unusable shape", "dropped"),
            (self.skipped, "non-polygon", "skipped"), (self.multipart, "multipart polygon", "split"),
        )  # fmt: skip
        return ", ".join(f"{counted(n, noun)} {verb}" for n, noun, verb in counts if n) or "no repairs"


@dataclass(frozen=True)
class Footprints:
    """Building footprints: a GeoDataFrame of `id`, `image`, `confidence` (0 to 1, or the file's own) and geometry.

    `crs` is None for pixel coordinates. `images` also names images without a building.
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
        """Make footprints with ids counted from 1.

        Args:
            geometries: Polygons.
            crs: Their CRS, None for pixel coordinates.
            confidence: Confidence of each.
            image: Image of each.
            images: All images, by default those that occur.
            repairs: Repairs of the file.
        """
        columns = {"id": np.arange(1, len(geometries) + 1), "image": image, "confidence": confidence}
        frame = gpd.GeoDataFrame(pd.DataFrame(columns, index=np.arange(len(geometries))), geometry=geometries, crs=crs)
        return cls(frame, images or tuple(pd.unique(frame["image"])), repairs or Repairs())

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def geometries(self) -> Geometries:
        """Return the polygons as a plain array.

        Returns:
            (n,) object array.
        """
        return np.asarray(self.frame.geometry.to_numpy(), dtype=object)

    @property
    def confidence(self) -> np.ndarray:
        """Return the confidence, (n,) float64."""
        return self.frame["confidence"].to_numpy(dtype=float)

    @property
    def crs(self) -> pyproj.CRS | None:
        """Return the CRS, None for pixel coordinates."""
        return self.frame.crs

    @cached_property
    def area_m2(self) -> np.ndarray:
        """Return areas on the ground [m²], (n,) float64; fails for pixel coordinates."""
        assert self.crs is not None, "pixel coordinates have no area in m²"
        return area_m2(self.geometries, self.crs)

    def of_image(self, image: str) -> "Footprints":
        """Select the footprints of one image, if the file names images; repairs are those of a single image."""
        if not any(self.images):
            return self
        repairs = self.repairs if self.images == (image,) else Repairs()
        return Footprints(self.frame[self.frame["image"] == image], (image,), repairs)

    def of_image_id(self, image: str) -> "Footprints":
        """Return the same footprints with another image."""
        return Footprints(self.frame.assign(image=image), (image,), self.repairs)

    def to_crs(self, crs: pyproj.CRS) -> "Footprints":
        """Reproject to another CRS."""
        assert self.crs is not None, "pixel coordinates have no CRS"
        frame = self.frame.set_geometry(reproject(self.geometries, self.crs, crs), crs=crs)
        return Footprints(frame, self.images, self.repairs)


def read_footprints(path: Path) -> Footprints:
    """Read the footprints of a .geojson, .json or .csv file (SpaceNet's columns, pixel coordinates).

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
    """Read all polygons of a GeoJSON FeatureCollection, without Z, repaired if invalid; a blank file holds none.

    Raises CannotRead, NotGeoJSON, FootprintsWithoutCRS, VectorTooLarge.
    """
    document = _read_feature_collection(path)
    polygons, repairs = _polygons(document["features"])
    check_vertices(path, sum(map(len, chain.from_iterable(polygons))))
    geometries, geometry_repairs = _repair(_assemble(polygons))
    return Footprints.of(geometries, _declared_crs(path, document, geometries), repairs=repairs + geometry_repairs)


def _read_feature_collection(path: Path) -> dict[str, Any]:
    """Parse a FeatureCollection; a blank file has no features."""
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
    """Read the first polygon of every feature by one of its properties, in longitude and latitude.

    Features without the property or a polygon are left out. Raises NoSuchPath, CannotRead, NotGeoJSON,
    FootprintsWithoutCRS, VectorTooLarge.
    """
    check_file(path)
    document, rings_by_name = _read_feature_collection(path), {}
    for feature in document["features"]:
        polygons, _ = _polygons([feature])
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if polygons and isinstance(properties, dict) and name in properties:
            rings_by_name[str(properties[name])] = polygons[0]
    check_vertices(path, sum(map(len, chain.from_iterable(rings_by_name.values()))))
    shapes = _assemble([*rings_by_name.values()])
    lonlat = reproject(shapes, _declared_crs(path, document, shapes), LONLAT)
    return dict(zip(rings_by_name, lonlat, strict=True))


def _declared_crs(path: Path, document: dict[str, Any], geometries: Geometries) -> pyproj.CRS:
    """Return the CRS of the old "crs" member, else longitude and latitude (RFC 7946), if the coordinates allow it."""
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
    """Tell whether the corners of the bounding box are longitudes and latitudes."""
    if len(geometries) == 0:
        return True
    west, south, east, north = shapely.total_bounds(geometries)
    lon, lat = transformer(crs, LONLAT).transform([west, west, east, east], [south, north, south, north])
    return bool((np.abs(lon) <= 180).all() and (np.abs(lat) <= 90).all())


def _geometries_of(geometry: Any) -> Iterator[tuple[str, Any]]:
    """Yield (type, coordinates) of a GeoJSON geometry, or of the members of a collection."""
    if not isinstance(geometry, dict):
        yield "null", None
    elif geometry.get("type") == "GeometryCollection":
        members = geometry.get("geometries")
        for member in members if isinstance(members, list) else [None]:
            yield from _geometries_of(member)
    else:
        yield str(geometry.get("type")), geometry.get("coordinates")


def _polygons(features: list[Any]) -> tuple[list[list[_Ring]], Repairs]:
    """Return the rings of every polygon, and how many geometries were left out."""
    polygons: list[list[_Ring]] = []
    dropped = skipped = multipart = 0
    for feature in features:
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        for kind, coordinates in _geometries_of(geometry):
            if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
                skipped += 1
                continue
            is_multi = kind == "MultiPolygon" and isinstance(coordinates, list)
            multipart += is_multi
            members = coordinates if is_multi else [coordinates if kind == "Polygon" else None]
            polygon_rings = [_rings(member) for member in members or [None]]
            polygons += [ring for ring in polygon_rings if ring]
            dropped += sum(not ring for ring in polygon_rings)
    return polygons, Repairs(dropped=dropped, skipped=skipped, multipart=multipart)


def _rings(coordinates: Any) -> list[_Ring]:
    """Return the closed rings of a polygon without Z; none if the outer ring is no ring of finite numbers."""
    rings = []
    for n, ring in enumerate(coordinates if isinstance(coordinates, list) else []):
        try:
            points = np.array([point[:2] for point in ring], dtype=float)
        except (TypeError, ValueError, KeyError, OverflowError):
            points = np.empty((0, 2))
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not (np.abs(points) < _MAX_COORDINATE).all():
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
    """Build all polygons at once from their rings."""
    if not polygons:
        return np.empty(0, object)
    rings = list(chain.from_iterable(polygons))
    points = np.array(list(chain.from_iterable(rings)), dtype=float)
    ring_ends = np.cumsum([0, *map(len, rings)])
    polygon_ends = np.cumsum([0, *map(len, polygons)])
    assembled = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (ring_ends, polygon_ends))
    return np.asarray(assembled, dtype=object)


def _repair(polygons: Geometries) -> tuple[Geometries, Repairs]:
    """Make polygons valid; a shape that falls apart yields all its parts."""
    valid, _, repairs = _make_valid(polygons)
    if repairs.repaired:
        valid = shapely.get_parts(shapely.get_parts(valid))
        valid = valid[(shapely.get_type_id(valid) == shapely.GeometryType.POLYGON) & (shapely.area(valid) > 0)]
    return valid, repairs


def _make_valid(shapes: Geometries) -> tuple[Geometries, BoolMask, Repairs]:
    """Make shapes valid and drop those without area; also returns the mask of those with area."""
    invalid = ~shapely.is_valid(shapes)  # None is invalid too
    shapes = shapes.copy()
    shapes[invalid] = [None if _is_tangled(shape) else shape for shape in shapes[invalid]]
    shapes[invalid] = shapely.make_valid(shapes[invalid], method="structure", keep_collapsed=False)
    has_area = shapely.area(shapes) > 0
    return shapes[has_area], has_area, Repairs(repaired=int((invalid & has_area).sum()), dropped=int((~has_area).sum()))


def _is_tangled(shape: shapely.Geometry | None) -> bool:
    """Tell whether a shape crosses itself too often to repair: 3000 vertices can take minutes and gigabytes."""
    points = shapely.get_coordinates(shape)
    if len(points) <= _MAX_INTERSECTIONS:
        return False
    edges = np.asarray(shapely.linestrings(np.stack([points[:-1], points[1:]], axis=1)), dtype=object)
    tree, intersections = shapely.STRtree(edges), 0
    for chunk in np.array_split(edges, 1 + len(edges) ** 2 // _MAX_PAIRS):  # at most a million pairs at once
        intersections += tree.query(chunk).shape[1]
        if intersections > _MAX_INTERSECTIONS * len(edges):
            return True
    return False


def read_csv(path: Path) -> Footprints:
    """Read a SpaceNet CSV: ImageId, BuildingId, PolygonWKT_Pix and, for proposals, Confidence; crs is None (pixels).

    One row is one building, even a MultiPolygon. BuildingId -1 or an empty polygon means "no building".
    Raises CannotRead, NotFootprintsCSV, VectorTooLarge.
    """
    table = _read_table(path)
    shapes = _from_wkt(table["PolygonWKT_Pix"])
    check_vertices(path, int(shapely.get_num_coordinates(shapes).sum()))
    number = pd.to_numeric(table.get("BuildingId", pd.Series(0, table.index)), errors="coerce").to_numpy()
    is_building = (number != -1) & ~shapely.is_empty(shapes)
    geometries, has_area, repairs = _make_valid(shapes[is_building])
    rows = table[is_building][has_area]
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
    """Parse polygons without Z; None for other geometries and non-finite coordinates."""
    # Only polygons are passed to GEOS: nested collections overflow its stack and kill the process.
    polygons = [cell if isinstance(cell, str) and _POLYGON_WKT.match(cell) else None for cell in cells]
    with np.errstate(invalid="ignore"):
        shapes = shapely.force_2d(shapely.from_wkt(polygons, on_invalid="ignore"))
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    shapes[owner[~(np.abs(points) < _MAX_COORDINATE).all(axis=1)]] = None
    return np.asarray(shapes, dtype=object)
