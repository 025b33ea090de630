"""`python -m core catalog …`: which tiles there are."""

from pathlib import Path
from typing import Annotated

import typer

from core.catalog.register import register, remove
from core.catalog.scan import Found
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.cli.console import PLAIN, notes, print_json, progress, tell
from core.settings import settings
from core.tasks.data import register_sample
from core.uploads.validation import Place

catalog = typer.Typer(help="Which tiles there are, and where.", **PLAIN)


@catalog.command("add")
def catalog_add(
    path: Annotated[Path, typer.Argument(help="A folder in any SpaceNet layout, one file of it, or any GeoTIFF.")],
    attribution: Annotated[str, typer.Option(help="Who made the pictures, shown wherever they are.")] = "",
    labels: Annotated[Path | None, typer.Option(help="Of one GeoTIFF: its buildings, .geojson or .csv.")] = None,
    crs: Annotated[str, typer.Option(help="Of one GeoTIFF that names none: EPSG:32611 or so.")] = "",
    edges: Annotated[str, typer.Option(help="Of one GeoTIFF without coordinates: west,south,east,north.")] = "",
    name: Annotated[str, typer.Option(help="Of one GeoTIFF: what to call it.")] = "",
) -> None:
    """Registers the tiles of a folder, whose files stay where they are; or takes in one GeoTIFF of any size."""
    from core.runs.run import trained_gsd
    from core.uploads.ingest import is_one_image, take_in
    from core.uploads.upload import Upload

    if is_one_image(path, labels, crs, edges, name):
        with progress() as report:
            tile = take_in(path, labels, Place.of(crs, edges), name, attribution, report, trained_gsd(settings().runs))
        for note in Upload.find(tile.id).facts.notes:
            notes.print(note, markup=False)
        tell(Found((tile,)))
        return
    with progress() as report:
        found = register(path, attribution, report)
    tell(found)


@catalog.command("list")
def catalog_list(
    json: Annotated[bool, typer.Option("--json", help="All facts of every tile as JSON.")] = False,
    aoi: Annotated[str | None, typer.Option(help="Only the tiles of one area.")] = None,
) -> None:
    """Lists the tiles of the catalogue."""
    tiles = [tile for tile in read_catalog().tiles if aoi in (None, tile.aoi)]
    if json:
        print_json([_facts(tile) for tile in tiles])
        return
    for tile in tiles:
        typer.echo(f"{tile.id}\t{_in_words(tile)}")
    if not tiles:
        notes.print("The catalogue is empty. Fill it with `python -m core catalog add FOLDER`.", markup=False)


def _in_words(tile: Tile) -> str:
    if not tile.is_here:
        return "not downloaded"
    buildings = "no labels" if tile.buildings is None else f"{tile.buildings} buildings"
    return f"{tile.width} × {tile.height} px\t{tile.gsd_m:.2f} m\t{tile.bands} bands\t{buildings}"


def _facts(tile: Tile) -> dict[str, object]:
    facts = {name: getattr(tile, name) for name in Tile.__dataclass_fields__ if name != "footprint"}
    products = {name: str(path) for name, path in tile.products.items()}
    labels = str(tile.footprints) if tile.footprints else None
    return facts | {"products": products, "footprints": labels, "bounds": tile.bounds}


@catalog.command("remove")
def catalog_remove(
    tiles: Annotated[list[str] | None, typer.Argument(help="Their ids, as `catalog list` shows them.")] = None,
    aoi: Annotated[str, typer.Option(help="All tiles of this area.")] = "",
) -> None:
    """Takes tiles out of the catalogue; their files stay where they are."""
    if not tiles and not aoi:
        raise typer.BadParameter("Name tiles, or an area with --aoi.")
    gone = remove(tiles or (), aoi)
    typer.echo(f"{len(gone)} tiles are no longer in the catalogue; their files stay")


@catalog.command("sample")
def catalog_sample(
    seed: Annotated[int | None, typer.Option(help="Another number, another city; makes it anew.")] = None,
) -> None:
    """Makes the sample city where there is none yet, and registers it."""
    with progress() as report:
        found = register_sample(seed, report)
    tell(found)
