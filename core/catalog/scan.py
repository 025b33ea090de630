"""Scan folders in SpaceNet layouts for tiles: images, footprint files, tile indexes and summary tables.

A file that cannot be read becomes a problem of the result and does not stop the scan.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rasterio.enums import Resampling

from core.catalog import spacenet_names
from core.catalog.tile import MULTISPECTRAL_PRODUCT, RGB_PRODUCT, Tile
from core.errors import GroundplanError, NoSuchPath, NotATileIndex, UnknownLayout
from core.formatting import counted
from core.geo import raster
from core.geo.vector import Footprints, Repairs, read_footprints, read_named_polygons
from core.labels.labels import Labels
from core.progress import Report, silent

#: Longest side [px] at which the shares of no-data and of buildings are measured; larger images are reduced first.
_NODATA_SIDE, _MASK_SIDE = 2048, 4096


@dataclass(frozen=True)
class ScanResult:
    """Tiles of a scan, with problems and label repairs."""

    tiles: tuple[Tile, ...]
    problems: tuple[str, ...] = ()  #: one sentence per file that was skipped or read in part
    repairs: Repairs = field(default_factory=Repairs)

    def summary(self) -> str:
        """Summarize the scan in one line."""
        labeled = sum(tile.is_labeled for tile in self.tiles)
        listed = sum(not tile.is_downloaded for tile in self.tiles)
        buildings = sum(tile.buildings or 0 for tile in self.tiles)
        aois = len({tile.aoi for tile in self.tiles})
        phrases = [f"{counted(len(self.tiles), 'tile')} in {counted(aois, 'area')}"]
        if labeled:
            phrases.append("all labeled" if labeled == len(self.tiles) else f"{labeled:,} labeled")
            phrases.append(counted(buildings, "building"))
        if self.repairs != Repairs():
            phrases.append(f"label repairs: {self.repairs}")
        if listed:
            phrases.append(f"{listed:,} not downloaded")
        if self.problems:
            phrases.append(counted(len(self.problems), "problem"))
        return ", ".join(phrases)


@dataclass
class _Files:
    """Files of one tile, collected during a scan."""

    aoi: str
    products: dict[str, Path] = field(default_factory=dict)
    labels: Path | None = None
    table_labels: Footprints | None = None  #: from a summary CSV of the whole area


def scan(
    folder: Path, attribution: str = "", report: Report = silent, tile_ids: Container[str] | None = None
) -> ScanResult:
    """Scan a folder for tiles in any SpaceNet layout.

    Args:
        folder: Folder, or a single file.
        attribution: Credit of the images; derived from the area's name if empty.
        report: Called with the progress.
        tile_ids: Read only the tiles with these ids.

    Returns:
        The tiles, with problems and label repairs.

    Raises:
        NoSuchPath: The folder does not exist.
        UnknownLayout: It holds no file in a SpaceNet layout.
    """
    if not folder.exists():
        raise NoSuchPath(name=folder)
    files, problems, repairs = _sort_files(folder)
    indexes = [*filter(spacenet_names.is_index, _files_below(folder))]
    if not files and not indexes:
        raise UnknownLayout(name=folder)
    tiles = _listed_tiles(indexes, problems)
    files = {tile_id: tile_files for tile_id, tile_files in files.items() if tile_ids is None or tile_id in tile_ids}
    for number, (tile_id, tile_files) in enumerate(sorted(files.items(), key=lambda item: _natural_key(item[0])), 1):
        report(number / len(files), f"Reading {tile_id}")
        if not tile_files.products:
            labels_name = tile_files.labels.name if tile_files.labels else "A label file"
            problems.append(f"{labels_name} has no matching image. Add the image of {tile_id} to the folder.")
            continue
        try:
            tile, tile_repairs = _tile(tile_id, tile_files, attribution, problems)
        except GroundplanError as error:
            problems.append(str(error))
            continue
        tiles.append(tile)
        repairs += tile_repairs
    return ScanResult(tuple(tiles), tuple(problems), repairs)


def _listed_tiles(indexes: Iterable[Path], problems: list[str]) -> list[Tile]:
    """Read the tiles of SpaceNet tile indexes, known by their footprint only."""
    tiles = []
    for path in indexes:
        try:
            tiles += read_index(path)
        except GroundplanError as error:
            problems.append(str(error))
    return tiles


def read_index(path: Path) -> list[Tile]:
    """Read the tiles of a SpaceNet tile index in natural order; raises NotATileIndex and what reading raises."""
    tiles = {}
    for location, footprint in read_named_polygons(path, "location").items():
        parsed = spacenet_names.parse(Path(location))
        if parsed is not None:
            tiles[parsed.tile] = Tile.listed(parsed.tile, parsed.aoi, footprint, spacenet_names.attribution(parsed.aoi))
    if not tiles:
        raise NotATileIndex(name=path, detail="no feature names the location of a tile")
    return [tiles[name] for name in sorted(tiles, key=_natural_key)]


def _files_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*") if folder.is_dir() else [folder])


def _natural_key(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("_img")
    return stem, int(number or 0)


def _sort_files(folder: Path) -> tuple[dict[str, _Files], list[str], Repairs]:
    """Group files by tile, with a problem for each image outside the layouts and the repairs of summary tables."""
    tiles: dict[str, _Files] = {}
    problems, summaries = [], []
    for path in _files_below(folder):
        parsed = spacenet_names.parse(path)
        if parsed is None:
            if path.suffix.lower() in (".tif", ".tiff") and path.is_file():
                problems.append(f"{path.name} is not named in a SpaceNet layout. Rename it, or leave it out.")
            if spacenet_names.is_summary(path):
                summaries.append(path)
            continue
        files = tiles.setdefault(parsed.tile, _Files(parsed.aoi))
        if parsed.product == spacenet_names.LABELS:
            files.labels = path.absolute()
        else:
            files.products[parsed.product] = path.absolute()
    return tiles, problems, _use_summaries(tiles, summaries, problems)


def _use_summaries(tiles: Mapping[str, _Files], summaries: Iterable[Path], problems: list[str]) -> Repairs:
    """Take labels of tiles without a GeoJSON from the summary CSV of their area, and return its repairs.

    The CSV is in pixels of the RGB image, so tiles without one stay unlabeled.
    """
    unlabeled = {
        tile_id: files
        for tile_id, files in tiles.items()
        if not files.labels and not files.products.keys().isdisjoint(RGB_PRODUCT)
    }
    repairs = Repairs()
    for path in summaries if unlabeled else ():
        try:
            table = read_footprints(path)
        except GroundplanError as error:
            problems.append(str(error))
            continue
        tile_ids = unlabeled.keys() & set(table.images)
        repairs += table.repairs if tile_ids else Repairs()
        for tile_id in tile_ids:
            unlabeled[tile_id].labels, unlabeled[tile_id].table_labels = path.absolute(), table.of_image(tile_id)
    return repairs


def _tile(tile_id: str, files: _Files, attribution: str, problems: list[str]) -> tuple[Tile, Repairs]:
    """Build the catalog row of a tile; unreadable labels leave it unlabeled and become a problem."""
    preference = (*RGB_PRODUCT, *MULTISPECTRAL_PRODUCT, *files.products)
    image = next(files.products[product] for product in preference if product in files.products)
    info = raster.read_info(image)
    valid_share = _valid_share(image, info.grid.shape)
    buildings = built_share = None
    repairs, labels = Repairs(), files.labels
    if labels is not None:
        try:
            footprints = read_footprints(labels).of_image(tile_id) if files.table_labels is None else files.table_labels
            buildings, built_share = count_buildings(Labels.of(info.grid, footprints), valid_share)
            repairs = footprints.repairs
        except GroundplanError as error:
            problems.append(str(error))
            labels = None
    tile = Tile(
        id=tile_id, aoi=files.aoi, products=files.products, footprints=labels, footprint=info.grid.footprint,
        width=info.grid.width, height=info.grid.height, bands=info.bands, dtype=info.dtype,
        crs=info.grid.crs.to_string(), gsd_m=info.grid.gsd_m, buildings=buildings, built_share=built_share,
        nodata_share=1 - valid_share, repairs=str(repairs) if repairs != Repairs() else "",
        attribution=attribution or spacenet_names.attribution(files.aoi),
    )  # fmt: skip
    return tile, repairs


def count_buildings(labels: Labels, valid_share: float) -> tuple[int, float]:
    """Count the buildings on the image and measure their share of the valid area.

    Args:
        labels: Footprints on the image's grid.
        valid_share: Share of the image with data, 0 to 1.
    """
    built_share = min(1.0, labels.at_most(_MASK_SIDE).built_share / valid_share) if valid_share else 0.0
    return len(labels.near()), built_share


def _valid_share(image: Path, shape: tuple[int, int]) -> float:
    """Measure the share of pixels with data."""
    rows, columns = (min(side, _NODATA_SIDE) for side in shape)
    return float(np.mean(raster.read(image, shape=(rows, columns), resampling=Resampling.nearest).valid))
