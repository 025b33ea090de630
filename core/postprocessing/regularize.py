"""Outline regularization: footprints with right angles, by the package buildingregulariser (Hadfield 2025).

A raw outline stays where its regularized one differs too much.
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

#: Simplification tolerance, and the distance below which parallel edges are merged [m].
TOLERANCE_M, PARALLEL_M = 0.8, 1.5
#: A regularized outline with a lower IoU with the raw one is not used.
MIN_IOU = 0.75


def regularize(footprints: Footprints) -> Footprints:
    """Regularize outlines to right angles (or 45°, where that fits better), in the same order and CRS."""
    if len(footprints) == 0 or footprints.crs is None:
        return footprints
    lonlat = footprints.to_crs(LONLAT).geometries
    flat = equal_area_crs(lonlat, LONLAT)
    raw = reproject(lonlat, LONLAT, flat)
    regular = _regularize_polygons(raw, str(flat.to_wkt()))
    is_usable = _is_similar(raw, regular)
    geometries = footprints.geometries.copy()
    geometries[is_usable] = reproject(regular[is_usable], flat, footprints.crs)
    frame = footprints.frame.set_geometry(gpd.GeoSeries(geometries, index=footprints.frame.index, crs=footprints.crs))
    return Footprints(frame, footprints.images, footprints.repairs)


def _regularize_polygons(polygons: Geometries, crs: str) -> Geometries:
    """Largest regularized piece of each polygon, (n,); an empty polygon where there is none."""
    frame = gpd.GeoDataFrame({"number": np.arange(len(polygons))}, geometry=polygons, crs=crs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapely warns about degenerate input
        regular = regularize_geodataframe(
            frame, PARALLEL_M, simplify_tolerance=TOLERANCE_M, allow_circles=False, num_cores=1
        )
    pieces = regular.assign(area=regular.area).sort_values("area").drop_duplicates("number", keep="last")
    largest = np.full(len(polygons), shapely.Polygon(), dtype=object)
    largest[pieces["number"].to_numpy()] = pieces.geometry.to_numpy()
    return largest


def _is_similar(raw: Geometries, regular: Geometries) -> NDArray[np.bool_]:
    """Tell which regularized polygons are valid and close enough to the raw ones, (n,)."""
    usable = shapely.is_valid(regular) & ~shapely.is_empty(regular)
    shared = np.zeros(len(raw))
    shared[usable] = shapely.area(shapely.intersection(raw[usable], regular[usable]))
    union = shapely.area(raw) + shapely.area(regular) - shared
    return np.asarray(usable & (shared / np.maximum(union, 1e-9) >= MIN_IOU))
