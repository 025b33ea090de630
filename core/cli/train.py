"""The commands that train: `train`, `ensemble` and `sweep`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from core.catalog.register import as_moved
from core.catalog.scan import scan
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.cli.console import notes, progress
from core.datasets.config import bands_of
from core.errors import AmbiguousTile, NoSuchTile
from core.progress import asked_to_end
from core.runs.config import TrainingConfig
from core.runs.run import Run
from core.settings import settings
from core.training.presets import MANY, PRESETS, preset, recommended
from models.registry import DEFAULT

#: Options of `train` that are settings of a training's recipe.
_OF_RECIPE = ("scaling", "gsd_m", "bands")


def train(
    out: Annotated[Path, typer.Option(help="Folder of the run; it must not hold one yet.")],
    data: Annotated[Path | None, typer.Option(help="A folder in any SpaceNet layout; else the catalogue.")] = None,
    network: Annotated[str, typer.Option("--network", "--model", help="By name, such as unet or fcn.")] = "",
    preset: Annotated[str, typer.Option(help=f"Ready-made: {', '.join(PRESETS)}.")] = "",
    minutes: Annotated[float | None, typer.Option(help="On the clock; the learning rate's schedule ends then.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of minutes.")] = None,
    tiles: Annotated[str, typer.Option(help="Only these, by id, with commas between.")] = "",
    option: Annotated[list[str] | None, typer.Option(help="Of the network, such as width=24.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Crops a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same losses.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Of the learning rate: constant or cosine.")] = None,
    patience: Annotated[int | None, typer.Option(min=0, help="Epochs without a better check; 0: all.")] = None,
    augment: Annotated[bool | None, typer.Option("--augment/--no-augment", help="Mirror and turn crops.")] = None,
    vary: Annotated[bool | None, typer.Option("--vary/--no-vary", help="Other scale, angle and light.")] = None,
    refit: Annotated[float | None, typer.Option(help="Share at the end that learns from all tiles.")] = None,
    epoch_crops: Annotated[int | None, typer.Option(help="Fewest crops between two checks, where drawn.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")] = None,
    gsd_m: Annotated[float | None, typer.Option("--gsd", help="Metres a pixel; 0: as the thesis.")] = None,
    scaling: Annotated[str | None, typer.Option(help="percentile, or thesis: /255 and /65535.")] = None,
    infrared: Annotated[bool | None, typer.Option(help="The eighth band, too, where all tiles have it.")] = None,
    batch_norm: Annotated[bool, typer.Option("--batch-norm", help="The text's variant of the thesis network.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    more_of: Annotated[Path | None, typer.Option("--from", help="A run that --epochs more are added to.")] = None,
) -> None:
    """Trains a network on the labelled tiles of a folder, or on tiles of the catalogue. Ctrl-C ends the epoch early."""
    from core.training.train import train as train_run

    parent = Run(more_of) if more_of else None
    options = {"batch_norm": True} if batch_norm else {}
    asked = {
        "network": network, "preset": preset, "minutes": minutes, "epochs": epochs, "batch": batch,
        "learning_rate": learning_rate, "seed": seed, "schedule": schedule, "patience": patience, "augment": augment,
        "vary": vary, "refit": refit, "precision": precision, "scaling": scaling, "gsd_m": gsd_m,
        "epoch_crops": epoch_crops, "bands": None if infrared is None else bands_of(infrared),
        "options": options | _options(option or []), "name": out.name,
    }  # fmt: skip
    config = chosen_config(asked)
    if parent:
        end = MANY if minutes else parent.epochs_done + (epochs or 10)
        config = replace(parent.config, name=out.name, patience=0, epochs=end, minutes=minutes or 0.0)
    if resume and Run(out).exists:
        config = Run(out).config
    wanted = parts(tiles)
    if data is None and not wanted and (parent or resume):
        wanted = list((parent or Run(out)).record.tiles)
    if data is None and not wanted:
        raise typer.BadParameter("Name a folder with --data, or tiles of the catalogue with --tiles.")
    found = read_catalog().tiles if data is None else _scanned(data)
    chosen = [_named(found, name) for name in wanted] or found
    with progress() as report, asked_to_end() as finish:
        run = train_run(chosen, config, out, report, finish, resume=resume, parent=parent)
    typer.echo(run.metrics().dropna(axis="columns", how="all").to_string(index=False))
    typer.echo(out)


def chosen_config(asked: dict[str, Any]) -> TrainingConfig:
    """The preset, or what the network is trained with best, with what was asked for beside it; raises InvalidSetting.

    Epochs without minutes end the training of a preset, too.
    """
    said = {name: value for name, value in asked.items() if value not in (None, "") and name != "preset"}
    base = preset(asked["preset"]).config if asked.get("preset") else recommended(said.get("network", DEFAULT))
    if said.get("network", base.network) != base.network:
        kept = {name: getattr(base, name) for name in ("minutes", "epochs", "batch", "epoch_crops")}
        base = replace(recommended(said["network"]), **kept)
    if "epochs" in said and "minutes" not in said:
        said["minutes"] = 0.0
    if said.get("minutes") and "epochs" not in said:
        said["epochs"] = MANY
    options = {**base.options, **said.pop("options", {})}
    if "gsd_m" in said:
        base = replace(base, recipe=replace(base.recipe, finest_m=0.0))
    recipe = replace(base.recipe, **{name: said.pop(name) for name in _OF_RECIPE if name in said})
    return replace(base, **said, options=options, recipe=recipe)


def _options(pairs: Sequence[str]) -> dict[str, Any]:
    """Options of a network from words like width=24; what they may be is checked with the network."""
    found = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        found[name.strip()] = _value(text.strip())
    return found


def _value(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="Folders of the runs.")],
    out: Annotated[Path, typer.Option(help="Folder of the new run; it must not hold one yet.")],
) -> None:
    """Makes one run of several: it predicts the mean of what they say."""
    from core.inference.ensemble import combine

    run = combine([Run(path) for path in runs], out)
    notes.print(f"{len(runs)} networks, {run.record.parameters:,} parameters together", markup=False)
    typer.echo(out)


def make_starter(
    minutes: Annotated[float, typer.Option(min=0.1, help="Of training.")] = 10.0,
    out: Annotated[Path | None, typer.Option(help="Instead of models/weights/starter.")] = None,
) -> None:
    """Trains the network that comes with Groundplan on the sample city, and writes its model card."""
    from core.training.starter_model import FOLDER, make

    with progress() as report:
        typer.echo(make(minutes, report, out or FOLDER).path)


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


def sweep(
    name: Annotated[str, typer.Argument(help="Of the sweep; more trainings under the same name join it.")],
    tiles: Annotated[str, typer.Option(help="Of the catalogue, by id, with commas between.")] = "",
    aoi: Annotated[str, typer.Option(help="Instead: all labelled tiles of this area.")] = "",
    rates: Annotated[str, typer.Option(help="Learning rates, with commas between.")] = "0.001",
    networks: Annotated[str, typer.Option(help="With commas between.")] = DEFAULT,
    seeds: Annotated[str, typer.Option(help="Whole numbers, with commas between.")] = "0",
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 8,
    gpus: Annotated[int, typer.Option(min=0, help="Of a cluster, on each machine of a training.")] = 0,
    nodes: Annotated[int, typer.Option(min=1, help="Machines of a cluster, for each training.")] = 1,
) -> None:
    """Puts a training for each learning rate, network and seed into the queue."""
    from core.jobs.job import Resources
    from core.jobs.queue import Queue
    from core.tasks.sweep import Sweep, submit

    known = read_catalog().labelled
    chosen = known.of_aoi(aoi).tiles if aoi else [_named(known.tiles, one) for one in parts(tiles)]
    if not chosen:
        raise typer.BadParameter("Name tiles of the catalogue with --tiles, or an area with labels with --aoi.")
    base = replace(recommended(parts(networks)[0] if parts(networks) else DEFAULT), epochs=epochs, batch=batch)
    grid = Sweep.parse(name, [tile.id for tile in chosen], base, parts(rates), parts(networks), parts(seeds))
    for job in submit(replace(grid, resources=Resources(gpus, nodes)), Queue(settings().queue)):
        typer.echo(f"{job.id}\t{job.params['run']}")


def parts(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]
