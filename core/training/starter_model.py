"""The network that comes with Groundplan, so that something can be predicted in the first minute.

It was trained on the made-up sample city alone; models/weights/starter/README.md is its model card.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from core.atomic_files import replacing, writing
from core.catalog.scan import scan
from core.postprocessing.thresholds import tuning_of
from core.progress import Report, silent
from core.runs.run import Run, runs
from core.settings import settings
from core.synthetic_city import make_sample_city
from core.training.presets import preset
from core.training.train import train
from models.registry import DEFAULT

NAME = "starter"
#: Weights, what they were trained on, their thresholds, and the model card.
FOLDER = Path(__file__).parents[2] / "models" / "weights" / NAME
_KEPT = ("config.json", "metrics.jsonl", "weights.json", "tuning.json")


def install() -> Run | None:
    """Puts the starter among the runs where there is none yet; None where there are some.

    Raises CannotWrite, DiskFull.
    """
    place = settings().runs / NAME
    if runs(settings().runs) or not Run(FOLDER).is_usable:
        return None
    with writing(place):
        shutil.copytree(FOLDER, place, dirs_exist_ok=True)
    return Run(place)


def is_starter(run: Run) -> bool:
    """Whether a run is the network that comes with Groundplan."""
    return run.name == NAME


def make(minutes: float, report: Report = silent, folder: Path = FOLDER) -> Run:
    """Trains the starter anew on the sample city and writes its model card; what lay in the folder goes away."""
    with TemporaryDirectory() as scratch:
        tiles = scan(make_sample_city(Path(scratch) / "city")).tiles
        # Without a refit: the score on its card is to be that of its weights.
        plain = replace(preset("quick"), network=DEFAULT).config
        config = replace(plain, minutes=minutes, refit=0.0, name="Starter, trained on the sample city")
        made = train(tiles, config, Path(scratch) / NAME, report)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in (*_KEPT, made.weights().name):
            shutil.copyfile(made.path / name, folder / name)
    with replacing(folder / "README.md") as part:
        part.write_text(card(Run(folder)), "utf-8")
    return Run(folder)


def card(run: Run) -> str:
    """The model card: what it was trained on, how well it does there, and what it must not be used for."""
    record, tuning = run.record, tuning_of(run)
    weights = orjson.loads((run.path / "weights.json").read_bytes())
    minutes, found = record.config.minutes, "not scored" if tuning.f1 is None else f"{tuning.f1:.2f}"
    checked, between = ", ".join(record.validation_tiles), len(record.between_tiles)
    return f"""# Starter

A small U-Net (`{record.config.network}`, {record.parameters:,} parameters) that comes with Groundplan, so that Predict
works in the first minute. Made by `python -m core starter --minutes {minutes:g}`.

| | |
|---|---|
| data | the made-up sample city, {len(record.tiles)} tiles (`core/catalog/sample`): no real pixel, no real building |
| split | by connected ground: {len(record.train_tiles)} tiles train, {between} between both are left out |
| validated on | {checked} |
| score | F1 {found} at IoU 0.5 on the validating tiles (TopCoder rule), on which its thresholds were found as well |
| pixels | {record.gsd_m[0]:.2f} m, red, green and blue |
| training | {minutes:g} min on {record.device}, {run.epochs_done} epochs, the best was {run.best_epoch} |
| weights | `{weights["file"]}`, SHA-256 `{weights["sha256"]}` |
| licence | that of Groundplan; neither its data nor its weights come from anybody else |

**Limits.** It has never seen a photograph; docs/RESULTS.md says how little such a network finds on real tiles. Where
many houses adjoin, as in the city's old town, it merges or splits them. Look at it as a placeholder, and train on real
tiles before anything depends on it.
"""
