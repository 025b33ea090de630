"""Command-line interface, `python -m core --help`: all functions of the pages without a browser.

Exit status 0, or 2 with an error message on stderr.
"""

import errno
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import pandas as pd
import typer

from core.catalog import spacenet_names
from core.catalog.store import read_catalog
from core.cli.catalog import catalog, catalog_sample
from core.cli.console import GROUP_OPTIONS, print_json, print_notes, print_scan, progress
from core.cli.export import export
from core.cli.jobs import jobs
from core.cli.train import ensemble, make_starter, sweep, train
from core.errors import (
    DiskFull,
    GroundplanError,
    MissingImageId,
    NoSuchArea,
    UnusablePath,
    is_out_of_memory,
)
from core.formatting import counted
from core.geo import raster
from core.geo.vector import read_footprints
from core.geo.vector_writers import FORMATS, Provenance, with_format_suffix, write_footprints
from core.inference.engine import ENGINES
from core.jobs.failures import OUT_OF_MEMORY
from core.labels.labels import Labels
from core.labels.writers import write_labels
from core.metrics.spacenet import RULES, score_images
from core.postprocessing.thresholds import load_thresholds
from core.runs.run import Run
from core.settings import settings
from core.training.starter_model import install

_HELP = "Building footprints from satellite imagery: download tiles, train models, predict, score and export."
_Rule = Literal["topcoder", "solaris", "utilities"]

app = typer.Typer(add_completion=False, help=_HELP, **GROUP_OPTIONS)
app.add_typer(catalog, name="catalog")
app.add_typer(jobs, name="jobs")
app.add_typer(export, name="export")
app.command()(train)
app.command()(ensemble)
app.command()(sweep)
app.command("starter")(make_starter)


def main() -> None:
    """Run the command of sys.argv; expected errors are printed as one sentence, without a traceback."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        message = error.format_message()
        _fail(
            message if message.startswith("Usage:") else " ".join(message.split()).rstrip(".") + "."
        )  # the help stays whole
    except GroundplanError as error:
        _fail(str(error))
    except OSError as error:
        named = Path(str(error.filename or "a file"))
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        _fail(str(DiskFull(name=named) if full else UnusablePath(name=named, detail=error.strerror or error)))
    except Exception as error:
        if is_out_of_memory(error):
            _fail(OUT_OF_MEMORY)
        raise


def _fail(sentence: str) -> None:
    typer.echo(sentence, err=True)
    sys.exit(2)


@app.command()
def download(
    aoi: Annotated[str, typer.Option(help="AOI_1_RIO, AOI_2_Vegas, AOI_3_Paris, AOI_4_Shanghai or AOI_5_Khartoum.")],
    tiles: Annotated[str, typer.Option(help="Tile numbers, such as 1-20,225.")],
    products: Annotated[str, typer.Option(help="Comma-separated products. Default: RGB and labels.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show sizes and license.")] = False,
) -> None:
    """Download tiles from the public SpaceNet bucket and register them. Files already downloaded are kept."""
    from core.spacenet.download import download_tiles, plan_download
    from core.spacenet.selection import TileSelection, parse_numbers

    request = TileSelection.of(
        aoi, parse_numbers(tiles), [name.strip() for name in products.split(",") if name.strip()]
    )
    if dry_run:
        plan = plan_download(request)
        typer.echo("\n".join(plan.lines()))
        print_notes.print(*plan.problems, sep="\n", markup=False)
        return
    with progress() as report:
        result = download_tiles(request, report)
    print_scan(result)


@app.command()
def labels(
    image: Annotated[Path, typer.Option(help="Image, GeoTIFF.")],
    footprints: Annotated[Path, typer.Option(help="Building footprints of the image, .geojson or SpaceNet .csv.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
) -> None:
    """Write footprint outlines, building mask, signed distance, edges and gaps of one image."""
    buildings, name = read_footprints(footprints), _tile_name(image)
    if any(buildings.images) and name not in buildings.images:
        raise MissingImageId(name=footprints, image=name)
    tile_labels = Labels.of(raster.read_info(image).grid, buildings.of_image(name))
    for path in write_labels(tile_labels, out, name, _attribution(image)):
        typer.echo(path)
    count = counted(len(tile_labels), "building")
    print_notes.print(f"{count}, {tile_labels.built_share:.1%} built-up ({buildings.repairs})", markup=False)


def _tile_name(image: Path) -> str:
    """Image ID as in the SpaceNet CSV files; for other files, the file name without suffix."""
    return getattr(spacenet_names.parse(image), "tile", image.stem)


def _attribution(image: Path) -> str:
    """Attribution of a SpaceNet image; empty for other files."""
    named = spacenet_names.parse(image)
    return spacenet_names.attribution(named.aoi) if named else ""


@app.command()
def predict(
    run: Annotated[Path, typer.Option(help="Folder of the run.")],
    image: Annotated[Path, typer.Option(help="Image, GeoTIFF of any size.")],
    out: Annotated[Path, typer.Option(help=f"Output file: {' '.join(FORMATS)} (.csv: SpaceNet).")],
    eight_bands: Annotated[Path | None, typer.Option(help="8-band image, for 4-channel models.")] = None,
    threshold: Annotated[float | None, typer.Option(min=0.01, max=0.99, help="Probability threshold.")] = None,
    split_ratio: Annotated[float | None, typer.Option(min=0, help="Watershed split ratio; 0 = no splitting.")] = None,
    min_area: Annotated[float | None, typer.Option(min=0, help="Minimum building area (m²).")] = None,
    regularize: Annotated[bool, typer.Option("--regularize", help="Regularize footprints (right angles).")] = False,
    rescore: Annotated[bool, typer.Option("--rescore", help="Filter likely false positives.")] = False,
    tta: Annotated[bool, typer.Option("--tta", help="Test-time augmentation (8×, slower).")] = False,
    engine: Annotated[str, typer.Option(help=f"Inference engine: {', '.join(ENGINES)}.")] = "auto",
    kind: Annotated[str, typer.Option("--format", help="Format instead of an extension, such as gpkg.")] = "",
    probability: Annotated[Path | None, typer.Option(help="Also save probability and distance as GeoTIFF.")] = None,
) -> None:
    """Predict the building footprints of an image. Default thresholds are those of the run."""
    from core.inference.predict import InferenceOptions, vectorize_prediction
    from core.inference.predict import predict as predict_image

    out = with_format_suffix(out, kind)
    attribution = _attribution(image)
    with TemporaryDirectory() as folder, progress() as report:
        probability_file = probability or Path(folder) / "probability.tif"
        images = image, eight_bands or spacenet_names.eight_band_sibling(image)
        prediction = predict_image(
            Run(run), images, probability_file, report, attribution, InferenceOptions(engine, tta)
        )
        tuned = load_thresholds(Run(run)).vectorize
        polygons = vectorize_prediction(
            prediction, tuned.with_changes(threshold, split_ratio, min_area, regularize, rescore)
        )
    info = raster.read_info(image)
    origin = Provenance(_tile_name(image), Run(run).name, Run(run).config.network, info.acquired, attribution)
    write_footprints(polygons, out, info.grid, origin)
    count = counted(len(polygons), "building")
    print_notes.print(f"{count}, total footprint area {polygons.area_m2.sum():,.0f} m²", markup=False)
    typer.echo(out)


@app.command("predict-area")
def predict_area(
    run: Annotated[str, typer.Argument(help="Name of the run folder.")],
    aoi: Annotated[str, typer.Argument(help="Area, such as AOI_2_Vegas.")],
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of the cluster per job.")] = 0,
) -> None:
    """Queue the prediction of all tiles of an area. Tiles already predicted are skipped."""
    from core.jobs.queue import Queue
    from core.tasks.predict import AreaPrediction, submit_area

    tiles = read_catalog().of_aoi(aoi)
    if not tiles.tiles:
        raise NoSuchArea(aoi=aoi)
    area, queue = AreaPrediction(Run(settings().runs / Path(run).name), tiles.tiles), Queue(settings().queue)
    print_notes.print(
        f"{len(area.done)} of {len(area.tiles)} tiles predicted, {area.incompatible} incompatible", markup=False
    )
    for job in submit_area(area.run, area.tiles, queue, gpus):
        typer.echo(f"{job.id}\t{job.title}")


@app.command()
def score(
    truth: Annotated[Path, typer.Option(help="Ground truth, SpaceNet CSV or GeoJSON.")],
    proposals: Annotated[Path, typer.Option(help="Predictions, SpaceNet CSV or GeoJSON.")],
    rule: Annotated[_Rule, typer.Option(help="Scoring implementation.")] = "topcoder",
    gsd: Annotated[float | None, typer.Option(help="Pixel size (m), to ignore GeoJSON buildings below 20 px².")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score footprints with the SpaceNet metric: TP, FP, FN, precision, recall and F1 by image and area."""
    pair = [read_footprints(path) for path in (truth, proposals)]
    name = getattr(spacenet_names.parse(truth), "tile", truth.stem)
    truths, predictions = (item if item.crs is None else item.of_image_id(name) for item in pair)
    scores = score_images(truths, predictions, RULES[rule], gsd and gsd**2)
    if json:
        print_json(scores.as_dict())
        return
    rows = {**scores.images, **scores.aois, "total": scores.total}
    facts = {name: counts.as_dict() for name, counts in rows.items()}
    typer.echo(pd.DataFrame.from_dict(facts, orient="index").to_string(na_rep="not scored", float_format="%.4f"))


@app.command()
def worker(
    once: Annotated[bool, typer.Option(help="Exit after one job, or at once if the queue is empty.")] = False,
) -> None:
    """Run the jobs of the queue."""
    from core.jobs.queue import Queue
    from core.jobs.worker import work

    work(Queue(settings().queue), once=once)


@app.command("app")
def app_command(
    port: Annotated[int, typer.Option(help="Port of the web server.")] = 8501,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 allows other machines.")] = "127.0.0.1",
) -> None:
    """Start the web server and one worker. Creates the sample city if the catalog is empty."""
    from core.cli.serve import serve

    if not read_catalog().tiles:
        print_notes.print("The catalog is empty. Creating the sample city.", markup=False)
        catalog_sample()
    install()
    serve(host, port)
