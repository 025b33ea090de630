"""Register tiles in the catalog: from folders in a SpaceNet layout and from tile indexes."""

from collections.abc import Collection, Container, Iterable
from dataclasses import replace
from math import hypot
from pathlib import Path
from tempfile import TemporaryDirectory

from core.catalog.scan import ScanResult, count_buildings, read_index, scan
from core.catalog.store import Catalog, read_catalog, update_catalog
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.errors import NoSuchArea, OffsetTooLarge
from core.progress import Report, silent
from core.settings import settings

#: Longest label offset [m]; larger displacements have another cause than misregistration.
MAX_OFFSET_M = 100.0


def register(
    folder: Path, attribution: str = "", report: Report = silent, tile_ids: Container[str] | None = None
) -> ScanResult:
    """Scan a folder and add its tiles to the catalog; the files stay where they are.

    Args:
        folder: Folder or single file in a SpaceNet layout.
        attribution: Credit of the images; derived from the area's name if empty.
        report: Called with the progress.
        tile_ids: Add only the tiles with these ids.

    Returns:
        The tiles, with problems and label repairs.

    Raises:
        NoSuchPath: The folder does not exist.
        UnknownLayout: It holds no file in a SpaceNet layout.
        CatalogError: The catalog is damaged or busy.
        CannotWrite: The catalog cannot be written.
    """
    result = scan(folder, attribution, report, tile_ids)
    update_catalog(lambda catalog: catalog.with_tiles(result.tiles))
    return result


def register_index(content: bytes) -> ScanResult:
    """Add the tiles listed in a SpaceNet tile index; raises what `read_index` and `update_catalog` raise."""
    settings().data.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=settings().data, prefix=".index-") as folder:
        path = Path(folder) / "the index"
        path.write_bytes(content)
        tiles = read_index(path)
    update_catalog(lambda catalog: catalog.with_tiles(tiles))
    return ScanResult(tuple(tiles))


def remove(tile_ids: Collection[str] = (), aoi: str = "") -> tuple[Tile, ...]:
    """Remove tiles from the catalog, by id or all of an area, and return them; their files stay.

    Raises NoSuchTile, NoSuchArea and what `update_catalog` raises; then nothing is removed.
    """
    removed: dict[str, Tile] = {}

    def remove_tiles(catalog: Catalog) -> Catalog:
        if aoi and aoi not in catalog.aois:
            raise NoSuchArea(aoi=aoi)
        removed.update((tile.id, tile) for tile in (*map(catalog.tile, tile_ids), *catalog.of_aoi(aoi).tiles))
        return catalog.without(*removed)

    update_catalog(remove_tiles)
    return tuple(removed.values())


def set_label_offset(tile_id: str, east_m: float, north_m: float) -> Tile:
    """Shift the labels of a tile against its image; the label file stays unchanged.

    The buildings on the image are counted again.

    Args:
        tile_id: Id of a labeled tile.
        east_m: Shift to the east [m], relative to the label file.
        north_m: Shift to the north [m], relative to the label file.

    Returns:
        The updated tile.

    Raises:
        NoSuchTile: There is no such tile.
        NoLabels: The tile has no labels.
        OffsetTooLarge: The shift is longer than MAX_OFFSET_M.
    """
    if not can_offset_labels(east_m, north_m):
        raise OffsetTooLarge(limit=f"{MAX_OFFSET_M:.0f}")
    offset = (round(east_m, 3), round(north_m, 3))

    def apply_offset(catalog: Catalog) -> Catalog:
        tile = replace(catalog.tile(tile_id), offset_m=offset)
        buildings, built_share = count_buildings(read_tile_labels(tile), 1 - (tile.nodata_share or 0.0))
        return catalog.with_tile(replace(tile, buildings=buildings, built_share=built_share))

    return update_catalog(apply_offset).tile(tile_id)


def can_offset_labels(east_m: float, north_m: float) -> bool:
    """Tell whether a label offset is at most MAX_OFFSET_M long."""
    return hypot(east_m, north_m) <= MAX_OFFSET_M  # written so that NaN is refused as well


def with_label_offset(tiles: Iterable[Tile]) -> tuple[Tile, ...]:
    """Apply the label offsets stored in the catalog to scanned tiles with the same label file.

    Raises DamagedCatalog.
    """
    scanned = tuple(tiles)
    registered = {tile.id: tile for tile in read_catalog().named(tile.id for tile in scanned)}
    return tuple(tile.with_offset_of(registered.get(tile.id, tile)) for tile in scanned)
