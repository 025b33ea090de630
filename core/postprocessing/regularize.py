"""Right angles: footprints as somebody would draw them, by the package buildingregulariser (Hadfield 2025).

The raw outline stays where the square one is too far from it; both can be kept side by side.
"""

import warnings

import geopandas as gpd
import numpy as np
import shapely
from buildingregulariser import regularize_geodataframe
from numpy.typing import NDArray

from core.geo.grid import LONLAT, equal_area_crs, reproject
from core.geo.vector import Footprints
from core.types import Geometries

#: Metres that walls may be moved by, and below which parallel edges become one.
TOLERANCE_M, PARALLEL_M = 0.8, 1.5
#: A square outline that has less in common with the raw one is not used.
LEAST_IOU = 0.75


def squared(found: Footprints) -> Footprints:
    """The same footprints with right angles (or 45°, where that fits better), in the same order and CRS."""
    if len(found) == 0 or found.crs is None:
        return found
    raw = found.to_crs(LONLAT).geometries
    flat = equal_area_crs(raw, LONLAT)
    shapes = reproject(raw, LONLAT, flat)
    square = _regular(shapes, str(flat.to_wkt()))
    kept = _alike(shapes, square)
    geometries = found.geometries.copy()
    geometries[kept] = reproject(square[kept], flat, found.crs)
    frame = found.frame.set_geometry(gpd.GeoSeries(geometries, index=found.frame.index, crs=found.crs))
    return Footprints(frame, found.images, found.repairs)


def _regular(shapes: Geometries, crs: str) -> Geometries:
    """The largest regular piece of each shape; an empty polygon where there is none."""
    frame = gpd.GeoDataFrame({"number": np.arange(len(shapes))}, geometry=shapes, crs=crs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapely, about what it has no opinion on
        regular = regularize_geodataframe(
            frame, PARALLEL_M, simplify_tolerance=TOLERANCE_M, allow_circles=False, num_cores=1
        )
    pieces = regular.assign(area=regular.area).sort_values("area").drop_duplicates("number", keep="last")
    found = np.full(len(shapes), shapely.Polygon(), dtype=object)
    found[pieces["number"].to_numpy()] = pieces.geometry.to_numpy()
    return found


def _alike(raw: Geometries, square: Geometries) -> NDArray[np.bool_]:
    usable = shapely.is_valid(square) & ~shapely.is_empty(square)
    shared = np.zeros(len(raw))
    shared[usable] = shapely.area(shapely.intersection(raw[usable], square[usable]))
    union = shapely.area(raw) + shapely.area(square) - shared
    return np.asarray(usable & (shared / np.maximum(union, 1e-9) >= LEAST_IOU))
