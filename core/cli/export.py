"""The command `export`: footprints, training sets, rasters, networks and reports as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from core.catalog.scan import scan
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.cli.console import PLAIN, notes, progress
from core.errors import NoSuchArea
from core.geo.vector_writers import FORMATS, in_format
from core.runs.run import Run
from core.settings import settings

export = typer.Typer(help="Files for other programs.", **PLAIN)
_Run = Annotated[str, typer.Argument(help="Name of a run's folder, or its path.")]
_Aoi = Annotated[str, typer.Option("--aoi", help="All tiles of this area.")]
_Tiles = Annotated[str, typer.Option("--tiles", help="Only these, by id, with commas between.")]
_Out = Annotated[Path, typer.Option("--out", help="It must not be there yet, where it is a folder.")]


@export.command("set")
def training_set(
    out: _Out,
    kind: Annotated[str, typer.Option("--format", help="coco, voc, yolo, yolo-segments, sbd or tfrecord.")] = "coco",
    data: Annotated[Path | None, typer.Option(help="A folder in any SpaceNet layout; else the catalogue.")] = None,
    aoi: _Aoi = "",
    tiles: _Tiles = "",
    chip: Annotated[int, typer.Option(min=0, help="Pixels along a picture; 0: whole tiles.")] = 0,
    seed: Annotated[int, typer.Option(help="Decides which tiles validate.")] = 0,
) -> None:
    """Labelled tiles as a training set: pictures, labels, classes, and which of them validate."""
    from core.exports.datasets.samples import examples
    from core.exports.datasets.writer import write_set

    with progress() as report:
        count = write_set(examples(_chosen(data, aoi, tiles), chip, seed, report), kind, out)
    notes.print(f"{count} pictures", markup=False)
    typer.echo(out)


@export.command()
def network(run: _Run, out: _Out) -> None:
    """A run's network as ONNX (for QGIS), LiteRT and SavedModel, with model card and STAC item."""
    from core.exports.model import export_network

    found = _run(run)
    with progress() as report:
        export_network(found, out, read_catalog().named(found.record.tiles), report)
    typer.echo(out)


@export.command()
def footprints(
    run: _Run,
    out: Annotated[Path, typer.Option("--out", help=" ".join(FORMATS))],
    aoi: _Aoi = "",
    tiles: _Tiles = "",
    which: Annotated[str, typer.Option(help="raw, square (right angles) or accepted")] = "raw",
    kind: Annotated[str, typer.Option("--format", help="Instead of a suffix, as gpkg.")] = "",
) -> None:
    """What a run has predicted of several tiles, in one file."""
    from core.exports.footprints import write_area

    out = in_format(out, kind)
    with progress() as report:
        count = write_area(_run(run), _chosen(None, aoi, tiles), out, which, report)
    notes.print(f"{count} buildings", markup=False)
    typer.echo(out)


@export.command()
def rasters(
    run: _Run,
    out: _Out,
    layers: Annotated[
        str,
        typer.Option(help="mask and distance (of the labels), probability and predicted (mask) with commas between."),
    ] = "mask,distance,probability,predicted",
    aoi: _Aoi = "",
    tiles: _Tiles = "",
) -> None:
    """Masks, signed distances and probabilities of several tiles as cloud-optimised GeoTIFFs."""
    from core.exports.rasters import write_rasters

    names = [name.strip() for name in layers.split(",") if name.strip()]
    with progress() as tell:
        count = write_rasters(_run(run), _chosen(None, aoi, tiles), out, names, tell)
    notes.print(f"{count} files", markup=False)
    typer.echo(out)


@export.command()
def report(
    run: _Run, out: Annotated[Path, typer.Option("--out", help="An .html file.")], aoi: _Aoi = "", tiles: _Tiles = ""
) -> None:
    """A page about a run for people who were not there: score, map, best and worst tiles, what it was trained on."""
    from core.exports.report import write_report

    with progress() as tell:
        write_report(_run(run), _chosen(None, aoi, tiles), out, report=tell)
    typer.echo(out)


def _run(name: str) -> Run:
    """By its folder's name, or by its path."""
    named = Run(settings().runs / Path(name).name)
    return named if named.exists else Run(Path(name))


def _chosen(data: Path | None, aoi: str, names: str) -> Sequence[Tile]:
    """The tiles that were named, of an area, or all there are; raises NoSuchArea, NoSuchTile."""
    catalog = read_catalog()
    if names:
        return [catalog.tile(name.strip()) for name in names.split(",") if name.strip()]
    if data is not None:
        with progress() as tell:
            found = scan(data, report=tell)
        for problem in found.problems:
            notes.print(problem, markup=False)
        return found.tiles
    if aoi and not catalog.of_aoi(aoi).tiles:
        raise NoSuchArea(aoi=aoi)
    return (catalog.of_aoi(aoi) if aoi else catalog).tiles
