"""Footprints as files that other programs open: the suffix says which format, all or nothing is written."""

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

from core.atomic_files import replacing, writing
from core.errors import CannotWrite, ExportWithoutGrid, UnknownFootprintFormat
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT, Grid, perimeter_m
from core.geo.vector import Footprints
from core.types import Geometries

#: Decimals: a millimetre in degrees, a thousandth of a pixel.
_WKT_DECIMALS, _PIXEL_DECIMALS = 8, 3
#: A Shapefile's names have ten letters at the most.
_TEN_LETTERS = {"perimeter_m": "perim_m", "imagery_date": "date"}


#: The version of GeoPackage that Debian 12's GDAL (3.6) opens without a warning; it warns of 1.4, GDAL's own choice.
_OLDER = {"VERSION": "1.2"}


@dataclass(frozen=True)
class Origin:
    """Where footprints come from; what is empty is not written."""

    tile: str = ""
    run: str = ""
    model: str = ""  #: the network, in a word
    imagery_date: str = ""  #: YYYY-MM-DD, where it is known
    licence: str = ""  #: whose pixels and labels they were made of

    @property
    def fields(self) -> dict[str, str]:
        """What is known, by the names that files give it."""
        return {name: value for name, value in asdict(self).items() if value}


def write_footprints(
    footprints: Footprints, path: Path, grid: Grid | None = None, origin: Origin | None = None
) -> Path:
    """The footprints as one file; returns its path.

    .geojson and .fgb: longitude and latitude. .gpkg, .parquet, .shp and .shp.zip: the CRS of `grid`, else the
    footprints' own. All of these hold `id`, `confidence`, `area_m2`, `perimeter_m` and what is known of the origin; a
    Shapefile has shorter names (`perim_m`, `date`). .csv: SpaceNet's columns in pixels of `grid`, under the origin's
    tile where the footprints name none; an image without a building gets the row -1. It has no place for a licence.
    `grid` is needed to come from pixels to the ground, and for .csv from the ground to pixels.
    Raises UnknownFootprintFormat, ExportWithoutGrid, DiskFull and CannotWrite; then nothing is left behind.
    """
    check_format(path)
    export = _Export(footprints, path, grid, origin or Origin())
    try:
        if suffix_of(path) == ".shp":
            _write_shapefile(export)
        else:
            with replacing(path) as part:
                _WRITERS[suffix_of(path)](export, part)
    except (DataSourceError, DataLayerError, FeatureError) as error:
        raise CannotWrite(name=path, detail=str(error)) from error
    return path


def suffix_of(path: Path) -> str:
    """What says the format: the last suffix, of zipped Shapefiles the last two."""
    return ".shp.zip" if path.name.lower().endswith(".shp.zip") else path.suffix.lower()


def in_format(path: Path, kind: str) -> Path:
    """The path as the format of this name has it (`gpkg`, `shp.zip` …), as it stands where none is named.

    Raises UnknownFootprintFormat where neither the name nor the path's suffix is a format.
    """
    suffix = f".{kind.lower().removeprefix('.')}"
    named = path if not kind or suffix_of(path) == suffix else path.with_name(path.name + suffix)
    check_format(named)
    return named


def check_format(path: Path) -> None:
    """Raises UnknownFootprintFormat where no footprints can be written under that suffix."""
    if suffix_of(path) not in FORMATS:
        raise UnknownFootprintFormat(name=path, known=", ".join(FORMATS))


@dataclass(frozen=True)
class _Export:
    """What is to be written, in the coordinates a format asks for."""

    footprints: Footprints
    path: Path
    grid: Grid | None
    origin: Origin

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
        """One row a footprint on the ground: its fields and geometry."""
        ground = self.on_the_ground()
        assert ground.crs is not None
        columns = {
            "id": ground.frame["id"], "confidence": ground.confidence, "area_m2": ground.area_m2,
            "perimeter_m": perimeter_m(ground.geometries, ground.crs).round(2),
        }  # fmt: skip
        images = ground.frame["image"]
        named = {"tile": images} if not self.origin.tile and (images != "").any() else {}
        return gpd.GeoDataFrame({**columns, **named, **self.origin.fields}, geometry=ground.geometries, crs=ground.crs)


def _write_geojson(export: _Export, part: Path) -> None:
    table = export.table()
    facts = table.drop(columns="geometry").to_dict("records")
    shapes = np.asarray(table.geometry.to_crs(LONLAT), dtype=object)
    part.write_bytes(feature_collection(shapes, facts, attribution=export.origin.licence))


def _write_geopackage(export: _Export, part: Path) -> None:
    table = export.table()
    licence = export.origin.licence
    part.unlink()  # GDAL refuses a file that is there and is no GeoPackage yet
    pyogrio.write_dataframe(
        table, part, layer="footprints", driver="GPKG", **_geometry_type(table),
        dataset_metadata={"attribution": licence} if licence else None, dataset_options=_OLDER,
    )  # fmt: skip
    # GDAL builds the spatial index last and says nothing when the disk is full by then.
    if not pyogrio.read_info(part)["capabilities"]["fast_spatial_filter"]:
        raise DataSourceError("there was no room for the spatial index")


def _geometry_type(table: gpd.GeoDataFrame) -> dict[str, Any]:
    several = bool((table.geom_type == "MultiPolygon").any())
    return {"geometry_type": "MultiPolygon" if several else "Polygon", "promote_to_multi": several}


def _write_flatgeobuf(export: _Export, part: Path) -> None:
    table = export.table().to_crs(LONLAT)
    part.unlink()
    pyogrio.write_dataframe(table, part, layer="footprints", driver="FlatGeobuf", **_geometry_type(table))


def _write_zipped_shapefile(export: _Export, part: Path) -> None:
    """GDAL zips, too, but leaves things beside where the disk is full."""
    with TemporaryDirectory(dir=part.parent, prefix=".") as folder, ZipFile(part, "w", ZIP_DEFLATED) as zipped:
        _put_shapefile(export, Path(folder) / f"{export.path.name.removesuffix('.zip')}")
        for file in sorted(Path(folder).iterdir()):
            zipped.write(file, file.name)


def _write_shapefile(export: _Export) -> None:
    """Several files: the one that is named comes last, and none stays where one is missing."""
    path = export.path
    with writing(path), TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        made = Path(folder) / path.name
        _put_shapefile(export, made)
        for file in sorted(made.parent.iterdir(), key=lambda file: file.suffix == ".shp"):
            file.replace(path.with_suffix(file.suffix))


def _put_shapefile(export: _Export, path: Path) -> None:
    table = export.table().rename(columns=_TEN_LETTERS)
    kind = {"geometry_type": "Polygon"}  # which holds several, too
    pyogrio.write_dataframe(table, path, driver="ESRI Shapefile", encoding="UTF-8", **kind)


def _write_geoparquet(export: _Export, part: Path) -> None:
    table = export.table()
    table.attrs["attribution"] = export.origin.licence
    table.to_parquet(part, index=False)


def write_spacenet(parts: Iterable[tuple[Footprints, Grid, str]], path: Path) -> Path:
    """The footprints of several tiles in SpaceNet's columns, each part in pixels of its grid, under its tile's name.

    Raises DiskFull and CannotWrite; then nothing is left behind.
    """
    tables = [_spacenet_table(_Export(found, path, grid, Origin(tile))) for found, grid, tile in parts]
    with replacing(path) as part:
        pd.concat(tables, ignore_index=True).to_csv(part, index=False, encoding="utf-8")
    return path


def _write_spacenet_csv(export: _Export, part: Path) -> None:
    _spacenet_table(export).to_csv(part, index=False, encoding="utf-8")


def _spacenet_table(export: _Export) -> pd.DataFrame:
    found = export.footprints
    images = found.frame["image"].replace("", export.origin.tile)
    rows = pd.DataFrame(
        {
            "ImageId": images,
            "BuildingId": found.frame["id"],
            "PolygonWKT_Pix": shapely.to_wkt(export.in_pixels(), rounding_precision=_PIXEL_DECIMALS),
            "PolygonWKT_Geo": _lonlat_wkt(export),
            "Confidence": found.confidence,
        }
    )
    empty = {name or export.origin.tile for name in found.images or ("",)} - set(images)
    none = [(name, -1, "POLYGON EMPTY", "POLYGON EMPTY", 1.0) for name in sorted(empty)]
    return pd.DataFrame([*rows.itertuples(index=False, name=None), *none], columns=rows.columns)


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
    ".fgb": _write_flatgeobuf,
    ".shp.zip": _write_zipped_shapefile,
    ".csv": _write_spacenet_csv,
}
#: What a person may choose from.
FORMATS = (*_WRITERS, ".shp")
