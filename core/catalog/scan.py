"""From a folder to tiles: what is there, what was wrong with it. One bad file never stops the rest."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rasterio.enums import Resampling

from core.catalog import spacenet_names
from core.catalog.tile import COLOUR, EIGHT_BANDS, Tile
from core.errors import GroundplanError, NoSuchPath, NotATileIndex, UnknownLayout
from core.geo import raster
from core.geo.vector import Footprints, Repairs, read_footprints, read_named_polygons
from core.labels.labels import Labels
from core.progress import Report, silent

#: Pixels a side from which on the share of no-data is counted on a smaller copy, and that of buildings.
_COUNTED, _BURNT = 2048, 4096


@dataclass(frozen=True)
class Found:
    """What a scan came upon."""

    tiles: tuple[Tile, ...]
    problems: tuple[str, ...] = ()  #: one sentence each, naming the file
    repairs: Repairs = field(default_factory=Repairs)

    def summary(self) -> str:
        """The scan in a few words."""
        labelled = sum(tile.is_labelled for tile in self.tiles)
        listed = sum(not tile.is_here for tile in self.tiles)
        buildings = sum(tile.buildings or 0 for tile in self.tiles)
        aois = len({tile.aoi for tile in self.tiles})
        return (
            f"{len(self.tiles)} tiles in {aois} areas, {labelled} labelled with {buildings} buildings"
            f" ({self.repairs}), {f'{listed} not downloaded, ' if listed else ''}{len(self.problems)} problems"
        )


@dataclass
class _Files:
    """The files of one tile while the folder is walked through."""

    aoi: str
    products: dict[str, Path] = field(default_factory=dict)
    labels: Path | None = None
    known: Footprints | None = None  #: what a table of many tiles says about this one


def scan(folder: Path, attribution: str = "", report: Report = silent, only: Container[str] | None = None) -> Found:
    """Every tile below a folder (or of one file), in whichever SpaceNet layout; or `only` those of some ids.

    Raises NoSuchPath, and UnknownLayout where nothing in it has a known name.
    """
    if not folder.exists():
        raise NoSuchPath(name=folder)
    files, problems, repairs = _sort_files(folder)
    indexes = [*filter(spacenet_names.is_index, _below(folder))]
    if not files and not indexes:
        raise UnknownLayout(name=folder)
    tiles = _listed(indexes, problems)
    files = {name: found for name, found in files.items() if only is None or name in only}
    for n, (name, found) in enumerate(sorted(files.items(), key=lambda item: _natural(item[0])), 1):
        report(n / len(files), f"reading {name}")
        if not found.products:
            problems.append(f"{_name(found.labels)} has no image beside it. Put the image of {name} into the folder.")
            continue
        try:
            tile, mended = _tile(name, found, attribution, problems)
        except GroundplanError as error:
            problems.append(str(error))
            continue
        tiles.append(tile)
        repairs += mended
    return Found(tuple(tiles), tuple(problems), repairs)


def _listed(indexes: Iterable[Path], problems: list[str]) -> list[Tile]:
    """The tiles of SpaceNet's indexes, known by their ground alone."""
    tiles = []
    for path in indexes:
        try:
            tiles += read_index(path)
        except GroundplanError as error:
            problems.append(str(error))
    return tiles


def read_index(path: Path) -> list[Tile]:
    """The tiles that one of SpaceNet's indexes lists, in natural order; raises NotATileIndex, and what reading does."""
    listed = {}
    for location, ground in read_named_polygons(path, "location").items():
        named = spacenet_names.parse(Path(location))
        if named is not None:
            listed[named.tile] = Tile.listed(named.tile, named.aoi, ground, spacenet_names.attribution(named.aoi))
    if not listed:
        raise NotATileIndex(name=path, detail="no feature has the location of a tile")
    return [listed[name] for name in sorted(listed, key=_natural)]


def _below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*") if folder.is_dir() else [folder])


def _natural(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("_img")
    return stem, int(number or 0)


def _name(path: Path | None) -> str:
    return path.name if path else "a label file"


def _sort_files(folder: Path) -> tuple[dict[str, _Files], list[str], Repairs]:
    """Files by the tile they belong to, a sentence about each image in no known layout, repairs of whole tables."""
    tiles: dict[str, _Files] = {}
    problems, summaries = [], []
    for path in _below(folder):
        named = spacenet_names.parse(path)
        if named is None:
            if path.suffix.lower() in (".tif", ".tiff") and path.is_file():
                problems.append(f"{path.name} has a name in no SpaceNet layout. Rename it, or leave it out.")
            if spacenet_names.is_summary(path):
                summaries.append(path)
            continue
        files = tiles.setdefault(named.tile, _Files(named.aoi))
        if named.product == spacenet_names.LABELS:
            files.labels = path.absolute()
        else:
            files.products[named.product] = path.absolute()
    return tiles, problems, _use_summaries(tiles, summaries, problems)


def _use_summaries(tiles: Mapping[str, _Files], summaries: Iterable[Path], problems: list[str]) -> Repairs:
    """Tiles without a GeoJSON take their labels from SpaceNet's table of the AOI, where it names them.

    It is in pixels of the colour image, so tiles without one get none. Returns what had to be mended in the tables.
    """
    without = {
        n: files for n, files in tiles.items() if not files.labels and not files.products.keys().isdisjoint(COLOUR)
    }
    repairs = Repairs()
    for path in summaries if without else ():
        try:
            table = read_footprints(path)
        except GroundplanError as error:
            problems.append(str(error))
            continue
        named = without.keys() & set(table.images)
        repairs += table.repairs if named else Repairs()
        for name in named:
            without[name].labels, without[name].known = path.absolute(), table.of_image(name)
    return repairs


def _tile(name: str, files: _Files, attribution: str, problems: list[str]) -> tuple[Tile, Repairs]:
    """One row of the catalogue; unreadable labels leave it unlabelled and are told."""
    order = (*COLOUR, *EIGHT_BANDS, *files.products)
    image = next(files.products[product] for product in order if product in files.products)
    info = raster.describe(image)
    valid = _valid_share(image, info.grid.shape)
    buildings = built = None
    repairs, labels = Repairs(), files.labels
    if labels is not None:
        try:
            footprints = read_footprints(labels).of_image(name) if files.known is None else files.known
            buildings, built = count_buildings(Labels.of(info.grid, footprints), valid)
            repairs = footprints.repairs
        except GroundplanError as error:
            problems.append(str(error))
            labels = None
    tile = Tile(
        id=name, aoi=files.aoi, products=files.products, footprints=labels, footprint=info.grid.footprint,
        width=info.grid.width, height=info.grid.height, bands=info.bands, dtype=info.dtype,
        crs=info.grid.crs.to_string(), gsd_m=info.grid.gsd_m, buildings=buildings, built_share=built,
        nodata_share=1 - valid, repairs=str(repairs) if repairs != Repairs() else "",
        attribution=attribution or spacenet_names.attribution(files.aoi),
    )  # fmt: skip
    return tile, repairs


def count_buildings(labels: Labels, valid: float) -> tuple[int, float]:
    """How many buildings touch the image, and their share of the ground with a picture, which is `valid` of all."""
    built = min(1.0, labels.at_most(_BURNT).built_share / valid) if valid else 0.0
    return len(labels.near()), built


def _valid_share(image: Path, shape: tuple[int, int]) -> float:
    """Share of the pixels that show something."""
    rows, columns = (min(side, _COUNTED) for side in shape)
    return float(np.mean(raster.read(image, shape=(rows, columns), resampling=Resampling.nearest).valid))
