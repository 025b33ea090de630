"""Footprints as GeoJSON, GeoPackage, GeoParquet and SpaceNet CSV: the suffix says which, all or nothing is written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from core.errors import CannotWrite, ExportWithoutGrid, UnknownFootprintFormat
from core.files import replacing
from core.geojson import feature_collection
from core.grids import LONLAT, Grid
from core.types import Geometries
from core.vectors import Footprints

#: Decimals: a millimetre in degrees, a thousandth of a pixel.
_WKT_DECIMALS, _PIXEL_DECIMALS = 8, 3


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
    check_format(path)
    write = _WRITERS[path.suffix.lower()]
    export = _Export(footprints, path, grid, image, attribution)
    try:
        with replacing(path) as part:
            write(export, part)
    except (DataSourceError, DataLayerError, FeatureError) as error:
        raise CannotWrite(name=path, detail=str(error)) from error
    return path


def check_format(path: Path) -> None:
    """Raises UnknownFootprintFormat where no footprints can be written under that suffix."""
    if path.suffix.lower() not in _WRITERS:
        raise UnknownFootprintFormat(name=path, known=", ".join(_WRITERS))


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
    rows = zip(ground.frame["id"].tolist(), ground.confidence.tolist(), ground.area_m2.tolist(), strict=True)
    facts = [{"id": number, "confidence": confidence, "area_m2": area} for number, confidence, area in rows]
    shapes = ground.to_crs(LONLAT).geometries
    part.write_bytes(feature_collection(shapes, facts, attribution=export.attribution))


def _write_geopackage(export: _Export, part: Path) -> None:
    table = export.table()
    several = (table.geom_type == "MultiPolygon").any()
    part.unlink()  # GDAL refuses a file that is there and is no GeoPackage yet
    pyogrio.write_dataframe(
        table, part, layer="footprints", driver="GPKG",
        geometry_type="MultiPolygon" if several else "Polygon", promote_to_multi=bool(several),
        dataset_metadata={"attribution": export.attribution} if export.attribution else None,
    )  # fmt: skip
    # GDAL builds the spatial index last and says nothing when the disk is full by then.
    if not pyogrio.read_info(part)["capabilities"]["fast_spatial_filter"]:
        raise DataSourceError("there was no room for the spatial index")


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
