"""Footprints as GeoJSON, GeoPackage, GeoParquet and SpaceNet CSV: the suffix says which, all or nothing is written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import orjson
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from core.errors import CannotWrite, ExportWithoutGrid, UnknownFootprintFormat
from core.grids import LONLAT, Grid
from core.rasters import replacing
from core.types import Geometries
from core.vectors import Footprints

#: Decimals: a centimetre in degrees (RFC 7946 asks for no more), a millimetre in degrees, a thousandth of a pixel.
_GEOJSON_DECIMALS, _WKT_DECIMALS, _PIXEL_DECIMALS = 7, 8, 3


def write_footprints(
    footprints: Footprints, path: Path, grid: Grid | None = None, image: str = "", attribution: str = ""
) -> Path:
    """The footprints as one file; returns its path.

    .geojson: longitude and latitude. .gpkg and .parquet: the CRS of `grid`, else the footprints' own. All three hold
    `id`, `confidence` and `area_m2`, and the attribution for the whole file. .csv: SpaceNet's columns in pixels of
    `grid`, under `image` where the footprints name none; an image without a building gets the row -1. It has no place
    for an attribution. `grid` is needed to come from pixels to the ground, and for .csv from the ground to pixels.
    Raises UnknownFootprintFormat, ExportWithoutGrid, DiskFull and CannotWrite; then nothing is left behind.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise UnknownFootprintFormat(name=path, known=", ".join(_WRITERS))
    export = _Export(footprints, path, grid, image, attribution)
    try:
        with replacing(path) as part:
            write(export, part)
    except (DataSourceError, DataLayerError, FeatureError) as error:
        raise CannotWrite(name=path, detail=str(error)) from error
    return path


@dataclass(frozen=True)
class _Export:
    """What is to be written, in the coordinates a format asks for."""

    footprints: Footprints
    path: Path
    grid: Grid | None
    image: str
    attribution: str

    def on_the_ground(self) -> Footprints:
        """In the grid's CRS, without a grid in their own."""
        found, grid = self.footprints, self.grid
        if found.crs is None:
            if grid is None:
                raise ExportWithoutGrid(name=self.path)
            frame = found.frame.set_geometry(grid.to_ground(found.geometries), crs=grid.crs)
            return Footprints(frame, found.images, found.repairs)
        return found.to_crs(grid.crs) if grid else found

    def in_pixels(self) -> Geometries:
        """Columns and rows of the grid."""
        found = self.footprints
        if found.crs is None:
            return found.geometries
        if self.grid is None:
            raise ExportWithoutGrid(name=self.path)
        return self.grid.to_pixels(found.geometries, found.crs)

    def table(self) -> gpd.GeoDataFrame:
        """One row a footprint on the ground: id, confidence, area_m2 and geometry."""
        ground = self.on_the_ground()
        columns = {"id": ground.frame["id"], "confidence": ground.confidence, "area_m2": ground.area_m2}
        return gpd.GeoDataFrame(columns, geometry=ground.geometries, crs=ground.crs)


def _write_geojson(export: _Export, part: Path) -> None:
    ground = export.on_the_ground()
    rounded = shapely.transform(ground.to_crs(LONLAT).geometries, lambda xy: np.round(xy, _GEOJSON_DECIMALS))
    outlines = shapely.to_geojson(shapely.orient_polygons(rounded, exterior_cw=False))
    rows = zip(ground.frame["id"].tolist(), ground.confidence.tolist(), ground.area_m2.tolist(), outlines, strict=True)
    features = [
        {
            "type": "Feature",
            "id": number,
            "properties": {"id": number, "confidence": confidence, "area_m2": area},
            "geometry": orjson.Fragment(outline),
        }
        for number, confidence, area, outline in rows
    ]
    document = {"type": "FeatureCollection", "attribution": export.attribution, "features": features}
    part.write_bytes(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))


def _write_geopackage(export: _Export, part: Path) -> None:
    table = export.table()
    several = (table.geom_type == "MultiPolygon").any()
    part.unlink()  # GDAL refuses a file that is there and is no GeoPackage yet
    pyogrio.write_dataframe(
        table, part, layer="footprints", driver="GPKG",
        geometry_type="MultiPolygon" if several else "Polygon", promote_to_multi=bool(several),
        dataset_metadata={"attribution": export.attribution} if export.attribution else None,
    )  # fmt: skip


def _write_geoparquet(export: _Export, part: Path) -> None:
    table = export.table()
    table.attrs["attribution"] = export.attribution
    table.to_parquet(part, index=False)


def _write_spacenet_csv(export: _Export, part: Path) -> None:
    found = export.footprints
    images = found.frame["image"].replace("", export.image)
    rows = pd.DataFrame(
        {
            "ImageId": images,
            "BuildingId": found.frame["id"],
            "PolygonWKT_Pix": shapely.to_wkt(export.in_pixels(), rounding_precision=_PIXEL_DECIMALS),
            "PolygonWKT_Geo": _lonlat_wkt(export),
            "Confidence": found.confidence,
        }
    )
    empty = {name or export.image for name in found.images or ("",)} - set(images)
    none = [(name, -1, "POLYGON EMPTY", "POLYGON EMPTY", 1.0) for name in sorted(empty)]
    table = pd.DataFrame([*rows.itertuples(index=False, name=None), *none], columns=rows.columns)
    table.to_csv(part, index=False, encoding="utf-8")


def _lonlat_wkt(export: _Export) -> np.ndarray | str:
    """Longitude and latitude where they can be known, else SpaceNet's empty polygon."""
    if export.footprints.crs is None and export.grid is None:
        return "POLYGON EMPTY"
    ground = export.on_the_ground().to_crs(LONLAT).geometries
    return np.asarray(shapely.to_wkt(ground, rounding_precision=_WKT_DECIMALS))


_WRITERS: dict[str, Callable[[_Export, Path], None]] = {
    ".geojson": _write_geojson,
    ".gpkg": _write_geopackage,
    ".parquet": _write_geoparquet,
    ".csv": _write_spacenet_csv,
}
#: What a person may choose from.
FORMATS = tuple(_WRITERS)
