"""Commands `export …`: footprints, datasets, rasters, models and reports as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from core.catalog.scan import scan
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.cli.console import GROUP_OPTIONS, print_notes, progress
from core.errors import NoSuchArea
from core.formatting import counted
from core.geo.vector_writers import FORMATS, with_format_suffix
from core.runs.run import Run
from core.settings import settings

export = typer.Typer(help="Export footprints, rasters, models, datasets and reports.", **GROUP_OPTIONS)
_Kind = Literal["raw", "regularized", "accepted"]
#: Option value to key of core.exports.footprints.KINDS, which is also stored in job parameters.
_KINDS: Mapping[_Kind, str] = {"raw": "raw", "regularized": "square", "accepted": "accepted"}
_Run = Annotated[str, typer.Argument(help="Name or path of the run folder.")]
_Aoi = Annotated[str, typer.Option("--aoi", help="Only tiles of this area.")]
_Tiles = Annotated[str, typer.Option("--tiles", help="Comma-separated tile IDs.")]
_Out = Annotated[Path, typer.Option("--out", help="Output folder; must not exist yet.")]


@export.command("dataset")
def dataset(
    out: _Out,
    kind: Annotated[str, typer.Option("--format", help="coco, voc, yolo, yolo-segments, sbd or tfrecord.")] = "coco",
    data: Annotated[Path | None, typer.Option(help="Folder in any SpaceNet layout; default: the catalog.")] = None,
    aoi: _Aoi = "",
    tiles: _Tiles = "",
    chip: Annotated[int, typer.Option("--chip-size", min=0, help="Chip size (px); 0 = whole tiles.")] = 0,
    seed: Annotated[int, typer.Option(help="Random seed of the train/validation split.")] = 0,
) -> None:
    """Export labeled tiles as a training dataset: images, labels, classes and a train/validation split."""
    from core.exports.datasets.samples import export_samples
    from core.exports.datasets.writer import write_set

    with progress() as report:
        count = write_set(export_samples(_select_tiles(data, aoi, tiles), chip, seed, report), kind, out)
    print_notes.print(counted(count, "image"), markup=False)
    typer.echo(out)


@export.command("model")
def model(run: _Run, out: _Out) -> None:
    """Export the model of a run as ONNX (for QGIS), LiteRT and SavedModel, with model card and STAC item."""
    from core.exports.model import export_network

    existing = _run(run)
    with progress() as report:
        export_network(existing, out, read_catalog().named(existing.record.tiles), report)
    typer.echo(out)


@export.command()
def footprints(
    run: _Run,
    out: Annotated[Path, typer.Option("--out", help=f"Output file: {' '.join(FORMATS)}")],
    aoi: _Aoi = "",
    tiles: _Tiles = "",
    which: Annotated[_Kind, typer.Option(help="Raw, regularized, or accepted in review.")] = "raw",
    kind: Annotated[str, typer.Option("--format", help="Format instead of an extension, such as gpkg.")] = "",
) -> None:
    """Export the predicted footprints of several tiles to one file."""
    from core.exports.footprints import write_area

    out = with_format_suffix(out, kind)
    with progress() as report:
        count = write_area(_run(run), _select_tiles(None, aoi, tiles), out, _KINDS[which], report)
    print_notes.print(counted(count, "building"), markup=False)
    typer.echo(out)


@export.command()
def rasters(
    run: _Run,
    out: _Out,
    layers: Annotated[
        str,
        typer.Option(help="Comma-separated: mask, distance (labels), probability, predicted (mask)."),
    ] = "mask,distance,probability,predicted",
    aoi: _Aoi = "",
    tiles: _Tiles = "",
) -> None:
    """Export masks, signed distances and probabilities of several tiles as cloud-optimized GeoTIFFs (COG)."""
    from core.exports.rasters import write_rasters

    names = [name.strip() for name in layers.split(",") if name.strip()]
    with progress() as report_progress:
        count = write_rasters(_run(run), _select_tiles(None, aoi, tiles), out, names, report_progress)
    print_notes.print(counted(count, "file"), markup=False)
    typer.echo(out)


@export.command()
def report(
    run: _Run, out: Annotated[Path, typer.Option("--out", help="HTML file.")], aoi: _Aoi = "", tiles: _Tiles = ""
) -> None:
    """Export a self-contained HTML summary of a run: accuracy, map, best and worst tiles, training data."""
    from core.exports.report import write_report

    with progress() as report_progress:
        write_report(_run(run), _select_tiles(None, aoi, tiles), out, report=report_progress)
    typer.echo(out)


def _run(name: str) -> Run:
    """By its folder's name, or by its path."""
    named = Run(settings().runs / Path(name).name)
    return named if named.exists else Run(Path(name))


def _select_tiles(data: Path | None, aoi: str, names: str) -> Sequence[Tile]:
    """Select tiles by ID, from a folder or by area; by default all of the catalog. Raises NoSuchArea, NoSuchTile."""
    catalog = read_catalog()
    if names:
        return [catalog.tile(name.strip()) for name in names.split(",") if name.strip()]
    if data is not None:
        with progress() as report_progress:
            result = scan(data, report=report_progress)
        for problem in result.problems:
            print_notes.print(problem, markup=False)
        return result.tiles
    if aoi and not catalog.of_aoi(aoi).tiles:
        raise NoSuchArea(aoi=aoi)
    return (catalog.of_aoi(aoi) if aoi else catalog).tiles
