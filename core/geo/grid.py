"""Where pixels lie: size, affine transform and CRS of an array, and the way between pixels and the ground."""

import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import inf, isfinite, sqrt

import numpy as np
import pyproj
import shapely
from affine import Affine
from pyproj.exceptions import CRSError, ProjError
from shapely import Polygon

from core.types import Bounds, Geometries

LONLAT = pyproj.CRS.from_epsg(4326)
WEB_MERCATOR = pyproj.CRS.from_epsg(3857)
#: Degrees, about a metre: tiles that are no further apart are neighbours, also by a corner.
TOUCHING = 1e-5
#: How far Web Mercator reaches to each side of its middle, in its metres; a metre is for rounding.
_HALF_MAP = 20_037_508.34 + 1
#: Parts into which a rim is cut to see where it goes.
_RIM_PARTS = 64
#: Parts of a CRS for which PROJ opens whichever file they name, a pipe or a device too; "@null" names none.
_NAMES_FILES = re.compile(r"init=|PARAMETERFILE|PROJ4_GRIDS|grids=(?!@null(?![\w,]))", re.IGNORECASE)
#: Longer than any WKT there is.
_LONGEST_CRS = 50_000


def crs_from(text: str) -> pyproj.CRS:
    """The CRS of a code, a WKT or a PROJ string that came from outside.

    Raises pyproj's CRSError where it is none, and where PROJ would have to open another file to use it.
    """
    if len(text) > _LONGEST_CRS or text.lstrip().startswith("{") or _NAMES_FILES.search(text):
        raise CRSError("it names files, or is no code, WKT or PROJ string")
    crs = pyproj.CRS.from_user_input(text.encode(errors="replace").decode())  # it may not hold half a character
    if _NAMES_FILES.search(crs.to_wkt()):
        raise CRSError("it names files")
    return crs


@cache
def transformer(source: pyproj.CRS, target: pyproj.CRS) -> pyproj.Transformer:
    """Coordinates of one CRS into another, always x (longitude, easting) first."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def reproject(geometries: Geometries, source: pyproj.CRS, target: pyproj.CRS) -> Geometries:
    """The same shapes in another CRS, vertex by vertex; Z is dropped."""
    if source == target or len(geometries) == 0:
        return np.asarray(shapely.force_2d(geometries), dtype=object)
    turn = transformer(source, target)
    moved = turn.transform(*shapely.get_coordinates(geometries).T)
    return np.asarray(shapely.set_coordinates(shapely.force_2d(geometries), np.column_stack(moved)), dtype=object)


def equal_area_crs(geometries: Geometries, crs: pyproj.CRS) -> pyproj.CRS:
    """Lambert's equal-area projection in metres around the shapes: areas in it are areas on the ground."""
    west, south, east, north = shapely.total_bounds(geometries)
    lon, lat = transformer(crs, LONLAT).transform((west + east) / 2, (south + north) / 2)
    return pyproj.CRS.from_dict({"proj": "laea", "lat_0": round(lat, 6), "lon_0": round(lon, 6), "datum": "WGS84"})


def area_m2(geometries: Geometries, crs: pyproj.CRS) -> np.ndarray:
    """Area of each shape in square metres on the ground; float64 of the same length."""
    return np.asarray(shapely.area(_flat(geometries, crs)))


def perimeter_m(geometries: Geometries, crs: pyproj.CRS) -> np.ndarray:
    """Length of each shape's walls, those of its holes too, in metres on the ground; float64 of the same length."""
    return np.asarray(shapely.length(_flat(geometries, crs)))


def _flat(geometries: Geometries, crs: pyproj.CRS) -> Geometries:
    """In metres on the ground around them."""
    return reproject(geometries, crs, equal_area_crs(geometries, crs)) if len(geometries) else geometries


@dataclass(frozen=True)
class Grid:
    """A raster's georeference. `transform` takes (column, row) of pixel corners to (x, y) of `crs`."""

    width: int
    height: int
    transform: Affine
    crs: pyproj.CRS

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.height, self.width

    @property
    def rim(self) -> Polygon:
        """The four corners in the grid's CRS, right also where the grid is rotated."""
        corners = [(0, 0), (self.width, 0), (self.width, self.height), (0, self.height)]
        return Polygon([self.transform @ corner for corner in corners])

    @cached_property
    def footprint(self) -> Polygon:
        """The ground it covers in longitude and latitude."""
        rim: Polygon = reproject(np.array([self.rim]), self.crs, LONLAT)[0]
        return rim

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north in degrees."""
        west, south, east, north = self.footprint.bounds
        return west, south, east, north

    @property
    def is_on_earth(self) -> bool:
        """Whether its corners are longitudes and latitudes, and its pixels have two sides."""
        if not all(map(isfinite, self.transform)) or self.transform.is_degenerate:
            return False
        try:
            west, south, east, north = self.bounds
            across, down = self.pixel_m
        except ProjError:  # a CRS without a way to the ground
            return False
        return -360 <= west <= east <= 360 and -90 <= south <= north <= 90 and 0 < across < inf and 0 < down < inf

    @property
    def is_on_map(self) -> bool:
        """Whether Web Mercator shows it in one piece: it neither crosses the date line, as everything around a pole
        does, nor reaches beyond 85.06 degrees. Asked of what is on earth.
        """
        rim = shapely.segmentize(self.rim, self.rim.length / _RIM_PARTS)
        flat = shapely.get_coordinates(reproject(np.array([rim]), self.crs, WEB_MERCATOR))
        if not (np.abs(flat) <= _HALF_MAP).all():
            return False
        leaps = np.abs(np.diff(flat[:, 0])) > _HALF_MAP
        return not leaps.any() and Polygon(flat).area > 0

    @cached_property
    def pixel_m(self) -> tuple[float, float]:
        """Width and height of the middle pixel in metres on the ground (geodesic, whatever the CRS)."""
        column, row = self.width / 2, self.height / 2
        ends = [(column - 0.5, row), (column + 0.5, row), (column, row - 0.5), (column, row + 0.5)]
        x, y = zip(*(self.transform @ end for end in ends), strict=True)
        lon, lat = transformer(self.crs, LONLAT).transform(x, y)
        geod = self.crs.get_geod() or LONLAT.get_geod()
        assert geod is not None
        _, _, (across, down) = geod.inv([lon[0], lon[2]], [lat[0], lat[2]], [lon[1], lon[3]], [lat[1], lat[3]])
        return across, down

    @property
    def gsd_m(self) -> float:
        """Ground sample distance in metres: the side of the square as large as one pixel."""
        across, down = self.pixel_m
        return sqrt(across * down)

    def to_pixels(self, geometries: Geometries, crs: pyproj.CRS | None = None) -> Geometries:
        """Shapes from the ground (`crs`, the grid's own by default) into (column, row), no half-pixel shift."""
        ground = reproject(geometries, crs or self.crs, self.crs)
        return _affine(ground, ~self.transform)

    def to_ground(self, pixels: Geometries) -> Geometries:
        """Shapes from (column, row) into the grid's CRS."""
        return _affine(pixels, self.transform)

    def resized(self, width: int, height: int) -> "Grid":
        """The same ground cut into another number of pixels."""
        scale = Affine.scale(self.width / width, self.height / height)
        return replace(self, width=width, height=height, transform=self.transform @ scale)

    def at_gsd(self, gsd_m: tuple[float, float]) -> "Grid":
        """The same ground in pixels of so many metres across and down, as nearly as whole pixels can be."""
        across, down = self.pixel_m
        width, height = round(self.width * across / gsd_m[0]), round(self.height * down / gsd_m[1])
        return self.resized(max(width, 1), max(height, 1))

    def window(self, column: int, row: int, width: int, height: int) -> "Grid":
        """A part of the grid; (column, row) is its first pixel."""
        return replace(self, width=width, height=height, transform=self.transform @ Affine.translation(column, row))


def _affine(geometries: Geometries, by: Affine) -> Geometries:
    def move(xy: np.ndarray) -> np.ndarray:
        x, y = xy[:, 0], xy[:, 1]
        return np.column_stack([by.a * x + by.b * y + by.c, by.d * x + by.e * y + by.f])

    return shapely.transform(geometries, move)
