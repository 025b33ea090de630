"""One run of several: a network that is the mean of theirs, with the weights of all of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.errors import InvalidSetting
from core.inference.engine import load_network
from core.postprocessing.thresholds import Tuning, tuning_of
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.runtime.keras_backend import start_keras
from models.registry import build

#: Members look at pixels of the same size, but for so much of it.
_SAME_GSD = 0.02


def combine(runs: Sequence[Run], out: Path) -> Run:
    """A run in `out` that predicts the mean of what these say; they may go away then.

    Its tiles are those of all of them, its footprints are shaped as the first's. Raises NoSuchRun, DamagedRun,
    RunExists, CannotWrite, DiskFull, and InvalidSetting for runs that do not look at the same kind of pixels.
    """
    start_keras()
    from models.networks.ensemble import named, put_member

    records = [run.record for run in runs]
    _check_alike(runs)
    members = named([(record.config.network, dict(record.config.options)) for record in records])
    model, first = build("ensemble", records[0].bands, members=members), records[0]
    low, span = _ends(first)
    for n, (run, record) in enumerate(zip(runs, records, strict=True)):
        own_low, own_span = _ends(record)
        put_member(model, n, load_network(run), span / own_span, (low - own_low) / own_span)
    config = TrainingConfig("ensemble", {"members": members}, recipe=first.config.recipe, name=out.name)
    record = replace(
        first, config=config, parameters=model.count_params(),
        pretrained="; ".join(dict.fromkeys(record.pretrained for record in records if record.pretrained)),
        notes=(f"The mean of {', '.join(run.name for run in runs)}.",),
        train_tiles=_all([record.train_tiles for record in records]),
        validation_tiles=_all([record.validation_tiles for record in records]),
        between_tiles=_all([record.between_tiles for record in records]),
    )  # fmt: skip
    made = Run.create(out, record)
    made.put_weights(model, 1)
    refitted = any(run.refitted for run in runs)
    made.put_tuning(Tuning(tuning_of(runs[0]).shaping, refitted=refitted).as_dict())
    return made


def alike(run: Run, other: Run) -> bool:
    """Whether two runs can be combined: they see pixels of the same bands and size, and neither is a mean itself."""
    one, two = run.record, other.record
    if "ensemble" in (one.config.network, two.config.network):
        return False
    return one.bands == two.bands and bool(np.abs(np.divide(one.gsd_m, two.gsd_m) - 1).max() <= _SAME_GSD)


def _ends(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """What becomes 0 in each band, and how far 1 is from it."""
    low, high = np.array(record.scaling.low), np.array(record.scaling.high)
    return low, np.where(high > low, high - low, 1)


def _all(tiles: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tile for some in tiles for tile in some))


def _seen(record: Record) -> str:
    return f"{record.bands} channels of {record.gsd_m[0]:.2f} m with {record.config.network}"


def _check_alike(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise InvalidSetting(setting="the ensemble", value=len(runs), detail="it is made of two runs or more")
    first = runs[0].record
    for run in runs[1:]:
        if not alike(run, runs[0]):
            detail = f"it sees {_seen(run.record)}, {runs[0].name} {_seen(first)}"
            raise InvalidSetting(setting="the ensemble", value=run.name, detail=detail)
