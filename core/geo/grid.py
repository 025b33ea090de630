"""Grid: georeference of a raster (size, affine transform, CRS), reprojection, geodesic areas and pixel sizes."""

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
#: Distance up to which tiles are neighbors, also by a corner: about a meter [°].
TOUCHING = 1e-5
#: Half the width of the Web Mercator map, with a meter for rounding [m].
_MAP_HALF_WIDTH = 20_037_508.34 + 1
#: Segments of an outline whose vertices are projected.
_RIM_SEGMENTS = 64
#: Parts of a CRS that make PROJ open any file they name, even a pipe or a device; "@null" names none.
_REFERS_TO_FILES = re.compile(r"init=|PARAMETERFILE|PROJ4_GRIDS|grids=(?!@null(?![\w,]))", re.IGNORECASE)
#: Maximum length of a CRS string; every real WKT is shorter.
_MAX_CRS_LENGTH = 50_000


def crs_from(text: str) -> pyproj.CRS:
    """Parse a CRS from a code, a WKT or a PROJ string of an untrusted file.

    Raises pyproj's CRSError if it is none, and if PROJ would have to open another file to use it.
    """
    if len(text) > _MAX_CRS_LENGTH or text.lstrip().startswith("{") or _REFERS_TO_FILES.search(text):
        raise CRSError("it refers to files, or is not a code, WKT or PROJ string")
    crs = pyproj.CRS.from_user_input(text.encode(errors="replace").decode())  # lone surrogates are no valid text
    if _REFERS_TO_FILES.search(crs.to_wkt()):
        raise CRSError("it refers to files")
    return crs


@cache
def transformer(source: pyproj.CRS, target: pyproj.CRS) -> pyproj.Transformer:
    """Return the cached transformer between two CRSs, always with x (longitude, easting) first."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def reproject(geometries: Geometries, source: pyproj.CRS, target: pyproj.CRS) -> Geometries:
    """Reproject geometries vertex by vertex; Z is dropped.

    Args:
        geometries: Geometries in `source`.
        source: Their CRS.
        target: CRS of the result.

    Returns:
        New geometries in `target`.
    """
    if source == target or len(geometries) == 0:
        return np.asarray(shapely.force_2d(geometries), dtype=object)
    to_target = transformer(source, target)
    coordinates = to_target.transform(*shapely.get_coordinates(geometries).T)
    return np.asarray(shapely.set_coordinates(shapely.force_2d(geometries), np.column_stack(coordinates)), dtype=object)


def equal_area_crs(geometries: Geometries, crs: pyproj.CRS) -> pyproj.CRS:
    """Return Lambert's azimuthal equal-area projection [m] centered on geometries.

    Args:
        geometries: Geometries in `crs`, at least one.
        crs: Their CRS.
    """
    west, south, east, north = shapely.total_bounds(geometries)
    lon, lat = transformer(crs, LONLAT).transform((west + east) / 2, (south + north) / 2)
    return pyproj.CRS.from_dict({"proj": "laea", "lat_0": round(lat, 6), "lon_0": round(lon, 6), "datum": "WGS84"})


def area_m2(geometries: Geometries, crs: pyproj.CRS) -> np.ndarray:
    """Compute areas on the ground.

    Args:
        geometries: Geometries in `crs`.
        crs: Their CRS.

    Returns:
        Area of each [m²], (n,) float64.
    """
    return np.asarray(shapely.area(_to_equal_area(geometries, crs)))


def perimeter_m(geometries: Geometries, crs: pyproj.CRS) -> np.ndarray:
    """Compute perimeters on the ground, holes included.

    Args:
        geometries: Geometries in `crs`.
        crs: Their CRS.

    Returns:
        Perimeter of each [m], (n,) float64.
    """
    return np.asarray(shapely.length(_to_equal_area(geometries, crs)))


def _to_equal_area(geometries: Geometries, crs: pyproj.CRS) -> Geometries:
    """Reproject to the equal-area projection around the geometries [m]."""
    return reproject(geometries, crs, equal_area_crs(geometries, crs)) if len(geometries) else geometries


@dataclass(frozen=True)
class Grid:
    """Georeference of a raster; `transform` maps (column, row) of pixel corners to (x, y) in `crs`.

    Comparable to the GeoBox of odc-geo.
    """

    width: int
    height: int
    transform: Affine
    crs: pyproj.CRS

    @property
    def shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return self.height, self.width

    @property
    def outline(self) -> Polygon:
        """Return the outline as a polygon in the grid's CRS, correct for rotated grids."""
        corners = [(0, 0), (self.width, 0), (self.width, self.height), (0, self.height)]
        return Polygon([self.transform @ corner for corner in corners])

    @cached_property
    def footprint(self) -> Polygon:
        """Return the outline in longitude and latitude."""
        rim: Polygon = reproject(np.array([self.outline]), self.crs, LONLAT)[0]
        return rim

    @property
    def bounds(self) -> Bounds:
        """Return west, south, east and north in degrees."""
        west, south, east, north = self.footprint.bounds
        return west, south, east, north

    @property
    def is_on_earth(self) -> bool:
        """Tell whether the corners are longitudes and latitudes, and the pixels have a positive size."""
        if not all(map(isfinite, self.transform)) or self.transform.is_degenerate:
            return False
        try:
            west, south, east, north = self.bounds
            pixel_width, pixel_height = self.pixel_m
        except ProjError:  # a CRS without a transformation to longitude and latitude
            return False
        return (
            -360 <= west <= east <= 360
            and -90 <= south <= north <= 90
            and 0 < pixel_width < inf
            and 0 < pixel_height < inf
        )

    @property
    def is_on_map(self) -> bool:
        """Tell whether Web Mercator shows the grid in one piece; it must be on earth.

        Grids that cross the date line, as all around a pole do, or reach beyond 85.06 degrees are not.
        """
        rim = shapely.segmentize(self.outline, self.outline.length / _RIM_SEGMENTS)
        coordinates = shapely.get_coordinates(reproject(np.array([rim]), self.crs, WEB_MERCATOR))
        if not (np.abs(coordinates) <= _MAP_HALF_WIDTH).all():
            return False
        jumps = np.abs(np.diff(coordinates[:, 0])) > _MAP_HALF_WIDTH
        return not jumps.any() and Polygon(coordinates).area > 0

    @cached_property
    def pixel_m(self) -> tuple[float, float]:
        """Return geodesic width and height of the center pixel [m], in any CRS."""
        column, row = self.width / 2, self.height / 2
        ends = [(column - 0.5, row), (column + 0.5, row), (column, row - 0.5), (column, row + 0.5)]
        x, y = zip(*(self.transform @ end for end in ends), strict=True)
        lon, lat = transformer(self.crs, LONLAT).transform(x, y)
        geod = self.crs.get_geod() or LONLAT.get_geod()
        assert geod is not None
        _, _, (width, height) = geod.inv([lon[0], lon[2]], [lat[0], lat[2]], [lon[1], lon[3]], [lat[1], lat[3]])
        return width, height

    @property
    def gsd_m(self) -> float:
        """Return the ground sample distance [m]: the side of a square with the area of a pixel."""
        width, height = self.pixel_m
        return sqrt(width * height)

    def to_pixels(self, geometries: Geometries, crs: pyproj.CRS | None = None) -> Geometries:
        """Transform geometries to pixel coordinates (column, row), without a half-pixel shift.

        Args:
            geometries: Geometries in `crs`.
            crs: Their CRS, the grid's by default.

        Returns:
            Geometries in pixels.
        """
        in_crs = reproject(geometries, crs or self.crs, self.crs)
        return _affine(in_crs, ~self.transform)

    def to_map(self, pixels: Geometries) -> Geometries:
        """Transform pixel coordinates to the grid's CRS.

        Args:
            pixels: Geometries in (column, row).

        Returns:
            Geometries in the grid's CRS.
        """
        return _affine(pixels, self.transform)

    def resized(self, width: int, height: int) -> "Grid":
        """Return the grid of the same area with another number of pixels."""
        scale = Affine.scale(self.width / width, self.height / height)
        return replace(self, width=width, height=height, transform=self.transform @ scale)

    def at_gsd(self, gsd_m: tuple[float, float]) -> "Grid":
        """Return the grid of the same area with pixels of (width, height) [m], rounded to whole pixels."""
        pixel_width, pixel_height = self.pixel_m
        width, height = round(self.width * pixel_width / gsd_m[0]), round(self.height * pixel_height / gsd_m[1])
        return self.resized(max(width, 1), max(height, 1))

    def window(self, column: int, row: int, width: int, height: int) -> "Grid":
        """Return the grid of a pixel window.

        Args:
            column: First column.
            row: First row.
            width: Columns of the window.
            height: Rows of the window.
        """
        return replace(self, width=width, height=height, transform=self.transform @ Affine.translation(column, row))


def _affine(geometries: Geometries, transform: Affine) -> Geometries:
    a, b, c, d, e, f = transform[:6]

    def move(xy: np.ndarray) -> np.ndarray:
        x, y = xy[:, 0], xy[:, 1]
        return np.column_stack([a * x + b * y + c, d * x + e * y + f])

    return shapely.transform(geometries, move)
