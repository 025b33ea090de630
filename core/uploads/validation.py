"""What a single GeoTIFF from anywhere must be before it becomes a tile: checked in order, refused with a sentence."""

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
    BlankImage,
    NotOnEarth,
    RasterWithoutCRS,
    UnknownEPSG,
    UnusualPixels,
    WithoutCoordinates,
    WithoutPlace,
    WrongEdges,
)
from core.geo import raster
from core.geo.cog import is_masked, nodata_share, picture_bands
from core.geo.grid import LONLAT, Grid
from core.progress import Report, silent
from core.types import Bounds, GsdRange

MOST_BANDS = 16
DTYPES = ("uint8", "int8", "uint16", "int16", "float32", "float64")
#: Metres a pixel that go well with networks trained on SpaceNet's 0.3 to 0.5 m.
SPACENET_GSD: GsdRange = (0.2, 1.0)
_MOSTLY_BLANK = 0.5
_EPSG = re.compile(r"(?:EPSG\s*:?)?\s*(\d{4,6})", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """Where an image lies, as a person says it: an EPSG code for its own coordinates, or its edges in degrees."""

    epsg: str = ""  #: for example "EPSG:32611" or "32611"
    edges: Bounds | None = None  #: west, south, east, north; they replace coordinates of its own

    @classmethod
    def of(cls, epsg: str, edges: str = "") -> "Place":
        """From what somebody typed, edges as "west,south,east,north"; raises UnknownEPSG, WrongEdges."""
        try:
            west, south, east, north = map(float, edges.split(",")) if edges.strip() else (0.0,) * 4
        except ValueError as error:
            raise WrongEdges(edges=f'"{edges}"') from error
        return cls(epsg.strip(), (west, south, east, north) if edges.strip() else None)

    def __bool__(self) -> bool:
        return bool(self.epsg or self.edges)

    def __str__(self) -> str:
        return ", ".join(f"{degrees:g}°" for degrees in self.edges) if self.edges else f"EPSG:{_digits(self.epsg)}"

    @property
    def crs(self) -> pyproj.CRS:
        """The coordinate system of the code, longitude and latitude with edges; raises UnknownEPSG."""
        if self.edges:
            return LONLAT
        try:
            found = pyproj.CRS.from_epsg(_digits(self.epsg))
        except CRSError as error:
            raise UnknownEPSG(code=self.epsg) from error
        if not found.is_geographic and not found.is_projected:
            raise UnknownEPSG(code=self.epsg)
        return found


def _digits(epsg: str) -> int:
    match = _EPSG.fullmatch(epsg.strip())
    if match is None:
        raise UnknownEPSG(code=epsg)
    return int(match[1])


@dataclass(frozen=True)
class ImageFacts:
    """What was found in an image that may become a tile."""

    width: int
    height: int
    bands: int  #: without transparency
    dtype: str
    crs: str
    gsd_m: float  #: metres a pixel
    nodata_share: float
    size: int  #: bytes of the file
    notes: tuple[str, ...] = ()  #: sentences about what may surprise


def check(
    path: Path, place: Place | None = None, report: Report = silent, trained_gsd: GsdRange | None = None
) -> ImageFacts:
    """Looks at a GeoTIFF in this order: format and declared size, bands and dtype, place, ground resolution, no-data.

    Raises what open_raster raises, UnusualPixels, WithoutPlace and its kin, OffTheMap, BlankImage.
    """
    with raster.open_raster(path) as dataset:
        _check_pixels(path, dataset)
        grid = grid_of(path, dataset, place or Place())
        notes = [*_gsd_notes(grid.gsd_m, trained_gsd or SPACENET_GSD), *_picture_notes(dataset)]
        bands, dtype = len(picture_bands(dataset)), dataset.dtypes[0]
    blank = nodata_share(path, report)
    if blank == 1:
        raise BlankImage(name=path)
    if blank > _MOSTLY_BLANK:
        notes.append(f"{blank:.0%} of it shows nothing.")
    size = path.stat().st_size
    return ImageFacts(
        grid.width, grid.height, bands, dtype, grid.crs.to_string(), grid.gsd_m, blank, size, tuple(notes)
    )


def grid_of(path: Path, dataset: DatasetReader, place: Place) -> Grid:
    """The image's georeference, or that which a person gave it; raises WithoutPlace and its kin, OffTheMap."""
    width, height = dataset.width, dataset.height
    if place.edges:
        _check_edges(place.edges)
        grid = Grid(width, height, from_bounds(*place.edges, width, height), LONLAT)
    elif place.epsg:
        if dataset.transform.is_identity:
            raise WithoutCoordinates(name=path)
        grid = Grid(width, height, dataset.transform, place.crs)
    else:
        return _own_grid(path, dataset)
    if not grid.is_on_earth:
        raise NotOnEarth(name=path, place=place)
    raster.check_on_map(grid, path)
    return grid


def _own_grid(path: Path, dataset: DatasetReader) -> Grid:
    try:
        return raster.grid_of(dataset, path)
    except RasterWithoutCRS as error:
        raise WithoutPlace(name=path) from error


def _check_edges(edges: Bounds) -> None:
    west, south, east, north = edges
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise WrongEdges(edges=", ".join(f"{degrees:g}" for degrees in edges))


def _check_pixels(path: Path, dataset: DatasetReader) -> None:
    kinds = set(dataset.dtypes)
    if len(kinds) > 1 or not kinds <= set(DTYPES):
        raise UnusualPixels(name=path, found=f"pixels of {' and '.join(sorted(kinds))}")
    bands = len(picture_bands(dataset))
    if bands > MOST_BANDS:
        raise UnusualPixels(name=path, found=f"{bands} bands")


def _picture_notes(dataset: DatasetReader) -> Iterable[str]:
    if is_masked(dataset):
        yield "Where it is transparent counts as no picture."
    if ColorInterp.palette in dataset.colorinterp:
        yield "Its colours come from a table and will be shown as grey; gdal_translate -expand rgb keeps them."
    if len(picture_bands(dataset)) < 3:
        yield "It can be looked at, but networks here want at least three bands: red, green and blue."
    if len(picture_bands(dataset)) >= 8:
        yield "Its bands are shown in WorldView's order: red is band 5, green 3, blue 2."


def _gsd_notes(gsd_m: float, trained_gsd: GsdRange) -> Iterable[str]:
    low, high = trained_gsd
    if not low <= gsd_m <= high:
        size = "finer" if gsd_m < low else "coarser"
        yield (
            f"A pixel is {gsd_m:.2g} m on the ground, {size} than the {low:.2g} to {high:.2g} m "
            "that networks here know. Expect poor predictions."
        )
