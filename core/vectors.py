"""The only door for footprints: GeoJSON and SpaceNet CSV in, one carrier out. Nothing real data holds stops it.

Parsed by orjson and shapely, never by OGR: an OGR VRT called .geojson would read any file of this machine.
"""

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
from pyproj.exceptions import CRSError

from core.errors import (
    FootprintsWithoutCRS,
    NoSuchPath,
    NotFootprintsCSV,
    NotGeoJSON,
    UnknownFootprintFormat,
    VectorTooLarge,
)
from core.grids import LONLAT, area_m2, reproject
from core.settings import settings
from core.types import Geometries

_Ring = list[list[float]]


@dataclass(frozen=True)
class Repairs:
    """What had to be done to the geometries of a file."""

    repaired: int = 0  #: invalid rings made valid
    dropped: int = 0  #: null, empty, collapsed or not finite
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
        """Only those of one image, where the file tells images apart."""
        if not any(self.images):
            return self
        return Footprints(self.frame[self.frame["image"] == image], (image,), self.repairs)

    def named(self, image: str) -> "Footprints":
        """The same footprints as those of one image."""
        return Footprints(self.frame.assign(image=image), (image,), self.repairs)

    def to_crs(self, crs: pyproj.CRS) -> "Footprints":
        """The same footprints in another CRS."""
        assert self.crs is not None, "pixel coordinates have no CRS"
        moved = self.frame.set_geometry(reproject(self.geometries, self.crs, crs), crs=crs)
        return Footprints(moved, self.images, self.repairs)


def read_footprints(path: Path) -> Footprints:
    """Footprints of a .geojson, .json or .csv file (SpaceNet's columns, pixel coordinates)."""
    if not path.is_file():
        raise NoSuchPath(name=path)
    _check_limit(path, path.stat().st_size, settings().max_vector_bytes, "bytes", "GROUNDPLAN_MAX_VECTOR_BYTES")
    suffix = path.suffix.lower()
    if suffix in (".geojson", ".json"):
        return read_geojson(path)
    if suffix == ".csv":
        return read_csv(path)
    raise UnknownFootprintFormat(name=path, known=".geojson, .csv")


def _check_limit(path: Path, found: int, limit: int, unit: str, variable: str) -> None:
    if found > limit:
        raise VectorTooLarge(name=path, size=f"{found:,} {unit}", limit=f"{limit:,}", variable=variable)


def read_geojson(path: Path) -> Footprints:
    """All polygon parts of a FeatureCollection, Z dropped, invalid ones repaired; a zero-byte file holds none.

    Raises NotGeoJSON, FootprintsWithoutCRS, VectorTooLarge.
    """
    text = path.read_bytes()
    if not text.strip():
        return Footprints.of(np.empty(0, object), LONLAT)
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotGeoJSON(name=path, detail=f"line {error.lineno} is not JSON") from error
    if not isinstance(document, dict) or not isinstance(document.get("features"), list):
        raise NotGeoJSON(name=path, detail="it has no list of features")
    polygons, repairs = _polygons(document["features"])
    _check_limit(
        path,
        sum(map(len, chain.from_iterable(polygons))),
        settings().max_vertices,
        "vertices",
        "GROUNDPLAN_MAX_VERTICES",
    )
    geometries, mended = _repaired(_assemble(polygons))
    return Footprints.of(geometries, _crs(path, document, geometries), repairs=repairs + mended)


def _crs(path: Path, document: dict[str, Any], geometries: Geometries) -> pyproj.CRS:
    """The old "crs" member, else longitude and latitude as RFC 7946 has it, where the numbers allow that."""
    member = document.get("crs")
    try:
        name = member["properties"]["name"] if member else None
        named = pyproj.CRS.from_user_input(name) if name else None
    except (CRSError, KeyError, TypeError) as error:
        raise FootprintsWithoutCRS(name=path) from error
    if named is not None:
        return LONLAT if named.is_geographic and "CRS84" in str(name) else named
    west, south, east, north = shapely.total_bounds(geometries) if len(geometries) else (0, 0, 0, 0)
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise FootprintsWithoutCRS(name=path)
    return LONLAT


def _geometries_of(geometry: Any) -> Iterator[tuple[str, Any]]:
    """(type, coordinates) of a GeoJSON geometry and of those inside a collection."""
    if not isinstance(geometry, dict):
        yield "null", None
    elif geometry.get("type") == "GeometryCollection":
        for part in geometry.get("geometries") or []:
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
            parts = coordinates if kind == "MultiPolygon" else [coordinates]
            multipart += kind == "MultiPolygon"
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
        except (TypeError, ValueError, OverflowError):
            points = np.empty((0, 2))
        if points.ndim != 2 or len(points) < 3 or not (np.abs(points) < 1e15).all():
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
    bad = ~shapely.is_valid(polygons)
    if bad.any():
        polygons = polygons.copy()
        polygons[bad] = shapely.make_valid(polygons[bad], method="structure", keep_collapsed=False)
        polygons = shapely.get_parts(shapely.get_parts(polygons))
    solid = (shapely.get_type_id(polygons) == shapely.GeometryType.POLYGON) & (shapely.area(polygons) > 0)
    return polygons[solid], Repairs(repaired=int(bad.sum()), dropped=int((~solid).sum()))


def read_csv(path: Path) -> Footprints:
    """SpaceNet's CSV: ImageId, BuildingId, PolygonWKT_Pix and, for proposals, Confidence; crs is None (pixels).

    One row is one building, also where it is a MultiPolygon. BuildingId -1 or an empty polygon says "no building".
    """
    try:
        table = pd.read_csv(path, index_col=False, dtype={"ImageId": str}, encoding_errors="replace")
    except (ValueError, pd.errors.ParserError) as error:
        raise NotFootprintsCSV(name=path, detail=str(error).splitlines()[0]) from error
    missing = {"ImageId", "PolygonWKT_Pix"} - set(table.columns)
    if missing:
        raise NotFootprintsCSV(name=path, detail=f"{' and '.join(sorted(missing))} missing")
    shapes = shapely.force_2d(shapely.from_wkt(table["PolygonWKT_Pix"].astype(str).to_numpy(), on_invalid="ignore"))
    bad = ~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)
    shapes[bad] = shapely.make_valid(shapes[bad], method="structure", keep_collapsed=False)
    building = shapely.area(shapes) > 0
    confidence = pd.to_numeric(table.get("Confidence", pd.Series(1.0, table.index)), errors="coerce").fillna(0.0)
    return Footprints.of(
        shapes[building], None, confidence[building].to_numpy(), table["ImageId"][building].to_numpy(),
        tuple(table["ImageId"].dropna().unique()), Repairs(int((bad & building).sum()), int((~building).sum())),
    )  # fmt: skip
