"""The catalogue on disk: a GeoParquet file, one row a tile."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path

import geopandas as gpd
import numpy as np
import orjson
import pandas as pd
import pyarrow
import shapely
from filelock import FileLock, Timeout
from shapely.errors import ShapelyError

from core.atomic_files import replacing
from core.catalog.tile import Tile
from core.errors import CannotWrite, CatalogBusy, DamagedCatalog, GroundplanError, NoSuchTile
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT, TOUCHING
from core.settings import settings
from core.types import Bounds

#: Seconds to wait for another program's change of the catalogue to end.
BUSY_S = 20.0


@dataclass(frozen=True)
class Catalog:
    """The tiles there are, in the order in which they were added."""

    tiles: tuple[Tile, ...] = ()

    @cached_property
    def _by_id(self) -> Mapping[str, Tile]:
        return {tile.id: tile for tile in self.tiles}

    @cached_property
    def _ground(self) -> shapely.STRtree:
        return shapely.STRtree([tile.footprint for tile in self.tiles])

    def tile(self, name: str) -> Tile:
        """A tile by its id; raises NoSuchTile."""
        if name not in self._by_id:
            raise NoSuchTile(tile=name)
        return self._by_id[name]

    def named(self, names: Iterable[str]) -> tuple[Tile, ...]:
        """The tiles of these ids that are still there, in the order of the ids."""
        return tuple(self._by_id[name] for name in names if name in self._by_id)

    def guess(self, typed: str, aoi: str) -> Tile | None:
        """The tile somebody means by an id, or by img225 or 225 in an area; None where there is none."""
        return next(iter(self.named((typed, f"{aoi}_{typed}", f"{aoi}_img{typed}"))), None)

    @cached_property
    def aois(self) -> tuple[str, ...]:
        """Names of the areas of interest."""
        return tuple(dict.fromkeys(tile.aoi for tile in self.tiles))

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north of all tiles together, in degrees."""
        west, south, east, north = shapely.total_bounds([tile.footprint for tile in self.tiles])
        return float(west), float(south), float(east), float(north)

    @cached_property
    def _by_aoi(self) -> Mapping[str, "Catalog"]:
        areas: dict[str, list[Tile]] = {}
        for tile in self.tiles:
            areas.setdefault(tile.aoi, []).append(tile)
        return {aoi: Catalog(tuple(tiles)) for aoi, tiles in areas.items()}

    def of_aoi(self, aoi: str) -> "Catalog":
        """Only the tiles of one area."""
        return self._by_aoi.get(aoi, Catalog())

    def within(self, bounds: Bounds) -> "Catalog":
        """Only the tiles whose ground has a part in these degrees."""
        return Catalog(tuple(self.tiles[n] for n in np.sort(self._ground.query(shapely.box(*bounds), "intersects"))))

    def neighbours(self, tile: Tile) -> tuple[Tile, ...]:
        """The tiles of the same area that touch a tile."""
        near = self.within(tile.footprint.buffer(TOUCHING, join_style="mitre").bounds).tiles
        return tuple(other for other in near if other.aoi == tile.aoi and other.id != tile.id)

    @cached_property
    def geojson(self) -> bytes:
        """The ground of all tiles for a map, in this order, with what tells them apart there."""
        # Of a tile that is not here the rest is left out: of ten thousand listed ones it is a third of the bytes.
        facts = [
            {"id": tile.id, "aoi": tile.aoi}
            | ({"here": True, "name": tile.name, "by": tile.attribution} if tile.is_here else {})
            | ({"labelled": True} if tile.is_labelled else {})
            | ({"buildings": tile.buildings} if tile.is_labelled else {})
            for tile in self.tiles
        ]
        return feature_collection(np.array([tile.footprint for tile in self.tiles], dtype=object), facts)

    @cached_property
    def geojson_version(self) -> str:
        """Tells one ground of all tiles from another: what else changes in the catalogue is nothing to the map."""
        return blake2b(self.geojson, digest_size=6).hexdigest()

    def places(self, names: Iterable[str]) -> list[int]:
        """Where the tiles of these ids stand in this order, ascending; those that are not there are left out."""
        wanted = set(names)
        return [n for n, tile in enumerate(self.tiles) if tile.id in wanted]

    @property
    def showpiece(self) -> Tile:
        """The tile to show first: labelled, much of it building and all of it picture; one that is here, if any is."""
        return max(
            self.tiles, key=lambda tile: (tile.is_here, (tile.built_share or 0.0) * (1 - (tile.nodata_share or 0.0)))
        )

    @cached_property
    def here(self) -> "Catalog":
        """Only the tiles whose image is on this machine."""
        return Catalog(tuple(tile for tile in self.tiles if tile.is_here))

    @cached_property
    def labelled(self) -> "Catalog":
        """Only the tiles one can train on."""
        return Catalog(tuple(tile for tile in self.tiles if tile.is_labelled))

    def adding(self, tiles: Iterable[Tile]) -> "Catalog":
        """With more tiles; one of the same id replaces the old one, but never a listed one a real one.

        Labels that were moved stay so, where they are of the same file.
        """
        rows = dict(self._by_id)
        for tile in tiles:
            old = rows.get(tile.id)
            if old is not None and old.is_here and not tile.is_here:
                continue
            rows[tile.id] = tile if old is None else tile.moved_like(old)
        return Catalog(tuple(rows.values()))

    def with_tile(self, tile: Tile) -> "Catalog":
        """With this row in the place of the one of the same id."""
        return Catalog(tuple({**self._by_id, tile.id: tile}.values()))

    def without(self, *names: str) -> "Catalog":
        """Without the tiles of these ids."""
        gone = set(names)
        return Catalog(tuple(tile for tile in self.tiles if tile.id not in gone))


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
        return Catalog(tuple(map(_tile, gpd.read_parquet(path).to_dict("records"))))
    except (pyarrow.ArrowException, ShapelyError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedCatalog(name=path) from error


def update_catalog(change: Callable[[Catalog], Catalog], path: Path | None = None) -> Catalog:
    """The catalogue after a change, written; no change of another program is lost meanwhile.

    Raises DamagedCatalog, CatalogBusy, and what writing raises.
    """
    path = path or settings().catalog
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=BUSY_S):
            changed = change(read_catalog(path))
            write_catalog(changed, path)
            return changed
    except Timeout as error:
        raise CatalogBusy(name=path) from error
    except GroundplanError:  # some are OSErrors too
        raise
    except OSError as error:
        raise CannotWrite(name=path, detail=error.strerror or str(error)) from error


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
    row = {name: getattr(tile, name) for name in Tile.__dataclass_fields__}
    return row | {
        "products": orjson.dumps(products).decode(),
        "footprints": str(tile.footprints) if tile.footprints else None,
        "offset_m": orjson.dumps(tile.offset_m).decode(),
    }


def _tile(row: dict[str, object]) -> Tile:
    # NaN is the only value that differs from itself; pandas knows no other way to say that a number is missing.
    known = {key: None if value != value else value for key, value in row.items() if key != "geometry"}
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
            "offset_m": tuple(orjson.loads(str(known.get("offset_m") or "[0.0, 0.0]"))),
        }  # type: ignore[arg-type]
    )
