"""Tile catalog, stored as a GeoParquet file with one row per tile."""

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

from core.atomic_files import atomic_write
from core.catalog.tile import Tile
from core.errors import CannotWrite, CatalogBusy, DamagedCatalog, GroundplanError, NoSuchTile
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT, TOUCHING
from core.settings import settings
from core.types import Bounds

#: Longest wait for another process to release the catalog [s].
BUSY_S = 20.0


@dataclass(frozen=True)
class Catalog:
    """Tiles of this installation, in the order in which they were added."""

    tiles: tuple[Tile, ...] = ()

    @cached_property
    def _by_id(self) -> Mapping[str, Tile]:
        return {tile.id: tile for tile in self.tiles}

    @cached_property
    def _spatial_index(self) -> shapely.STRtree:
        return shapely.STRtree([tile.footprint for tile in self.tiles])

    def tile(self, tile_id: str) -> Tile:
        """Look up a tile by its id; raises NoSuchTile."""
        if tile_id not in self._by_id:
            raise NoSuchTile(tile=tile_id)
        return self._by_id[tile_id]

    def named(self, tile_ids: Iterable[str]) -> tuple[Tile, ...]:
        """Look up tiles by id, in that order; ids that are not in the catalog are skipped."""
        return tuple(self._by_id[tile_id] for tile_id in tile_ids if tile_id in self._by_id)

    def search(self, text: str, aoi: str) -> Tile | None:
        """Find a tile by its id, or by img225 or 225 within an area; None if there is none."""
        return next(iter(self.named((text, f"{aoi}_{text}", f"{aoi}_img{text}"))), None)

    @cached_property
    def aois(self) -> tuple[str, ...]:
        """Names of the areas of interest."""
        return tuple(dict.fromkeys(tile.aoi for tile in self.tiles))

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north of all tiles together [degrees]."""
        west, south, east, north = shapely.total_bounds([tile.footprint for tile in self.tiles])
        return float(west), float(south), float(east), float(north)

    @cached_property
    def _by_aoi(self) -> Mapping[str, "Catalog"]:
        areas: dict[str, list[Tile]] = {}
        for tile in self.tiles:
            areas.setdefault(tile.aoi, []).append(tile)
        return {aoi: Catalog(tuple(tiles)) for aoi, tiles in areas.items()}

    def of_aoi(self, aoi: str) -> "Catalog":
        """Select the tiles of one area."""
        return self._by_aoi.get(aoi, Catalog())

    def within(self, bounds: Bounds) -> "Catalog":
        """Select the tiles whose footprint intersects the bounds [degrees]."""
        positions = np.sort(self._spatial_index.query(shapely.box(*bounds), "intersects"))
        return Catalog(tuple(self.tiles[position] for position in positions))

    def adjacent(self, tile: Tile) -> tuple[Tile, ...]:
        """Find the tiles of the same area that touch a tile."""
        candidates = self.within(tile.footprint.buffer(TOUCHING, join_style="mitre").bounds).tiles
        return tuple(candidate for candidate in candidates if candidate.aoi == tile.aoi and candidate.id != tile.id)

    @cached_property
    def geojson(self) -> bytes:
        """Footprints of all tiles as GeoJSON for a map, in catalog order, with the properties the map needs."""
        # Tiles that are not downloaded get no more than an id: of ten thousand that saves a third of the bytes.
        properties = [
            {"id": tile.id, "aoi": tile.aoi}
            | ({"here": True, "name": tile.name, "by": tile.attribution} if tile.is_downloaded else {})
            | ({"labelled": True} if tile.is_labeled else {})
            | ({"buildings": tile.buildings} if tile.is_labeled else {})
            for tile in self.tiles
        ]
        return feature_collection(np.array([tile.footprint for tile in self.tiles], dtype=object), properties)

    @cached_property
    def geojson_version(self) -> str:
        """Digest of `geojson`, for caching: it ignores catalog changes that the map does not show."""
        return blake2b(self.geojson, digest_size=6).hexdigest()

    def positions(self, tile_ids: Iterable[str]) -> list[int]:
        """Positions of tiles in catalog order, ascending; ids that are not in the catalog are skipped."""
        id_set = set(tile_ids)
        return [position for position, tile in enumerate(self.tiles) if tile.id in id_set]

    @property
    def default_tile(self) -> Tile:
        """Tile to show first: downloaded if possible, with a high share of buildings and little no-data."""
        return max(
            self.tiles,
            key=lambda tile: (tile.is_downloaded, (tile.built_share or 0.0) * (1 - (tile.nodata_share or 0.0))),
        )

    @cached_property
    def downloaded(self) -> "Catalog":
        """Tiles whose image is on this machine."""
        return Catalog(tuple(tile for tile in self.tiles if tile.is_downloaded))

    @cached_property
    def labeled(self) -> "Catalog":
        """Tiles with an image and labels."""
        return Catalog(tuple(tile for tile in self.tiles if tile.is_labeled))

    def with_tiles(self, tiles: Iterable[Tile]) -> "Catalog":
        """Add tiles; one with the same id replaces the old one, but a listed tile never a downloaded one.

        A label offset is kept if the label file is the same.
        """
        rows = dict(self._by_id)
        for tile in tiles:
            previous = rows.get(tile.id)
            if previous is not None and previous.is_downloaded and not tile.is_downloaded:
                continue
            rows[tile.id] = tile if previous is None else tile.with_offset_of(previous)
        return Catalog(tuple(rows.values()))

    def with_tile(self, tile: Tile) -> "Catalog":
        """Replace the row of the tile with the same id."""
        return Catalog(tuple({**self._by_id, tile.id: tile}.values()))

    def without(self, *tile_ids: str) -> "Catalog":
        """Remove tiles by id."""
        removed = set(tile_ids)
        return Catalog(tuple(tile for tile in self.tiles if tile.id not in removed))


def read_catalog(path: Path | None = None) -> Catalog:
    """Read the catalog, empty if the file does not exist; raises DamagedCatalog."""
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
    """Apply a change to the catalog and write it, under a file lock so that no concurrent change is lost.

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
    except GroundplanError:  # some are OSErrors as well
        raise
    except OSError as error:
        raise CannotWrite(name=path, detail=error.strerror or str(error)) from error


def write_catalog(catalog: Catalog, path: Path | None = None) -> Path:
    """Write all rows to a new file and replace the old one atomically."""
    path = path or settings().catalog
    frame = pd.DataFrame([_row(tile) for tile in catalog.tiles], columns=[*Tile.__dataclass_fields__])
    geometry = gpd.GeoSeries([tile.footprint for tile in catalog.tiles], crs=LONLAT)
    with atomic_write(path) as partial:
        gpd.GeoDataFrame(frame.drop(columns="footprint"), geometry=geometry).to_parquet(partial)
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
    # NaN, pandas' only marker of a missing number, is the one value that differs from itself.
    values = {key: None if value != value else value for key, value in row.items() if key != "geometry"}
    products = {name: Path(file) for name, file in orjson.loads(str(values["products"])).items()}
    labels = values["footprints"]
    buildings = values["buildings"]
    return Tile(
        **values
        | {
            "products": products,
            "footprints": Path(str(labels)) if labels else None,
            "buildings": None if buildings is None else int(str(buildings).split(".")[0]),
            "footprint": row["geometry"],
            "offset_m": tuple(orjson.loads(str(values.get("offset_m") or "[0.0, 0.0]"))),
        }  # type: ignore[arg-type]
    )
