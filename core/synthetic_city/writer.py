"""Sample city writer: tiles and labels with the file names of SpaceNet 2."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import numpy as np
import orjson
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray

from core.atomic_files import atomic_write
from core.errors import CannotWrite
from core.geo import raster
from core.geo.grid import LONLAT, Grid
from core.progress import Report, silent
from core.synthetic_city.camera import light, means, radiance, sense, sharpened
from core.synthetic_city.districts import build_city
from core.synthetic_city.palette import BANDS, RGB
from core.synthetic_city.plan import make_plan
from core.synthetic_city.surface import GSD_M, Surface, make_surface
from core.types import Geometries

AOI = "AOI_0_Sample"
#: Pixels rendered beyond the city, so that shadows fall in from outside.
_RIM = 48
_CRS84 = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
#: Smallest piece of a building at a tile's rim that gets a label, square metres.
_SMALLEST_M2 = 0.5


def make_sample_city(
    folder: Path, seed: int = 0, tiles: tuple[int, int] = (4, 6), size: int = 650, report: Report = silent
) -> Path:
    """Writes folder/AOI_0_Sample_Train and returns it: tiles (rows, columns) of size × size pixels at 0.3 m.

    RGB-PanSharpen: uint16 (3, size, size); MUL: uint16 (8, ceil(size / 4), ceil(size / 4)), WorldView-3's bands;
    geojson/buildings: outlines of roofs cut at the tile's rim. All in EPSG:4326 around 0° N 0° E.
    One city across all tiles, the same for the same seed. It appears when it is whole; one that is there is replaced.
    Raises CannotWrite and DiskFull.
    """
    final = folder / f"{AOI}_Train"
    with _workshop(folder) as work:
        _write_city(work / "city", seed, tiles, size, report)
        _put_up(work, final)
    report(1.0, "The sample city is ready")
    return final


@contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder`, gone afterwards, so that nobody meets half a city."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise CannotWrite(name=folder, detail=error.strerror) from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put_up(work: Path, final: Path) -> None:
    """Moves the finished city to its place, and one that is there out of the way."""
    try:
        final.parent.mkdir(exist_ok=True)
        if final.exists():
            final.rename(work / "old")
        (work / "city").rename(final)
    except OSError as error:
        raise CannotWrite(name=final, detail=error.strerror) from error


def _write_city(folder: Path, seed: int, tiles: tuple[int, int], size: int, report: Report) -> None:
    plan_rng, city_rng, surface_rng, sensor_rng = np.random.default_rng(seed).spawn(4)
    grid = _city_grid(tiles[0] * size, tiles[1] * size)
    report(0.0, "Generating the street plan")
    plan = make_plan(plan_rng, grid.width * GSD_M, grid.height * GSD_M)
    city = build_city(plan, city_rng)
    _write_labels(folder, city.buildings(), grid, size)
    report(0.2, "Generating buildings and trees")
    surface = make_surface(city, plan, grid.shape, _RIM, surface_rng)
    report(0.45, "Computing illumination")
    colour, multi = _photograph(surface, grid, size, sensor_rng, report)
    for n, (row, column) in enumerate(np.ndindex(tiles), 1):
        report(0.85 + 0.15 * n / (tiles[0] * tiles[1]), f"Writing tile {n}")
        tile = grid.window(column * size, row * size, size, size)
        pixels = colour[:, row * size : (row + 1) * size, column * size : (column + 1) * size]
        raster.write(_path(folder, "RGB-PanSharpen", n), raster.Raster(pixels, tile))
        bands = multi[:, row, column]
        raster.write(_path(folder, "MUL", n), raster.Raster(bands, tile.resized(*bands.shape[1:])))


def _photograph(
    surface: Surface, grid: Grid, size: int, rng: np.random.Generator, report: Report
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Colour (3, rows, columns) of the city; eight bands (8, tile rows, tile columns, rows, columns) of each tile."""
    sun, sky = light(surface)
    coarse = ceil(size / 4)
    colour = np.empty((3, *grid.shape), np.uint16)
    multi = np.empty((len(BANDS), grid.height // size, grid.width // size, coarse, coarse), np.uint16)
    for band, name in enumerate(BANDS):
        report(0.5 + band * 0.04, f"Rendering band {name}")
        scene = radiance(surface, sun, sky, band)[_RIM:-_RIM, _RIM:-_RIM]
        if band in RGB:
            colour[RGB.index(band)] = sense(sharpened(scene), rng)
        for row, column in np.ndindex(multi.shape[1:3]):
            window = scene[row * size : (row + 1) * size, column * size : (column + 1) * size]
            multi[band, row, column] = sense(means(window, coarse), rng)
    return colour, multi


def _path(folder: Path, product: str, n: int) -> Path:
    return folder / product / f"{product}_{AOI}_img{n}.tif"


def _city_grid(height: int, width: int) -> Grid:
    """All tiles together, around 0° N 0° E; there a degree of latitude is 0.7 % shorter than one of longitude."""
    geod = LONLAT.get_geod()
    assert isinstance(geod, pyproj.Geod)
    lon = float(np.degrees(GSD_M / geod.a))
    lat = float(np.degrees(GSD_M / (geod.a * (1 - geod.es))))
    return Grid(width, height, Affine(lon, 0, -lon * width / 2, 0, -lat, lat * height / 2), LONLAT)


def _write_labels(folder: Path, buildings: Geometries, grid: Grid, size: int) -> None:
    """One file a tile, with what lies on it of each building; buildings in city metres."""
    tree, side = shapely.STRtree(buildings), size * GSD_M
    for n, (row, column) in enumerate(np.ndindex(grid.height // size, grid.width // size), 1):
        rim = shapely.box(column * side, row * side, (column + 1) * side, (row + 1) * side)
        numbers = np.sort(tree.query(rim, "intersects"))
        pieces, owner = shapely.get_parts(shapely.intersection(buildings[numbers], rim), return_index=True)
        is_polygon = (shapely.get_type_id(pieces) == shapely.GeometryType.POLYGON) & (
            shapely.area(pieces) > _SMALLEST_M2
        )
        pieces, owner = pieces[is_polygon], numbers[owner[is_polygon]]
        ground = grid.to_map(shapely.transform(shapely.orient_polygons(pieces), lambda xy: xy / GSD_M))
        shares = shapely.area(pieces) / shapely.area(buildings[owner])
        _write_geojson(folder / "geojson" / "buildings" / f"buildings_{AOI}_img{n}.geojson", ground, owner, shares)


def _write_geojson(path: Path, ground: Geometries, numbers: NDArray, shares: NDArray) -> None:
    """SpaceNet's form: partialDec is the share of the building that lies on this tile."""
    features = [  # degrees to ten decimals, a hundredth of a millimeter
        {
            "type": "Feature",
            "properties": {
                "building": int(number),
                "partialBuilding": float(share < 0.9999),
                "partialDec": round(share, 4),
            },
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    np.round(shapely.get_coordinates(ring), 10).tolist() for ring in (shape.exterior, *shape.interiors)
                ],
            },
        }
        for shape, number, share in zip(ground, numbers, shares.tolist(), strict=True)
    ]
    document = {"type": "FeatureCollection", "crs": _CRS84, "features": features}
    with atomic_write(path) as temporary:
        temporary.write_bytes(orjson.dumps(document))
