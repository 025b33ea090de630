"""Ensembles: one run that averages the predictions of several, with the weights of all of them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from core.errors import InvalidSetting
from core.inference.engine import load_network
from core.postprocessing.thresholds import Thresholds, load_thresholds
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.runtime.keras_backend import start_keras
from models.registry import build

#: Relative difference in GSD up to which runs are compatible.
_SAME_GSD = 0.02


def make_ensemble(runs: Sequence[Run], out: Path) -> Run:
    """Create an ensemble: a run in `out` with the mean prediction of the members, independent of their folders.

    Its tiles are those of all members; its post-processing is that of the first. Raises NoSuchRun, DamagedRun,
    RunExists, CannotWrite, DiskFull, and InvalidSetting for runs with different bands or GSD.
    """
    start_keras()
    from models.networks.ensemble import format_members, save_member

    records = [run.record for run in runs]
    _check_compatible(runs)
    members = format_members([(record.config.network, dict(record.config.options)) for record in records])
    model, first = build("ensemble", records[0].bands, members=members), records[0]
    low, span = _normalization_range(first)
    for n, (run, record) in enumerate(zip(runs, records, strict=True)):
        member_low, member_span = _normalization_range(record)
        save_member(model, n, load_network(run), span / member_span, (low - member_low) / member_span)
    config = TrainingConfig("ensemble", {"members": members}, dataset=first.config.dataset, name=out.name)
    record = replace(
        first, config=config, parameters=model.count_params(),
        pretrained="; ".join(dict.fromkeys(record.pretrained for record in records if record.pretrained)),
        notes=(f"Ensemble of {', '.join(run.name for run in runs)}.",),
        train_tiles=_unique([record.train_tiles for record in records]),
        validation_tiles=_unique([record.validation_tiles for record in records]),
        buffer_tiles=_unique([record.buffer_tiles for record in records]),
    )  # fmt: skip
    ensemble = Run.create(out, record)
    ensemble.save_weights(model, 1)
    refitted = any(run.refitted for run in runs)
    ensemble.save_thresholds(Thresholds(load_thresholds(runs[0]).vectorize, refitted=refitted).as_dict())
    return ensemble


def are_compatible(run: Run, reference: Run) -> bool:
    """Tell whether two runs can form an ensemble: same bands and GSD, and neither is an ensemble."""
    first, second = run.record, reference.record
    if "ensemble" in (first.config.network, second.config.network):
        return False
    return first.bands == second.bands and bool(np.abs(np.divide(first.gsd_m, second.gsd_m) - 1).max() <= _SAME_GSD)


def _normalization_range(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Value of each band that is normalized to 0, and its difference from the one normalized to 1."""
    low, high = np.array(record.normalization.low), np.array(record.normalization.high)
    return low, np.where(high > low, high - low, 1)


def _unique(tiles: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(tiles)))


def _describe_input(record: Record) -> str:
    return f"{record.bands} channels at {record.gsd_m[0]:.2f} m/pixel ({record.config.network})"


def _check_compatible(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise InvalidSetting(setting="the ensemble", value=len(runs), detail="an ensemble needs at least two runs")
    first = runs[0].record
    for run in runs[1:]:
        if not are_compatible(run, runs[0]):
            detail = (
                f"it was trained with {_describe_input(run.record)}, but {runs[0].name} with {_describe_input(first)}"
            )
            raise InvalidSetting(setting="the ensemble", value=run.name, detail=detail)
