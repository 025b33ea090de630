"""Commands `train`, `ensemble`, `sweep` and `starter`: model training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from core.catalog.register import with_label_offset
from core.catalog.scan import scan
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.cli.console import print_notes, progress
from core.datasets.config import band_count
from core.errors import AmbiguousTile, NoSuchTile
from core.progress import stop_requested
from core.runs.config import TrainingConfig
from core.runs.run import Run
from core.settings import settings
from core.training.presets import PRESETS, UNLIMITED_EPOCHS, preset, recommended
from models.registry import DEFAULT

#: Options of `train` that belong to the dataset configuration.
_DATASET_OPTIONS = ("normalization", "gsd_m", "bands")


def train(
    out: Annotated[Path, typer.Option(help="Folder of the new run.")],
    data: Annotated[Path | None, typer.Option(help="Folder in any SpaceNet layout; default: the catalog.")] = None,
    network: Annotated[str, typer.Option("--network", "--model", help="Model, such as unet or fcn.")] = "",
    preset: Annotated[str, typer.Option(help=f"Preset: {', '.join(PRESETS)}.")] = "",
    minutes: Annotated[float | None, typer.Option(help="Train for a fixed time (minutes).")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Number of epochs, instead of minutes.")] = None,
    tiles: Annotated[str, typer.Option(help="Comma-separated tile IDs.")] = "",
    option: Annotated[list[str] | None, typer.Option(help="Model option, such as width=24.")] = None,
    batch: Annotated[int | None, typer.Option("--batch-size", min=1, help="Batch size.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    schedule: Annotated[str | None, typer.Option(help="Learning-rate schedule: constant or cosine.")] = None,
    patience: Annotated[int | None, typer.Option(min=0, help="Early-stopping patience in epochs (0 = off).")] = None,
    augment: Annotated[bool | None, typer.Option(help="Augmentation: flips and rotations by 90°.")] = None,
    strong_augmentation: Annotated[bool | None, typer.Option(help="Geometric and color augmentation.")] = None,
    refit: Annotated[float | None, typer.Option(help="Fraction of training used for the refit on all tiles.")] = None,
    epoch_crops: Annotated[int | None, typer.Option(help="Minimum crops per epoch.")] = None,
    precision: Annotated[str | None, typer.Option(help="Precision: auto, float32, bfloat16 or float16.")] = None,
    gsd_m: Annotated[float | None, typer.Option("--gsd", help="Model resolution (GSD, m/pixel).")] = None,
    normalization: Annotated[str | None, typer.Option(help="percentile, or thesis (divide by maximum).")] = None,
    infrared: Annotated[bool | None, typer.Option(help="Use near-infrared, if all tiles have it.")] = None,
    batch_norm: Annotated[bool, typer.Option("--batch-norm", help="Batch normalization (fcn only).")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted training.")] = False,
    more_of: Annotated[Path | None, typer.Option("--from", help="Run to continue for --epochs more epochs.")] = None,
) -> None:
    """Train a model on labeled tiles of a folder or of the catalog. Ctrl-C ends training early and keeps the model."""
    from core.training.train import train as train_run

    parent = Run(more_of) if more_of else None
    options = {"batch_norm": True} if batch_norm else {}
    settings = {
        "network": network, "preset": preset, "minutes": minutes, "epochs": epochs, "batch": batch,
        "learning_rate": learning_rate, "seed": seed, "schedule": schedule, "patience": patience, "augment": augment,
        "strong_augmentation": strong_augmentation, "refit": refit, "precision": precision,
        "normalization": normalization, "gsd_m": gsd_m,
        "epoch_crops": epoch_crops, "bands": None if infrared is None else band_count(infrared),
        "options": options | _parse_options(option or []), "name": out.name,
    }  # fmt: skip
    config = training_config(settings)
    if parent:
        end = UNLIMITED_EPOCHS if minutes else parent.epochs_done + (epochs or 10)
        config = replace(parent.config, name=out.name, patience=0, epochs=end, minutes=minutes or 0.0)
    if resume and Run(out).exists:
        config = Run(out).config
    tile_names = split_list(tiles)
    if data is None and not tile_names and (parent or resume):
        tile_names = list((parent or Run(out)).record.tiles)
    if data is None and not tile_names:
        raise typer.BadParameter("Specify a folder with --data, or tiles of the catalog with --tiles.")
    available = read_catalog().tiles if data is None else _scan_folder(data)
    chosen = [_find_tile(available, name) for name in tile_names] or available
    with progress() as report, stop_requested() as finish:
        run = train_run(chosen, config, out, report, finish, resume=resume, parent=parent)
    typer.echo(run.metrics().dropna(axis="columns", how="all").to_string(index=False))
    typer.echo(out)


def training_config(settings: dict[str, Any]) -> TrainingConfig:
    """Training configuration from command-line options: a preset or the recommended settings, with changes.

    Epochs without minutes replace the time budget of a preset. Raises InvalidSetting.
    """
    changes = {name: value for name, value in settings.items() if value not in (None, "") and name != "preset"}
    base = preset(settings["preset"]).config if settings.get("preset") else recommended(changes.get("network", DEFAULT))
    if changes.get("network", base.network) != base.network:
        budget = {name: getattr(base, name) for name in ("minutes", "epochs", "batch", "epoch_crops")}
        base = replace(recommended(changes["network"]), **budget)
    if "epochs" in changes and "minutes" not in changes:
        changes["minutes"] = 0.0
    if changes.get("minutes") and "epochs" not in changes:
        changes["epochs"] = UNLIMITED_EPOCHS
    options = {**base.options, **changes.pop("options", {})}
    if "gsd_m" in changes:
        base = replace(base, dataset=replace(base.dataset, finest_m=0.0))
    dataset = replace(base.dataset, **{name: changes.pop(name) for name in _DATASET_OPTIONS if name in changes})
    return replace(base, **changes, options=options, dataset=dataset)


def _parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Parse network options such as width=24; they are validated later, with the network."""
    options = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        options[name.strip()] = _parse_value(text.strip())
    return options


def _parse_value(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[Path, typer.Option(help="Folder of the new run.")],
) -> None:
    """Create an ensemble: a run that averages the predictions of several runs."""
    from core.inference.ensemble import make_ensemble

    run = make_ensemble([Run(path) for path in runs], out)
    print_notes.print(f"Ensemble of {len(runs)} models, {run.record.parameters:,} parameters", markup=False)
    typer.echo(out)


def make_starter(
    minutes: Annotated[float, typer.Option(min=0.1, help="Training time (minutes).")] = 10.0,
    out: Annotated[Path | None, typer.Option(help="Output folder; default: models/weights/starter.")] = None,
) -> None:
    """Retrain the built-in starter model on the sample city, and write its model card."""
    from core.training.starter_model import FOLDER, train_starter

    with progress() as report:
        typer.echo(train_starter(minutes, report, out or FOLDER).path)


def _scan_folder(folder: Path) -> Sequence[Tile]:
    """Scan the tiles of a folder, with the label offsets of the catalog applied."""
    with progress() as report:
        result = scan(folder, report=report)
    for problem in result.problems:
        print_notes.print(problem, markup=False)
    return with_label_offset(result.tiles)


def _find_tile(known_tiles: Sequence[Tile], name: str) -> Tile:
    """Find a tile by ID or short ID; raises NoSuchTile, AmbiguousTile."""
    tiles = [tile for tile in known_tiles if tile.id == name] or [tile for tile in known_tiles if tile.short_id == name]
    if not tiles:
        raise NoSuchTile(tile=name)
    if len(tiles) > 1:
        raise AmbiguousTile(tile=name, known=", ".join(tile.id for tile in tiles))
    return tiles[0]


def sweep(
    name: Annotated[str, typer.Argument(help="Sweep name; runs under the same name are added to it.")],
    tiles: Annotated[str, typer.Option(help="Comma-separated tile IDs of the catalog.")] = "",
    aoi: Annotated[str, typer.Option(help="Instead: all labeled tiles of this area.")] = "",
    rates: Annotated[str, typer.Option("--learning-rates", help="Comma-separated learning rates.")] = "0.001",
    networks: Annotated[str, typer.Option(help="Comma-separated models.")] = DEFAULT,
    seeds: Annotated[str, typer.Option(help="Comma-separated random seeds.")] = "0",
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = 10,
    batch: Annotated[int, typer.Option("--batch-size", min=1, help="Batch size.")] = 8,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of the cluster per machine.")] = 0,
    nodes: Annotated[int, typer.Option(min=1, help="Machines of the cluster per run.")] = 1,
) -> None:
    """Queue a hyperparameter sweep: one training per learning rate, model and random seed."""
    from core.jobs.job import Resources
    from core.jobs.queue import Queue
    from core.tasks.sweep import Sweep, submit

    labelled = read_catalog().labeled
    chosen = (
        labelled.of_aoi(aoi).tiles
        if aoi
        else [_find_tile(labelled.tiles, tile_name) for tile_name in split_list(tiles)]
    )
    if not chosen:
        raise typer.BadParameter("Specify tiles of the catalog with --tiles, or an area with labels with --aoi.")
    base = replace(
        recommended(split_list(networks)[0] if split_list(networks) else DEFAULT), epochs=epochs, batch=batch
    )
    grid = Sweep.parse(
        name,
        [tile.id for tile in chosen],
        base,
        split_list(rates),
        split_list(networks),
        split_list(seeds),
    )
    for job in submit(replace(grid, resources=Resources(gpus, nodes)), Queue(settings().queue)):
        typer.echo(f"{job.id}\t{job.params['run']}")


def split_list(text: str) -> list[str]:
    """Split a comma-separated list."""
    return [item.strip() for item in text.split(",") if item.strip()]
