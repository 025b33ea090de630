"""The catalogue on disk: a GeoParquet file, one row a tile."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import geopandas as gpd
import orjson
import pandas as pd
import pyarrow
import shapely
from shapely.errors import ShapelyError

from core.catalog.tile import Tile
from core.errors import DamagedCatalog, NoSuchTile
from core.grids import LONLAT
from core.rasters import replacing
from core.settings import settings
from core.types import Bounds


@dataclass(frozen=True)
class Catalog:
    """The tiles there are, in the order in which they were added."""

    tiles: tuple[Tile, ...] = ()

    def tile(self, name: str) -> Tile:
        """A tile by its id; raises NoSuchTile."""
        found = next((tile for tile in self.tiles if tile.id == name), None)
        if found is None:
            raise NoSuchTile(tile=name)
        return found

    @property
    def aois(self) -> tuple[str, ...]:
        """Names of the areas of interest."""
        return tuple(dict.fromkeys(tile.aoi for tile in self.tiles))

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north of all tiles together, in degrees."""
        west, south, east, north = shapely.total_bounds([tile.footprint for tile in self.tiles])
        return float(west), float(south), float(east), float(north)

    def of_aoi(self, aoi: str) -> "Catalog":
        """Only the tiles of one area."""
        return Catalog(tuple(tile for tile in self.tiles if tile.aoi == aoi))

    @property
    def showpiece(self) -> Tile:
        """The tile to show first: labelled, much of it building and all of it picture."""
        return max(self.tiles, key=lambda tile: (tile.built_share or 0.0) * (1 - (tile.nodata_share or 0.0)))

    @property
    def labelled(self) -> "Catalog":
        """Only the tiles one can train on."""
        return Catalog(tuple(tile for tile in self.tiles if tile.is_labelled))

    def adding(self, tiles: Iterable[Tile]) -> "Catalog":
        """With more tiles; one of the same id takes the place of the old one."""
        rows = {tile.id: tile for tile in (*self.tiles, *tiles)}
        return Catalog(tuple(rows.values()))


def read_catalog(path: Path | None = None) -> Catalog:
    """The catalogue of this installation, empty where nothing was added yet; raises DamagedCatalog."""
    path = path or settings().catalog
    if not path.exists():
        return Catalog()
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, _changed_ns: int, _size: int) -> Catalog:
    try:
        rows = gpd.read_parquet(path).to_dict("records")
        return Catalog(tuple(map(_tile, rows)))
    except (pyarrow.ArrowException, ShapelyError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedCatalog(name=path) from error


def write_catalog(catalog: Catalog, path: Path | None = None) -> Path:
    """Writes all rows anew, in one piece or not at all."""
    path = path or settings().catalog
    frame = pd.DataFrame([_row(tile) for tile in catalog.tiles], columns=[*Tile.__dataclass_fields__])
    geometry = gpd.GeoSeries([tile.footprint for tile in catalog.tiles], crs=LONLAT)
    with replacing(path) as part:
        gpd.GeoDataFrame(frame.drop(columns="footprint"), geometry=geometry).to_parquet(part)
    return path


def _row(tile: Tile) -> dict[str, object]:
    products = {name: str(file) for name, file in tile.products.items()}
    row = asdict(tile) | {"products": orjson.dumps(products).decode()}
    return row | {"footprints": str(tile.footprints) if tile.footprints else None}


def _tile(row: dict[str, object]) -> Tile:
    known = {key: None if pd.isna(value) else value for key, value in row.items() if key != "geometry"}  # type: ignore[call-overload]
    products = {name: Path(file) for name, file in orjson.loads(str(known["products"])).items()}
    labels = known["footprints"]
    buildings = known["buildings"]
    return Tile(
        **known
        | {
            "products": products,
            "footprints": Path(str(labels)) if labels else None,
            "buildings": None if buildings is None else int(str(buildings).split(".")[0]),
            "footprint": row["geometry"],
        }  # type: ignore[arg-type]
    )
