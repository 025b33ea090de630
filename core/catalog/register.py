"""Putting tiles into the catalogue: those of a folder, and the sample city when there is nothing else."""

from collections.abc import Collection, Container, Iterable
from dataclasses import replace
from math import hypot
from pathlib import Path
from tempfile import TemporaryDirectory

from core.catalog.scan import Found, count_buildings, read_index, scan
from core.catalog.store import Catalog, read_catalog, update_catalog
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.errors import MovedTooFar, NoSuchArea
from core.progress import Report, silent
from core.settings import settings

#: Metres by which labels may be moved; what lies further off has another fault.
FARTHEST_M = 100.0


def register(folder: Path, attribution: str = "", report: Report = silent, only: Container[str] | None = None) -> Found:
    """Scans a folder and adds what it holds, or `only` the tiles of some ids; files stay where they are.

    Raises what `scan` and writing raise.
    """
    found = scan(folder, attribution, report, only)
    update_catalog(lambda catalog: catalog.adding(found.tiles))
    return found


def register_index(content: bytes) -> Found:
    """Adds the tiles that one of SpaceNet's indexes lists; raises what `read_index` and writing raise."""
    settings().data.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings().data, prefix=".index-") as folder:
        path = Path(folder) / "the index"
        path.write_bytes(content)
        tiles = read_index(path)
    update_catalog(lambda catalog: catalog.adding(tiles))
    return Found(tuple(tiles))


def remove(names: Collection[str] = (), aoi: str = "") -> tuple[Tile, ...]:
    """Takes tiles out of the catalogue, those of these ids and all of an area; their files stay. Returns them.

    Raises NoSuchTile, NoSuchArea and what writing raises; then none is taken out.
    """
    gone: dict[str, Tile] = {}

    def without(catalog: Catalog) -> Catalog:
        if aoi and aoi not in catalog.aois:
            raise NoSuchArea(aoi=aoi)
        gone.update((tile.id, tile) for tile in (*map(catalog.tile, names), *catalog.of_aoi(aoi).tiles))
        return catalog.without(*gone)

    update_catalog(without)
    return tuple(gone.values())


def move_labels(tile_id: str, east_m: float, north_m: float) -> Tile:
    """Puts a tile's labels so many metres east and north of where their file has them; the file stays as it is.

    Its buildings are counted anew. Raises NoSuchTile, NoLabels, MovedTooFar, and what reading its files and writing the
    catalogue raise.
    """
    if not can_move(east_m, north_m):
        raise MovedTooFar(limit=f"{FARTHEST_M:.0f}")
    offset = (round(east_m, 3), round(north_m, 3))

    def moved(catalog: Catalog) -> Catalog:
        tile = replace(catalog.tile(tile_id), offset_m=offset)
        buildings, built = count_buildings(read_tile_labels(tile), 1 - (tile.nodata_share or 0.0))
        return catalog.with_tile(replace(tile, buildings=buildings, built_share=built))

    return update_catalog(moved).tile(tile_id)


def can_move(east_m: float, north_m: float) -> bool:
    """Whether labels may be put so far from where their file has them."""
    return hypot(east_m, north_m) <= FARTHEST_M  # so that NaN is refused as well


def as_moved(tiles: Iterable[Tile]) -> tuple[Tile, ...]:
    """Tiles of a scan with their labels moved as in the catalogue, where it has them with the same label file.

    Raises DamagedCatalog.
    """
    found = tuple(tiles)
    known = {tile.id: tile for tile in read_catalog().named(tile.id for tile in found)}
    return tuple(tile.moved_like(known.get(tile.id, tile)) for tile in found)
