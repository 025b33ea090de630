"""Commands `catalog add`, `list`, `remove` and `sample`: the tile catalog."""

from pathlib import Path
from typing import Annotated

import typer

from core.catalog.register import register, remove
from core.catalog.scan import ScanResult
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.cli.console import GROUP_OPTIONS, print_json, print_notes, print_scan, progress
from core.formatting import counted
from core.settings import settings
from core.tasks.data import register_sample
from core.uploads.validation import Georeference

catalog = typer.Typer(help="Register, list and remove tiles.", **GROUP_OPTIONS)


@catalog.command("add")
def catalog_add(
    path: Annotated[Path, typer.Argument(help="Folder in any SpaceNet layout, one of its files, or any GeoTIFF.")],
    attribution: Annotated[str, typer.Option(help="Attribution of the images, shown with them.")] = "",
    labels: Annotated[Path | None, typer.Option(help="Single GeoTIFF: building footprints, .geojson or .csv.")] = None,
    crs: Annotated[str, typer.Option(help="Single GeoTIFF without CRS: EPSG code, such as EPSG:32611.")] = "",
    bbox: Annotated[str, typer.Option(help="Single GeoTIFF: bounding box in degrees, west,south,east,north.")] = "",
    name: Annotated[str, typer.Option(help="Single GeoTIFF: name of the tile.")] = "",
) -> None:
    """Register the tiles of a folder, or import one GeoTIFF of any size. Files stay in place."""
    from core.runs.run import trained_gsd
    from core.uploads.ingest import ingest, is_one_image
    from core.uploads.upload import Upload

    if is_one_image(path, labels, crs, bbox, name):
        with progress() as report:
            tile = ingest(
                path, labels, Georeference.of(crs, bbox), name, attribution, report, trained_gsd(settings().runs)
            )
        for note in Upload.find(tile.id).facts.notes:
            print_notes.print(note, markup=False)
        print_scan(ScanResult((tile,)))
        return
    with progress() as report:
        result = register(path, attribution, report)
    print_scan(result)


@catalog.command("list")
def catalog_list(
    json: Annotated[bool, typer.Option("--json", help="Print all properties as JSON.")] = False,
    aoi: Annotated[str | None, typer.Option(help="Only tiles of this area.")] = None,
) -> None:
    """List the tiles of the catalog."""
    tiles = [tile for tile in read_catalog().tiles if aoi in (None, tile.aoi)]
    if json:
        print_json([_properties(tile) for tile in tiles])
        return
    for tile in tiles:
        typer.echo(f"{tile.id}\t{_describe(tile)}")
    if not tiles:
        print_notes.print("The catalog is empty. Add tiles with `python -m core catalog add FOLDER`.", markup=False)


def _describe(tile: Tile) -> str:
    if not tile.is_downloaded:
        return "not downloaded"
    buildings = "no labels" if tile.buildings is None else counted(tile.buildings, "building")
    return f"{tile.width} × {tile.height} px\t{tile.gsd_m:.2f} m\t{tile.bands} bands\t{buildings}"


def _properties(tile: Tile) -> dict[str, object]:
    facts = {name: getattr(tile, name) for name in Tile.__dataclass_fields__ if name != "footprint"}
    products = {name: str(path) for name, path in tile.products.items()}
    labels = str(tile.footprints) if tile.footprints else None
    return facts | {"products": products, "footprints": labels, "bounds": tile.bounds}


@catalog.command("remove")
def catalog_remove(
    tiles: Annotated[list[str] | None, typer.Argument(help="Tile IDs, see `catalog list`.")] = None,
    aoi: Annotated[str, typer.Option(help="All tiles of this area.")] = "",
) -> None:
    """Remove tiles from the catalog. Their files are kept."""
    if not tiles and not aoi:
        raise typer.BadParameter("Specify tiles, or an area with --aoi.")
    removed = remove(tiles or (), aoi)
    typer.echo(f"{counted(len(removed), 'tile')} removed from the catalog; files are kept")


@catalog.command("sample")
def catalog_sample(
    seed: Annotated[int | None, typer.Option(help="Random seed; regenerates the city.")] = None,
) -> None:
    """Generate the synthetic sample city, unless it exists, and register it."""
    with progress() as report:
        result = register_sample(seed, report)
    print_scan(result)
