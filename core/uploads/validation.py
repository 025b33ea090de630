"""Validation of GeoTIFFs from any source: format, bands, data type, georeference, resolution and no-data."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyproj
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds

from core.errors import (
    EmptyImage,
    InvalidBoundingBox,
    MissingCRS,
    MissingGeoreference,
    OutOfBounds,
    RasterWithoutCRS,
    UnknownEPSG,
    UnsupportedDtype,
)
from core.geo import raster
from core.geo.cog import is_masked, nodata_share, non_alpha_bands
from core.geo.grid import LONLAT, Grid
from core.progress import Report, silent
from core.types import Bounds, GsdRange

MAX_BANDS = 16
DTYPES = ("uint8", "int8", "uint16", "int16", "float32", "float64")
#: Ground sampling distances [m] suitable for models trained on SpaceNet's 0.3 to 0.5 m.
SPACENET_GSD: GsdRange = (0.2, 1.0)
#: Share of no-data from which on a note is added.
_NODATA_NOTED = 0.5
_EPSG = re.compile(r"(?:EPSG\s*:?)?\s*(\d{4,6})", re.IGNORECASE)


@dataclass(frozen=True)
class Georeference:
    """Georeference entered by a person: an EPSG code for the image's own coordinates, or a bounding box."""

    epsg: str = ""  #: such as "EPSG:32611" or "32611"
    edges: Bounds | None = None  #: west, south, east, north [degrees]; replace the image's own georeference

    @classmethod
    def of(cls, epsg: str, edges: str = "") -> "Georeference":
        """Parse an EPSG code, and a bounding box "west,south,east,north"; raises InvalidBoundingBox."""
        try:
            west, south, east, north = map(float, edges.split(",")) if edges.strip() else (0.0,) * 4
        except ValueError as error:
            raise InvalidBoundingBox(edges=f'"{edges}"') from error
        return cls(epsg.strip(), (west, south, east, north) if edges.strip() else None)

    def __bool__(self) -> bool:
        return bool(self.epsg or self.edges)

    def __str__(self) -> str:
        return ", ".join(f"{degrees:g}°" for degrees in self.edges) if self.edges else f"EPSG:{_epsg_code(self.epsg)}"

    @property
    def crs(self) -> pyproj.CRS:
        """CRS of the EPSG code, or WGS 84 for a bounding box; raises UnknownEPSG."""
        if self.edges:
            return LONLAT
        try:
            crs = pyproj.CRS.from_epsg(_epsg_code(self.epsg))
        except CRSError as error:
            raise UnknownEPSG(code=self.epsg) from error
        if not crs.is_geographic and not crs.is_projected:
            raise UnknownEPSG(code=self.epsg)
        return crs


def _epsg_code(epsg: str) -> int:
    match = _EPSG.fullmatch(epsg.strip())
    if match is None:
        raise UnknownEPSG(code=epsg)
    return int(match[1])


@dataclass(frozen=True)
class ImageFacts:
    """Metadata of a validated image."""

    width: int
    height: int
    bands: int  #: without alpha
    dtype: str
    crs: str
    gsd_m: float  #: ground sampling distance [m]
    nodata_share: float
    size: int  #: file size [bytes]
    notes: tuple[str, ...] = ()  #: notes for the user


def validate_image(
    path: Path, georeference: Georeference | None = None, report: Report = silent, trained_gsd: GsdRange | None = None
) -> ImageFacts:
    """Validate a GeoTIFF for use as a tile.

    Checks in this order: format and declared size, bands and data type, georeference, ground resolution, no-data.

    Args:
        path: GeoTIFF.
        georeference: Georeference to use instead of the file's own.
        report: Called with the progress.
        trained_gsd: Range of ground sampling distances [m] of the trained runs; SPACENET_GSD by default.

    Returns:
        Metadata and notes.

    Raises:
        RasterError: The file cannot be opened, see `core.geo.raster.open_raster`.
        UnsupportedDtype: Too many bands, or an unsupported data type.
        RasterWithoutCRS: The georeference is missing or invalid.
        OutsideWebMercator: The image is outside the area of the map.
        EmptyImage: All pixels are no-data.
    """
    with raster.open_raster(path) as dataset:
        _check_pixels(path, dataset)
        grid = grid_of(path, dataset, georeference or Georeference())
        notes = [*_gsd_notes(grid.gsd_m, trained_gsd or SPACENET_GSD), *_image_notes(dataset)]
        bands, dtype = len(non_alpha_bands(dataset)), dataset.dtypes[0]
    nodata = nodata_share(path, report)
    if nodata == 1:
        raise EmptyImage(name=path)
    if nodata > _NODATA_NOTED:
        notes.append(f"{nodata:.0%} of the image is no-data.")
    size = path.stat().st_size
    return ImageFacts(
        grid.width, grid.height, bands, dtype, grid.crs.to_string(), grid.gsd_m, nodata, size, tuple(notes)
    )


def grid_of(path: Path, dataset: DatasetReader, georeference: Georeference) -> Grid:
    """Build the grid of an image from its own georeference or from the one entered.

    Args:
        path: GeoTIFF, for error messages.
        dataset: The opened GeoTIFF.
        georeference: Georeference to use instead of the file's own, unless empty.

    Raises:
        RasterWithoutCRS: The georeference is missing or invalid.
        OutsideWebMercator: The image is outside the area of the map.
    """
    width, height = dataset.width, dataset.height
    if georeference.edges:
        west, south, east, north = georeference.edges
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise InvalidBoundingBox(edges=", ".join(f"{degrees:g}" for degrees in georeference.edges))
        grid = Grid(width, height, from_bounds(west, south, east, north, width, height), LONLAT)
    elif georeference.epsg:
        if dataset.transform.is_identity:
            raise MissingCRS(name=path)
        grid = Grid(width, height, dataset.transform, georeference.crs)
    else:
        try:
            return raster.grid_of(dataset, path)
        except RasterWithoutCRS as error:
            raise MissingGeoreference(name=path) from error
    if not grid.is_on_earth:
        raise OutOfBounds(name=path, place=georeference)
    raster.check_on_map(grid, path)
    return grid


def _check_pixels(path: Path, dataset: DatasetReader) -> None:
    dtypes = set(dataset.dtypes)
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        raise UnsupportedDtype(name=path, found=f"pixels of type {' and '.join(sorted(dtypes))}")
    bands = len(non_alpha_bands(dataset))
    if bands > MAX_BANDS:
        raise UnsupportedDtype(name=path, found=f"{bands} bands")


def _image_notes(dataset: DatasetReader) -> Iterable[str]:
    if is_masked(dataset):
        yield "Transparent pixels are treated as no-data."
    if ColorInterp.palette in dataset.colorinterp:
        yield "The color table is ignored and the image shown in gray. gdal_translate -expand rgb keeps the colors."
    if len(non_alpha_bands(dataset)) < 3:
        yield "The image can be viewed, but models need at least three bands: red, green and blue."
    if len(non_alpha_bands(dataset)) >= 8:
        yield "Bands are assumed to be in WorldView order: red is band 5, green 3, blue 2."


def _gsd_notes(gsd_m: float, trained_gsd: GsdRange) -> Iterable[str]:
    low, high = trained_gsd
    if not low <= gsd_m <= high:
        comparison = "finer" if gsd_m < low else "coarser"
        yield (
            f"Pixel size {gsd_m:.2g} m: {comparison} than models are trained for ({low:.2g}–{high:.2g} m); "
            "expect lower accuracy."
        )
