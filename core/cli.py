"""Everything the pages can do, without a browser: `python -m core --help`.

Exit status 0, or 2 with one sentence on stderr.
"""

import errno
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import pandas as pd
import typer

from core import rasters
from core.catalog import spacenet
from core.catalog.register import as_moved
from core.catalog.scan import scan
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.cli_catalog import catalog, catalog_sample
from core.cli_jobs import jobs
from core.errors import (
    AmbiguousTile,
    CannotUse,
    DiskFull,
    GroundplanError,
    ImageNotNamed,
    NoSuchArea,
    NoSuchTile,
    is_out_of_memory,
)
from core.exports.footprints import check_format, write_footprints
from core.exports.labels import write_labels
from core.jobs.child import OUT_OF_MEMORY
from core.labels import Labels
from core.progress import asked_to_end
from core.runs import Run, TrainingConfig
from core.scoring import RULES, score_images
from core.settings import settings
from core.terminal import PLAIN, notes, print_json, progress, tell
from core.vectors import read_footprints

app = typer.Typer(add_completion=False, help=__doc__, **PLAIN)
app.add_typer(catalog, name="catalog")
app.add_typer(jobs, name="jobs")


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
    from core.catalog.fetch import ask_bucket, fetch_tiles
    from core.catalog.request import Request, parse_numbers

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
    made = Labels.of(rasters.describe(image).grid, buildings.of_image(name))
    for path in write_labels(made, out, name, _attribution(image)):
        typer.echo(path)
    notes.print(f"{len(made)} buildings, {made.built_share:.1%} built ({buildings.repairs})", markup=False)


def _tile_name(image: Path) -> str:
    """What SpaceNet's tables call an image, the file's own name where it is in none of its layouts."""
    return getattr(spacenet.parse(image), "tile", image.stem)


def _attribution(image: Path) -> str:
    """Who made the pictures of an image in one of SpaceNet's layouts, empty where its name does not tell."""
    named = spacenet.parse(image)
    return spacenet.attribution(named.aoi) if named else ""


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run; it must not hold one yet.")],
    data: Annotated[Path | None, typer.Option(help="A folder in any SpaceNet layout; else the catalogue.")] = None,
    model: Annotated[str, typer.Option(help="The network.")] = "fcn",
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    tiles: Annotated[str, typer.Option(help="Only these, by id, with commas between.")] = "",
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 8,
    learning_rate: Annotated[float, typer.Option()] = 1e-3,
    seed: Annotated[int, typer.Option(help="The same seed gives the same losses.")] = 0,
    schedule: Annotated[Literal["constant", "cosine"], typer.Option(help="Of the learning rate.")] = "constant",
    patience: Annotated[int, typer.Option(min=0, help="Epochs without a better check before the end; 0: all.")] = 0,
    augment: Annotated[bool, typer.Option("--augment", help="Mirror and turn the crops.")] = False,
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    scaling: Annotated[Literal["percentile", "thesis"], typer.Option(help="thesis: /255 and /65535.")] = "percentile",
    batch_norm: Annotated[bool, typer.Option("--batch-norm", help="The text's variant of the thesis network.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    more_of: Annotated[Path | None, typer.Option("--from", help="A run that --epochs more are added to.")] = None,
) -> None:
    """Trains a network on the labelled tiles of a folder, or on tiles of the catalogue. Ctrl-C ends the epoch early."""
    from core.training import train as train_run

    parent = Run(more_of) if more_of else None
    asked = {
        "network": model, "options": {"batch_norm": True} if batch_norm else {}, "epochs": epochs, "batch": batch,
        "learning_rate": learning_rate, "seed": seed, "recipe": {"scaling": scaling}, "name": out.name,
        "schedule": schedule, "patience": patience, "augment": augment, "precision": precision,
    }  # fmt: skip
    config = TrainingConfig.of(asked)
    if parent:
        config = replace(parent.config, epochs=parent.epochs_done + epochs, name=out.name, patience=0)
    if resume and Run(out).exists:
        config = Run(out).config
    wanted = [name.strip() for name in tiles.split(",") if name.strip()]
    if data is None and not wanted and (parent or resume):
        wanted = list((parent or Run(out)).record.tiles)
    if data is None and not wanted:
        raise typer.BadParameter("Name a folder with --data, or tiles of the catalogue with --tiles.")
    found = read_catalog().tiles if data is None else _scanned(data)
    chosen = [_named(found, name) for name in wanted] or found
    with progress() as report, asked_to_end() as finish:
        run = train_run(chosen, config, out, report, finish, resume=resume, parent=parent)
    typer.echo(run.metrics().to_string(index=False))
    typer.echo(out)


def _scanned(folder: Path) -> Sequence[Tile]:
    """The tiles of a folder; labels that were moved in the catalogue are moved."""
    with progress() as report:
        found = scan(folder, report=report)
    for problem in found.problems:
        notes.print(problem, markup=False)
    return as_moved(found.tiles)


def _named(found: Sequence[Tile], name: str) -> Tile:
    """The tile of an id or a short id."""
    tiles = [tile for tile in found if tile.id == name] or [tile for tile in found if tile.short_id == name]
    if not tiles:
        raise NoSuchTile(tile=name)
    if len(tiles) > 1:
        raise AmbiguousTile(tile=name, known=", ".join(tile.id for tile in tiles))
    return tiles[0]


@app.command()
def predict(
    run: Annotated[Path, typer.Option(help="Folder of a run.")],
    image: Annotated[Path, typer.Option(help="A GeoTIFF of any size.")],
    out: Annotated[Path, typer.Option(help="Footprints: .geojson .gpkg .parquet or .csv (SpaceNet's columns).")],
    eight_bands: Annotated[Path | None, typer.Option(help="Its 8-band file, for runs with four channels.")] = None,
    threshold: Annotated[float, typer.Option(min=0.01, max=0.99, help="Probability from which it is building.")] = 0.5,
    probability: Annotated[Path | None, typer.Option(help="Keep the probability here, as GeoTIFF.")] = None,
) -> None:
    """Predicts the buildings of an image."""
    from core.prediction import outlines
    from core.prediction import predict as predict_image

    check_format(out)
    attribution = _attribution(image)
    with TemporaryDirectory() as folder, progress() as report:
        kept = probability or Path(folder) / "probability.tif"
        images = image, eight_bands or spacenet.eight_bands_beside(image)
        found = outlines(predict_image(Run(run), images, kept, report, attribution), threshold)
    write_footprints(found, out, rasters.describe(image).grid, _tile_name(image), attribution)
    notes.print(f"{len(found)} buildings, {found.area_m2.sum():,.0f} m² together", markup=False)
    typer.echo(out)


@app.command("predict-area")
def predict_area(
    run: Annotated[str, typer.Argument(help="Name of a run's folder, as the Predict page shows it.")],
    aoi: Annotated[str, typer.Argument(help="All tiles of this area that are on this machine.")],
    gpus: Annotated[int, typer.Option(min=0, help="Of a cluster, for each job.")] = 0,
) -> None:
    """Puts the prediction of a whole area into the queue, cut into jobs; what is predicted already is left out."""
    from core.jobs.store import Queue
    from core.predict_area import AreaPrediction, submit_area

    found = read_catalog().of_aoi(aoi)
    if not found.tiles:
        raise NoSuchArea(aoi=aoi)
    area, queue = AreaPrediction(Run(settings().runs / Path(run).name), found.tiles), Queue(settings().queue)
    notes.print(f"{len(area.done)} of {len(area.tiles)} tiles are predicted, {area.unfit} cannot be", markup=False)
    for job in submit_area(area.run, area.tiles, queue, gpus):
        typer.echo(f"{job.id}\t{job.title}")


@app.command()
def sweep(
    name: Annotated[str, typer.Argument(help="Of the sweep; more trainings under the same name join it.")],
    tiles: Annotated[str, typer.Option(help="Of the catalogue, by id, with commas between.")] = "",
    aoi: Annotated[str, typer.Option(help="Instead: all labelled tiles of this area.")] = "",
    rates: Annotated[str, typer.Option(help="Learning rates, with commas between.")] = "0.001",
    networks: Annotated[str, typer.Option(help="With commas between.")] = "fcn",
    seeds: Annotated[str, typer.Option(help="Whole numbers, with commas between.")] = "0",
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 8,
    gpus: Annotated[int, typer.Option(min=0, help="Of a cluster, on each machine of a training.")] = 0,
    nodes: Annotated[int, typer.Option(min=1, help="Machines of a cluster, for each training.")] = 1,
) -> None:
    """Puts a training for each learning rate, network and seed into the queue."""
    from core.jobs.resources import Resources
    from core.jobs.store import Queue
    from core.sweeps import Sweep, submit

    known = read_catalog().labelled
    chosen = known.of_aoi(aoi).tiles if aoi else [_named(known.tiles, one) for one in _parts(tiles)]
    if not chosen:
        raise typer.BadParameter("Name tiles of the catalogue with --tiles, or an area with labels with --aoi.")
    grid = Sweep.parse(name, [tile.id for tile in chosen], TrainingConfig(epochs=epochs, batch=batch),
                       _parts(rates), _parts(networks), _parts(seeds))  # fmt: skip
    for job in submit(replace(grid, resources=Resources(gpus, nodes)), Queue(settings().queue)):
        typer.echo(f"{job.id}\t{job.params['run']}")


def _parts(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


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
    name = getattr(spacenet.parse(truth), "tile", truth.stem)
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
    from core.jobs.store import Queue
    from core.jobs.worker import work

    work(Queue(settings().queue), once=once)


@app.command("app")
def app_command(
    port: Annotated[int, typer.Option()] = 8501,
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
) -> None:
    """Starts the web server and one worker; makes the sample city when there is no tile yet."""
    from core.serve import serve

    if not read_catalog().tiles:
        notes.print("No tiles yet: making the sample city.", markup=False)
        catalog_sample()
    serve(host, port)
