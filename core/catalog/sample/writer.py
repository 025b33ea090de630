"""The sample city on disk: tiles and labels named as SpaceNet 2 names them."""

import shutil
import tempfile
from math import ceil
from pathlib import Path

import numpy as np
import orjson
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray

from core import rasters
from core.catalog.sample import camera
from core.catalog.sample.districts import build_city
from core.catalog.sample.plan import make_plan
from core.catalog.sample.surface import GSD_M, make_surface
from core.errors import CannotWrite
from core.grids import LONLAT, Grid
from core.progress import Report, silent
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise CannotWrite(name=folder, detail=error.strerror) from error
    try:
        _write_city(work / "city", seed, tiles, size, report)
        if final.exists():
            final.rename(work / "old")
        (work / "city").rename(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report(1.0, "The sample city is ready")
    return final


def _write_city(folder: Path, seed: int, tiles: tuple[int, int], size: int, report: Report) -> None:
    plan_rng, city_rng, surface_rng, sensor_rng = np.random.default_rng(seed).spawn(4)
    rows, columns = tiles[0] * size, tiles[1] * size
    report(0.0, "Planning streets and houses")
    plan = make_plan(plan_rng, columns * GSD_M, rows * GSD_M)
    city = build_city(plan, city_rng)
    _write_labels(folder, city.buildings(), tiles, size)
    report(0.2, "Building houses and planting trees")
    surface = make_surface(city, plan, (rows, columns), _RIM, surface_rng)
    report(0.45, "Letting the sun shine")
    sun, sky = camera.light(surface)
    colour = np.empty((3, rows, columns), np.uint16)
    coarse = ceil(size / 4)
    multi = np.empty((8, tiles[0], tiles[1], coarse, coarse), np.uint16)
    for band, place in camera.bands():
        report(0.5 + band * 0.04, "Taking the picture")
        scene = camera.radiance(surface, sun, sky, band)[_RIM:-_RIM, _RIM:-_RIM]
        if place is not None:
            colour[place] = camera.sense(scene, sensor_rng)
        for row, column in np.ndindex(tiles):
            part = scene[row * size : (row + 1) * size, column * size : (column + 1) * size]
            multi[band, row, column] = camera.sense(camera.coarse(part, coarse), sensor_rng, 0)
    _write_tiles(folder, colour, multi, size, report)


def _write_tiles(
    folder: Path, colour: NDArray[np.uint16], multi: NDArray[np.uint16], size: int, report: Report
) -> None:
    tiles = multi.shape[1:3]
    for n, (row, column) in enumerate(np.ndindex(tiles), 1):
        report(0.85 + 0.15 * n / (tiles[0] * tiles[1]), f"Writing tile {n}")
        grid = _grid(row, column, tiles, size)
        part = colour[:, row * size : (row + 1) * size, column * size : (column + 1) * size]
        rasters.write(_path(folder, "RGB-PanSharpen", n), rasters.Raster(part, grid))
        pixels = multi[:, row, column]
        rasters.write(_path(folder, "MUL", n), rasters.Raster(pixels, grid.resized(pixels.shape[2], pixels.shape[1])))


def _path(folder: Path, product: str, n: int) -> Path:
    return folder / product / f"{product}_{AOI}_img{n}.tif"


def _grid(row: int, column: int, tiles: tuple[int, int], size: int) -> Grid:
    """A tile's grid; the city's middle lies at 0° N 0° E, where degrees of both kinds differ by 0.7 %."""
    geod = LONLAT.get_geod()
    assert isinstance(geod, pyproj.Geod)
    lon = np.degrees(GSD_M / geod.a)
    lat = np.degrees(GSD_M / (geod.a * (1 - geod.es)))
    west, north = -lon * tiles[1] * size / 2, lat * tiles[0] * size / 2
    transform = Affine(lon, 0, west + column * size * lon, 0, -lat, north - row * size * lat)
    return Grid(size, size, transform, LONLAT)


def _write_labels(folder: Path, buildings: Geometries, tiles: tuple[int, int], size: int) -> None:
    tree = shapely.STRtree(buildings)
    for n, (row, column) in enumerate(np.ndindex(tiles), 1):
        side = size * GSD_M
        rim = shapely.box(column * side, row * side, (column + 1) * side, (row + 1) * side)
        numbers = np.sort(tree.query(rim, "intersects"))
        pieces = shapely.intersection(buildings[numbers], rim)
        parts, owner = shapely.get_parts(pieces, return_index=True)
        kept = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > _SMALLEST_M2)
        parts, owner = parts[kept], numbers[owner[kept]]
        pixels = shapely.transform(parts, lambda xy, r=row, c=column: xy / GSD_M - [c * size, r * size])
        ground = _grid(row, column, tiles, size).to_ground(shapely.orient_polygons(pixels))
        shares = shapely.area(parts) / shapely.area(buildings[owner])
        _write_geojson(folder / "geojson" / "buildings" / f"buildings_{AOI}_img{n}.geojson", ground, owner, shares)


def _write_geojson(path: Path, ground: Geometries, numbers: NDArray, shares: NDArray) -> None:
    """SpaceNet's form: partialDec is the share of the building that lies on this tile."""
    features = [
        {
            "type": "Feature",
            "properties": {"building": int(number), "partialBuilding": float(share < 0.9999), "partialDec": round(share, 4)},
            "geometry": {"type": "Polygon", "coordinates": [_ring(ring) for ring in (shape.exterior, *shape.interiors)]},
        }
        for shape, number, share in zip(ground, numbers, shares.tolist(), strict=True)
    ]
    document = {"type": "FeatureCollection", "crs": _CRS84, "features": features}
    with rasters.replacing(path) as part:
        part.write_bytes(orjson.dumps(document))


def _ring(ring: shapely.LinearRing) -> list[list[float]]:
    """Degrees to ten decimals, a hundredth of a millimetre."""
    rounded: list[list[float]] = np.round(shapely.get_coordinates(ring), 10).tolist()
    return rounded
