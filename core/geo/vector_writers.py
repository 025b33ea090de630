"""Footprint export: GeoJSON, GeoPackage, FlatGeobuf, Shapefile, GeoParquet and SpaceNet CSV, by suffix."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from core.atomic_files import atomic_write, translating_errors
from core.errors import CannotWrite, ExportNeedsGrid, UnknownFootprintFormat
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT, Grid, perimeter_m
from core.geo.vector import Footprints
from core.types import Geometries

#: Decimals: a millimeter in degrees, a thousandth of a pixel.
_WKT_DECIMALS, _PIXEL_DECIMALS = 8, 3
#: Field names in a Shapefile, at most ten characters.
_SHAPEFILE_NAMES = {"perimeter_m": "perim_m", "imagery_date": "date"}

#: GeoPackage version that the GDAL of Debian 12 (3.6) opens without a warning, unlike 1.4, the default.
_GPKG_OPTIONS = {"VERSION": "1.2"}


@dataclass(frozen=True)
class Provenance:
    """Origin of footprints; empty fields are not written."""

    tile: str = ""
    run: str = ""
    model: str = ""  #: name of the network
    imagery_date: str = ""  #: YYYY-MM-DD
    licence: str = ""  #: attribution of the pixels and labels they were derived from

    @property
    def fields(self) -> dict[str, str]:
        """Return the known fields by their names in files."""
        return {name: value for name, value in asdict(self).items() if value}


def write_footprints(
    footprints: Footprints, path: Path, grid: Grid | None = None, provenance: Provenance | None = None
) -> Path:
    """Write footprints as one file, as a whole or not at all.

    .geojson and .fgb: longitude and latitude. .gpkg, .parquet, .shp and .shp.zip: the CRS of `grid`, else that of the
    footprints. All of these hold `id`, `confidence`, `area_m2`, `perimeter_m` and the known fields of the provenance; a
    Shapefile has shorter names (`perim_m`, `date`). .csv: SpaceNet's columns in pixels of `grid`; an image without
    buildings gets a row with BuildingId -1. It has no field for the attribution.

    Args:
        footprints: Footprints in pixels or in a CRS.
        path: Path of the file; its suffix selects the format.
        grid: Needed to convert pixels to a CRS, and for .csv a CRS to pixels.
        provenance: Origin of the footprints; its tile is the ImageId of footprints that name no image.

    Returns:
        `path`.

    Raises:
        UnknownFootprintFormat: The suffix is none of FORMATS.
        ExportNeedsGrid: The format needs a grid.
        DiskFull: The disk has no room.
        CannotWrite: The file cannot be written.
    """
    check_format(path)
    export = _Export(footprints, path, grid, provenance or Provenance())
    try:
        if suffix_of(path) == ".shp":
            _write_shapefile(export)
        else:
            with atomic_write(path) as temporary:
                _WRITERS[suffix_of(path)](export, temporary)
    except (DataSourceError, DataLayerError, FeatureError) as error:
        raise CannotWrite(name=path, detail=str(error)) from error
    return path


def suffix_of(path: Path) -> str:
    """Return the suffix that selects the format: the last one, of zipped Shapefiles the last two."""
    return ".shp.zip" if path.name.lower().endswith(".shp.zip") else path.suffix.lower()


def with_format_suffix(path: Path, format_name: str) -> Path:
    """Append the suffix of a format (`gpkg`, `shp.zip` …), unless the path has it or no format is named.

    Raises UnknownFootprintFormat if the result has no suffix of a format.
    """
    suffix = f".{format_name.lower().removeprefix('.')}"
    result = path if not format_name or suffix_of(path) == suffix else path.with_name(path.name + suffix)
    check_format(result)
    return result


def check_format(path: Path) -> None:
    """Raise UnknownFootprintFormat if footprints cannot be written with that suffix."""
    if suffix_of(path) not in FORMATS:
        raise UnknownFootprintFormat(name=path, known=", ".join(FORMATS))


@dataclass(frozen=True)
class _Export:
    """Footprints to write, convertible to the coordinates of a format."""

    footprints: Footprints
    path: Path
    grid: Grid | None
    provenance: Provenance

    def in_map_crs(self) -> Footprints:
        """Return the footprints in the CRS of the grid, without a grid in their own."""
        footprints, grid = self.footprints, self.grid
        if footprints.crs is None:
            if grid is None:
                raise ExportNeedsGrid(name=self.path)
            frame = footprints.frame.set_geometry(grid.to_map(footprints.geometries), crs=grid.crs)
            return Footprints(frame, footprints.images, footprints.repairs)
        return footprints.to_crs(grid.crs) if grid else footprints

    def in_pixels(self) -> Geometries:
        """Return the geometries in columns and rows of the grid.

        Returns:
            (n,) object array.
        """
        footprints = self.footprints
        if footprints.crs is None:
            return footprints.geometries
        if self.grid is None:
            raise ExportNeedsGrid(name=self.path)
        return self.grid.to_pixels(footprints.geometries, footprints.crs)

    def table(self) -> gpd.GeoDataFrame:
        """Return one row per footprint: fields and geometry in the map CRS."""
        footprints = self.in_map_crs()
        assert footprints.crs is not None
        columns = {
            "id": footprints.frame["id"], "confidence": footprints.confidence, "area_m2": footprints.area_m2,
            "perimeter_m": perimeter_m(footprints.geometries, footprints.crs).round(2),
        }  # fmt: skip
        images = footprints.frame["image"]
        tile_column = {"tile": images} if not self.provenance.tile and (images != "").any() else {}
        return gpd.GeoDataFrame(
            {**columns, **tile_column, **self.provenance.fields}, geometry=footprints.geometries, crs=footprints.crs
        )


def _write_geojson(export: _Export, file: Path) -> None:
    table = export.table()
    properties = table.drop(columns="geometry").to_dict("records")
    shapes = np.asarray(table.geometry.to_crs(LONLAT), dtype=object)
    file.write_bytes(feature_collection(shapes, properties, attribution=export.provenance.licence))


def _write_geopackage(export: _Export, file: Path) -> None:
    table = export.table()
    licence = export.provenance.licence
    file.unlink()  # GDAL refuses an existing file that is no GeoPackage
    pyogrio.write_dataframe(
        table, file, layer="footprints", driver="GPKG", **_geometry_type(table),
        dataset_metadata={"attribution": licence} if licence else None, dataset_options=_GPKG_OPTIONS,
    )  # fmt: skip
    # GDAL builds the spatial index last and ignores a full disk.
    if not pyogrio.read_info(file)["capabilities"]["fast_spatial_filter"]:
        raise DataSourceError("not enough disk space for the spatial index")


def _geometry_type(table: gpd.GeoDataFrame) -> dict[str, Any]:
    has_multi = bool((table.geom_type == "MultiPolygon").any())
    return {"geometry_type": "MultiPolygon" if has_multi else "Polygon", "promote_to_multi": has_multi}


def _write_flatgeobuf(export: _Export, file: Path) -> None:
    table = export.table().to_crs(LONLAT)
    file.unlink()
    pyogrio.write_dataframe(table, file, layer="footprints", driver="FlatGeobuf", **_geometry_type(table))


def _write_zipped_shapefile(export: _Export, archive: Path) -> None:
    """Zip a Shapefile here: GDAL's own zipping leaves files behind when the disk is full."""
    with TemporaryDirectory(dir=archive.parent, prefix=".") as folder, ZipFile(archive, "w", ZIP_DEFLATED) as zipped:
        _save_shapefile(export, Path(folder) / f"{export.path.name.removesuffix('.zip')}")
        for file in sorted(Path(folder).iterdir()):
            zipped.write(file, file.name)


def _write_shapefile(export: _Export) -> None:
    """Write the files of a Shapefile; the .shp comes last, and none remains if one fails."""
    path = export.path
    with translating_errors(path), TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        shapefile = Path(folder) / path.name
        _save_shapefile(export, shapefile)
        for file in sorted(shapefile.parent.iterdir(), key=lambda file: file.suffix == ".shp"):
            file.replace(path.with_suffix(file.suffix))


def _save_shapefile(export: _Export, path: Path) -> None:
    table = export.table().rename(columns=_SHAPEFILE_NAMES)
    kind = {"geometry_type": "Polygon"}  # of a Shapefile, holds multipolygons as well
    pyogrio.write_dataframe(table, path, driver="ESRI Shapefile", encoding="UTF-8", **kind)


def _write_geoparquet(export: _Export, file: Path) -> None:
    table = export.table()
    table.attrs["attribution"] = export.provenance.licence
    table.to_parquet(file, index=False)


def write_spacenet(tiles: Iterable[tuple[Footprints, Grid, str]], path: Path) -> Path:
    """Write the footprints of several tiles in SpaceNet's columns, each in pixels of its grid.

    Raises DiskFull and CannotWrite; then nothing is left behind.
    """
    tables = [_spacenet_table(_Export(footprints, path, grid, Provenance(tile))) for footprints, grid, tile in tiles]
    with atomic_write(path) as temporary:
        pd.concat(tables, ignore_index=True).to_csv(temporary, index=False, encoding="utf-8")
    return path


def _spacenet_table(export: _Export) -> pd.DataFrame:
    footprints = export.footprints
    images = footprints.frame["image"].replace("", export.provenance.tile)
    rows = pd.DataFrame(
        {
            "ImageId": images,
            "BuildingId": footprints.frame["id"],
            "PolygonWKT_Pix": shapely.to_wkt(export.in_pixels(), rounding_precision=_PIXEL_DECIMALS),
            "PolygonWKT_Geo": _lonlat_wkt(export),
            "Confidence": footprints.confidence,
        }
    )
    empty = {name or export.provenance.tile for name in footprints.images or ("",)} - set(images)
    empty_rows = [(name, -1, "POLYGON EMPTY", "POLYGON EMPTY", 1.0) for name in sorted(empty)]
    return pd.DataFrame([*rows.itertuples(index=False, name=None), *empty_rows], columns=rows.columns)


def _lonlat_wkt(export: _Export) -> np.ndarray | str:
    """Return WKT in longitude and latitude if it can be computed, else SpaceNet's empty polygon."""
    if export.footprints.crs is None and export.grid is None:
        return "POLYGON EMPTY"
    lonlat = export.in_map_crs().to_crs(LONLAT).geometries
    return np.asarray(shapely.to_wkt(lonlat, rounding_precision=_WKT_DECIMALS))


_WRITERS: dict[str, Callable[[_Export, Path], None]] = {
    ".geojson": _write_geojson,
    ".gpkg": _write_geopackage,
    ".parquet": _write_geoparquet,
    ".fgb": _write_flatgeobuf,
    ".shp.zip": _write_zipped_shapefile,
    ".csv": lambda export, file: _spacenet_table(export).to_csv(file, index=False, encoding="utf-8"),
}
#: Supported suffixes.
FORMATS = (*_WRITERS, ".shp")
