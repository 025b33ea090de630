"""Everything the pages can do, without a browser: `python -m core --help`.

Exit status 0, or 2 with one sentence on stderr.
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
from core.cli.console import PLAIN, notes, print_json, progress, tell
from core.cli.export import export
from core.cli.jobs import jobs
from core.cli.train import ensemble, make_starter, sweep, train
from core.errors import (
    CannotUse,
    DiskFull,
    GroundplanError,
    ImageNotNamed,
    NoSuchArea,
    is_out_of_memory,
)
from core.geo import raster
from core.geo.vector import read_footprints
from core.geo.vector_writers import FORMATS, Origin, in_format, write_footprints
from core.inference.engine import ENGINES
from core.jobs.failures import OUT_OF_MEMORY
from core.labels.labels import Labels
from core.labels.writers import write_labels
from core.metrics.spacenet import RULES, score_images
from core.postprocessing.thresholds import tuning_of
from core.runs.run import Run
from core.settings import settings
from core.training.starter_model import install

app = typer.Typer(add_completion=False, help=__doc__, **PLAIN)
app.add_typer(catalog, name="catalog")
app.add_typer(jobs, name="jobs")
app.add_typer(export, name="export")
app.command()(train)
app.command()(ensemble)
app.command()(sweep)
app.command("starter")(make_starter)


def main() -> None:
    """Runs the command of sys.argv; what goes wrong is a sentence, never a traceback."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:
        said = error.format_message()
        _fail(said if said.startswith("Usage:") else " ".join(said.split()).rstrip(".") + ".")  # the help stays whole
    except GroundplanError as error:
        _fail(str(error))
    except OSError as error:
        named = Path(str(error.filename or "a file"))
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        _fail(str(DiskFull(name=named) if full else CannotUse(name=named, detail=error.strerror or error)))
    except Exception as error:
        if is_out_of_memory(error):
            _fail(OUT_OF_MEMORY)
        raise


def _fail(sentence: str) -> None:
    typer.echo(sentence, err=True)
    sys.exit(2)


@app.command()
def fetch(
    aoi: Annotated[str, typer.Option(help="AOI_1_RIO, AOI_2_Vegas, AOI_3_Paris, AOI_4_Shanghai or AOI_5_Khartoum.")],
    tiles: Annotated[str, typer.Option(help="Numbers of the tiles, such as 1-20,225.")],
    products: Annotated[str, typer.Option(help="With commas between; colour and labels where left out.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell sizes and licence.")] = False,
) -> None:
    """Downloads tiles from SpaceNet's public bucket and registers them; what is here already is not sent again."""
    from core.spacenet.download import ask_bucket, fetch_tiles
    from core.spacenet.selection import Request, parse_numbers

    request = Request.of(aoi, parse_numbers(tiles), [name.strip() for name in products.split(",") if name.strip()])
    if dry_run:
        plan = ask_bucket(request)
        typer.echo("\n".join(plan.lines()))
        notes.print(*plan.problems, sep="\n", markup=False)
        return
    with progress() as report:
        found = fetch_tiles(request, report)
    tell(found)


@app.command()
def labels(
    image: Annotated[Path, typer.Option(help="A GeoTIFF.")],
    footprints: Annotated[Path, typer.Option(help="Its buildings, .geojson or SpaceNet .csv.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
) -> None:
    """Writes outlines, building mask, signed distance, boundary and contact of one image."""
    buildings, name = read_footprints(footprints), _tile_name(image)
    if any(buildings.images) and name not in buildings.images:
        raise ImageNotNamed(name=footprints, image=name)
    made = Labels.of(raster.describe(image).grid, buildings.of_image(name))
    for path in write_labels(made, out, name, _attribution(image)):
        typer.echo(path)
    notes.print(f"{len(made)} buildings, {made.built_share:.1%} built ({buildings.repairs})", markup=False)


def _tile_name(image: Path) -> str:
    """What SpaceNet's tables call an image, the file's own name where it is in none of its layouts."""
    return getattr(spacenet_names.parse(image), "tile", image.stem)


def _attribution(image: Path) -> str:
    """Who made the pictures of an image in one of SpaceNet's layouts, empty where its name does not tell."""
    named = spacenet_names.parse(image)
    return spacenet_names.attribution(named.aoi) if named else ""


@app.command()
def predict(
    run: Annotated[Path, typer.Option(help="Folder of a run.")],
    image: Annotated[Path, typer.Option(help="A GeoTIFF of any size.")],
    out: Annotated[Path, typer.Option(help=f"Footprints: {' '.join(FORMATS)} (.csv: SpaceNet's).")],
    eight_bands: Annotated[Path | None, typer.Option(help="Its 8-band file, for runs with four channels.")] = None,
    threshold: Annotated[float | None, typer.Option(min=0.01, max=0.99, help="Probability of a building.")] = None,
    seed: Annotated[float | None, typer.Option(min=0, help="Level that parts neighbours, as 1.5; 0: none.")] = None,
    min_area: Annotated[float | None, typer.Option(min=0, help="Square metres of the smallest building.")] = None,
    square: Annotated[bool, typer.Option("--square", help="Right angles.")] = False,
    judged: Annotated[bool, typer.Option("--judge", help="Leave out what a second look finds unlikely.")] = False,
    turned: Annotated[bool, typer.Option("--tta", help="The mean of eight turns, at eight times the cost.")] = False,
    engine: Annotated[str, typer.Option(help=", ".join(ENGINES))] = "auto",
    kind: Annotated[str, typer.Option("--format", help="Instead of a suffix, as gpkg.")] = "",
    probability: Annotated[Path | None, typer.Option(help="Keep probability and distance here, as GeoTIFF.")] = None,
) -> None:
    """Predicts the buildings of an image; thresholds are the run's own where none are named."""
    from core.inference.predict import How, outlines
    from core.inference.predict import predict as predict_image

    out = in_format(out, kind)
    attribution = _attribution(image)
    with TemporaryDirectory() as folder, progress() as report:
        kept = probability or Path(folder) / "probability.tif"
        images = image, eight_bands or spacenet_names.eight_bands_beside(image)
        made = predict_image(Run(run), images, kept, report, attribution, How(engine, turned))
        found = outlines(made, tuning_of(Run(run)).shaping.changed(threshold, seed, min_area, square, judged))
    about = raster.describe(image)
    origin = Origin(_tile_name(image), Run(run).name, Run(run).config.network, about.taken, attribution)
    write_footprints(found, out, about.grid, origin)
    notes.print(f"{len(found)} buildings, {found.area_m2.sum():,.0f} m² together", markup=False)
    typer.echo(out)


@app.command("predict-area")
def predict_area(
    run: Annotated[str, typer.Argument(help="Name of a run's folder, as the Predict page shows it.")],
    aoi: Annotated[str, typer.Argument(help="All tiles of this area that are on this machine.")],
    gpus: Annotated[int, typer.Option(min=0, help="Of a cluster, for each job.")] = 0,
) -> None:
    """Puts the prediction of a whole area into the queue, cut into jobs; what is predicted already is left out."""
    from core.jobs.queue import Queue
    from core.tasks.predict import AreaPrediction, submit_area

    found = read_catalog().of_aoi(aoi)
    if not found.tiles:
        raise NoSuchArea(aoi=aoi)
    area, queue = AreaPrediction(Run(settings().runs / Path(run).name), found.tiles), Queue(settings().queue)
    notes.print(f"{len(area.done)} of {len(area.tiles)} tiles are predicted, {area.unfit} cannot be", markup=False)
    for job in submit_area(area.run, area.tiles, queue, gpus):
        typer.echo(f"{job.id}\t{job.title}")


@app.command()
def score(
    truth: Annotated[Path, typer.Option(help="SpaceNet CSV or GeoJSON.")],
    proposals: Annotated[Path, typer.Option(help="SpaceNet CSV or GeoJSON.")],
    rule: Annotated[Literal["topcoder", "solaris", "utilities"], typer.Option(help="Whose scorer.")] = "topcoder",
    gsd: Annotated[float | None, typer.Option(help="Metres a pixel: GeoJSON below 20 px² is then left out.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Counts buildings found, invented and missed, by image and by area (SpaceNet's rule)."""
    sides = [read_footprints(path) for path in (truth, proposals)]
    name = getattr(spacenet_names.parse(truth), "tile", truth.stem)
    ours, theirs = (side if side.crs is None else side.named(name) for side in sides)
    scores = score_images(ours, theirs, RULES[rule], gsd and gsd**2)
    if json:
        print_json(scores.as_dict())
        return
    rows = {**scores.images, **scores.aois, "total": scores.total}
    facts = {name: counts.as_dict() for name, counts in rows.items()}
    typer.echo(pd.DataFrame.from_dict(facts, orient="index").to_string(na_rep="not scored", float_format="%.4f"))


@app.command()
def worker(
    once: Annotated[bool, typer.Option(help="Leave after one job, or at once where none waits.")] = False,
) -> None:
    """Runs the jobs of the queue, one after the other."""
    from core.jobs.queue import Queue
    from core.jobs.worker import work

    work(Queue(settings().queue), once=once)


@app.command("app")
def app_command(
    port: Annotated[int, typer.Option()] = 8501,
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
) -> None:
    """Starts the web server and one worker; makes the sample city when there is no tile yet."""
    from core.cli.serve import serve

    if not read_catalog().tiles:
        notes.print("No tiles yet: making the sample city.", markup=False)
        catalog_sample()
    install()
    serve(host, port)
