"""Label benchmark: label file and raster to outlines, building mask and signed distance in memory.

    nice python -m benchmarks.labels [--sizes 439x406 650x650 4096x4096]

Baseline: geopandas.read_file, rasterio.features.rasterize and a scipy distance transform inside and outside.
Limit: the kernels alone, with footprints in map coordinates in memory: affine, rasterize, exact transform.
Building density is SpaceNet's in Las Vegas, 46 per 650 × 650 pixels. Results of all three are compared.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import edt
import geopandas as gpd
import numpy as np
import orjson
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt

from core.geo import raster
from core.geo.grid import LONLAT, Grid
from core.geo.vector import read_footprints
from core.labels.labels import CLIP_M, Labels, signed_distance
from core.types import Distance, Geometries, Mask

DENSITY = 46 / 650**2
SIZES = ("439x406", "650x650", "4096x4096")


class Result(NamedTuple):
    """Result that every implementation must produce."""

    outlines: Geometries
    mask: Mask
    distance: NDArray[np.floating]


@dataclass(frozen=True)
class Work:
    """Synthetic tile near Las Vegas, in degrees like SpaceNet's, so that pixels are not square in meters."""

    image: Path
    footprints: Path
    geometries: Geometries  #: footprints in the grid's CRS
    grid: Grid

    @classmethod
    def synthetic(cls, folder: Path, width: int, height: int) -> "Work":
        rng = np.random.default_rng(width)
        grid = Grid(width, height, Affine(2.7e-6, 0, -115.2, 0, -2.7e-6, 36.2), LONLAT)
        geometries = grid.to_map(_houses(rng, width, height))
        pixels = rng.integers(1, 1900, (3, height, width)).astype(np.uint16)
        image = raster.write(folder / f"{width}x{height}.tif", raster.Raster(pixels, grid))
        return cls(image, _geojson(folder / f"{width}x{height}.geojson", geometries), geometries, grid)

    @property
    def megapixels(self) -> float:
        return self.grid.width * self.grid.height / 1e6


def _houses(rng: np.random.Generator, width: int, height: int) -> Geometries:
    """Return rotated L-shaped buildings of eight corners on a jittered lattice, which do not touch."""
    side = DENSITY**-0.5
    columns, rows = np.meshgrid(np.arange(side / 2, width, side), np.arange(side / 2, height, side))
    centers = np.column_stack([columns.ravel(), rows.ravel()]) + rng.uniform(-12, 12, (columns.size, 2))
    shape = np.array([[-1, -1], [0.3, -1], [0.3, -0.4], [1, -0.4], [1, 1], [0.1, 1], [0.1, 0.7], [-1, 0.7]])
    corners = shape[None] * rng.uniform(18, 30, (len(centers), 1, 2))
    angle = rng.choice([0, 0.1, np.pi / 4], len(centers))[:, None]
    x = np.cos(angle) * corners[..., 0] - np.sin(angle) * corners[..., 1]
    y = np.sin(angle) * corners[..., 0] + np.cos(angle) * corners[..., 1]
    return np.asarray(shapely.polygons(np.stack([x, y], axis=-1) + centers[:, None]), dtype=object)


def _geojson(path: Path, geometries: Geometries) -> Path:
    """Write footprints as SpaceNet does: CRS84, with Z and attributes."""
    attributes = {
        "OBJECTID": 1, "FID_VEGAS_": 0, "Id": 0, "Name": "None", "AREA": 0.0, "Shape_Leng": 0.0, "partialDec": 1.0
    }  # fmt: skip
    features = [
        {"type": "Feature", "properties": attributes, "geometry": orjson.loads(shapely.to_geojson(shape))}
        for shape in shapely.force_3d(geometries, 0.0)
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    path.write_bytes(orjson.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    return path


def groundplan(work: Work) -> Result:
    """Compute labels from files with Groundplan."""
    labels = Labels.of(raster.read_info(work.image).grid, read_footprints(work.footprints))
    return Result(labels.pixels, labels.mask, labels.distance)


def plain(work: Work) -> Result:
    """Compute labels from files with common libraries."""
    with rasterio.open(work.image) as dataset:
        transform, shape, crs = dataset.transform, dataset.shape, dataset.crs
    frame = gpd.read_file(work.footprints)
    if frame.crs != crs:
        frame = frame.to_crs(crs)
    inverse = ~transform
    outlines = frame.geometry.affine_transform([inverse.a, inverse.b, inverse.d, inverse.e, inverse.c, inverse.f])
    mask = rasterize(frame.geometry, shape, transform=transform, default_value=255, dtype="uint8")
    return Result(np.asarray(outlines, dtype=object), mask, scipy_distance(mask, work.grid.pixel_m))


def kernels(work: Work) -> tuple[Geometries, Distance]:
    """Run the unavoidable kernels in memory: affine, two-label image, exact distance transform."""
    pixels = work.grid.to_pixels(work.geometries)
    labels = rasterize(pixels, work.grid.shape, fill=1, default_value=2, dtype="uint8")
    return pixels, bare_transform(labels, work.grid.pixel_m)


def scipy_distance(mask: Mask, pixel_m: tuple[float, float]) -> NDArray[np.floating]:
    """Compute the signed distance by two exact transforms, less half a pixel, clipped."""
    across, down = pixel_m
    inside, outside = (distance_transform_edt(side, sampling=(down, across)) for side in (mask != 0, mask == 0))
    half = (across + down) / 4
    return np.clip(np.where(mask != 0, inside - half, half - outside), -CLIP_M, CLIP_M)


def bare_transform(labels: Mask, pixel_m: tuple[float, float]) -> Distance:
    """Compute the exact transform of a two-label image, without sign and clip."""
    across, down = pixel_m
    distance: Distance = edt.edt(labels, anisotropy=(down, across), black_border=False)
    return distance


def best_time(work: Callable[[], object], repeats: int) -> float:
    """Return the seconds of the fastest of `repeats` runs."""
    seconds = np.inf
    for _ in range(repeats):
        start = perf_counter()
        work()
        seconds = min(seconds, perf_counter() - start)
    return seconds


def check(work: Work) -> str:
    """Describe the differences between Groundplan and the baseline."""
    result, baseline = groundplan(work), plain(work)
    distance_m = float(np.abs(result.distance - baseline.distance).max())
    pixels = int(np.count_nonzero(result.mask != baseline.mask))
    outlines = float(shapely.hausdorff_distance(result.outlines, baseline.outlines).max())
    return f"{pixels} px differ, distance within {distance_m:.1e} m, outlines within {outlines:.0e} px"


def rate(seconds: float, work: Work) -> str:
    return f"{seconds * 1e3:.2f} ms, {1 / seconds:.1f} tiles/s, {work.megapixels / seconds:.1f} Mpx/s"


def row(name: str, times: tuple[float, float, float], work: Work, note: str) -> str:
    own, peer, limit = times
    ratios = f"{peer / own:.1f} ×", f"{own / limit:.2f} ×"
    cells = name, rate(own, work), rate(peer, work), ratios[0], rate(limit, work), ratios[1], note
    return f"| {' | '.join(cells)} |"


def measure(work: Work) -> None:
    """Print the rows of one size: files to labels, the signed distance, and file reading."""
    size = f"{work.grid.width} × {work.grid.height}, {len(work.geometries)} houses"
    repeats = 30 if work.megapixels < 1 else 3
    times = (best_time(partial(implementation, work), repeats) for implementation in (groundplan, plain, kernels))
    print(row(f"files to labels, {size}", tuple(times), work, check(work)))  # type: ignore[arg-type]
    mask, pixel_m = groundplan(work).mask, work.grid.pixel_m
    two_labels = (mask != 0).view(np.uint8) + np.uint8(1)
    steps = (
        best_time(partial(signed_distance, mask, pixel_m), repeats),
        best_time(partial(scipy_distance, mask, pixel_m), repeats),
        best_time(partial(bare_transform, two_labels, pixel_m), repeats),
    )
    print(row(f"signed distance, {size}", steps, work, ""))
    header, file = (
        best_time(partial(raster.read_info, work.image), repeats),
        best_time(partial(read_footprints, work.footprints), repeats),
    )
    print(f"| of Groundplan: header {header * 1e3:.2f} ms, label file {file * 1e3:.2f} ms, {size} | | | | | | |")


def main() -> None:
    sizes = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes.add_argument("--sizes", nargs="+", default=SIZES, help="width x height")
    print("| work | Groundplan | baseline | baseline / Groundplan | limit | Groundplan / limit | difference |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes.parse_args().sizes:
            width, height = map(int, size.split("x"))
            measure(Work.synthetic(Path(folder), width, height))


if __name__ == "__main__":
    main()
