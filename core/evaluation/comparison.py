"""Comparison of training runs: settings, scores, learning curves, and buildings found by one run only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.catalog.tile_labels import read_tile_labels
from core.evaluation.evaluate import bootstrap_interval, evaluate
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT
from core.geo.vector import Footprints
from core.inference.tile_prediction import TRAINING_ROLES, TilePrediction
from core.postprocessing.thresholds import load_thresholds
from core.runs.metadata import RunMetadata, display_name
from core.runs.run import Run

#: Change of a building between run A and run B: found only by B, only by A, by both, or by neither.
Change = Literal["gained", "lost", "both", "neither"]
_COLUMNS = (
    "run", "name", "tags", "network", "tiles", "epochs", "minutes", "f1", "low", "high", "ap", "mpx_s", "parameters",
    "megabytes", "created",
)  # fmt: skip


def run_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Build a table with a row per run and the columns _COLUMNS.

    `f1` and `ap` (average precision) are measured on the run's own validation area, `low` and `high` are the bootstrap
    interval of F1 over its tiles; NaN where unknown.
    """
    return pd.DataFrame([_row(run) for run in runs], columns=list(_COLUMNS))


def _row(run: Run) -> dict[str, Any]:
    record, thresholds, metrics = run.record, load_thresholds(run), run.metrics()
    low, high = bootstrap_interval([tuple(counts) for _, *counts in thresholds.tiles]) or (np.nan, np.nan)  # type: ignore[misc]
    return {
        "run": run.name, "name": display_name(run), "tags": list(RunMetadata.of(run).tags), "network": network_of(run),
        "tiles": len(record.train_tiles), "epochs": run.epochs_done, "minutes": metrics["seconds"].sum() / 60,
        "f1": np.nan if thresholds.f1 is None else thresholds.f1, "low": low, "high": high,
        "ap": np.nan if thresholds.ap is None else thresholds.ap,
        "mpx_s": metrics["images_s"].mean() * run.config.dataset.chip**2 / 1e6,
        "parameters": record.parameters, "megabytes": run.weights().stat().st_size / 1e6,
        "created": run.created,
    }  # fmt: skip


def network_of(run: Run) -> str:
    """Format the network with its options: unet (width 16, copies 3)."""
    options = ", ".join(f"{name} {value}" for name, value in run.config.options.items())
    return f"{run.config.network} ({options})" if options else run.config.network


def config_differences(runs: Sequence[Run]) -> pd.DataFrame:
    """Build a table with a row per setting that differs between the runs and a column per run."""
    settings = {run.name: _flatten(asdict(run.config)) for run in runs}
    frame = pd.DataFrame(settings).astype(str)
    return frame[frame.nunique(axis=1) > 1] if len(frame) else frame


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    flat.pop("name", None)
    return flat


def learning_curves(runs: Sequence[Run]) -> pd.DataFrame:
    """Concatenate the metrics of all runs, with the columns run, epoch and minutes, for one plot."""
    frames = []
    for run in runs:
        metrics = run.metrics()
        frames.append(metrics.assign(run=display_name(run), minutes=metrics["seconds"].cumsum() / 60))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["run", "epoch", "minutes"])


def building_changes(prediction_a: TilePrediction, prediction_b: TilePrediction) -> tuple[Footprints, list[Change]]:
    """Compare two runs on a tile: the ground-truth buildings and the change of each from run A to run B.

    Raises NoLabels and what reading them raises.
    """
    labels = read_tile_labels(prediction_a.tile)
    hits = []
    for prediction in (prediction_a, prediction_b):
        score = prediction.score()
        assert score is not None  # the tile has labels: they were read above
        hits.append(score.truth.hit)
    kind_of: dict[tuple[bool, bool], Change] = {
        (False, True): "gained", (True, False): "lost", (True, True): "both", (False, False): "neither",
    }  # fmt: skip
    kinds = [kind_of[bool(hit_a), bool(hit_b)] for hit_a, hit_b in zip(*hits, strict=True)]
    return Footprints.of(labels.map_footprints, labels.grid.crs), kinds


def changes_geojson(prediction_a: TilePrediction, prediction_b: TilePrediction) -> bytes:
    """Encode the changes as GeoJSON for the map, with a tooltip."""
    footprints, kinds = building_changes(prediction_a, prediction_b)
    properties = [
        {"verdict": kind, "words": f"{_CHANGE_LABELS[kind]} · {area:.0f} m²"}
        for kind, area in zip(kinds, footprints.area_m2, strict=True)
    ]
    return feature_collection(footprints.to_crs(LONLAT).geometries, properties)


_CHANGE_LABELS: Mapping[Change, str] = {
    "gained": "Found only by run B", "lost": "Found only by run A", "both": "Found by both runs",
    "neither": "Missed by both runs",
}  # fmt: skip


def _role_labels(prediction_a: TilePrediction, prediction_b: TilePrediction) -> str:
    sides = (("left", prediction_a), ("right", prediction_b))
    trained = [side for side, prediction in sides if prediction.training_role in TRAINING_ROLES]
    return "both" if len(trained) == 2 else "".join(trained) or "neither"


def compare_tiles(run_a: Run, run_b: Run, pairs: Sequence[tuple[TilePrediction, TilePrediction]]) -> pd.DataFrame:
    """Score two runs on tiles that both have predicted, the tile with most changes first.

    Args:
        run_a: First run.
        run_b: Second run.
        pairs: Predictions of run A and of run B for each tile.

    Returns:
        Columns tile, F1 under the name of each run, buildings gained and lost, and which run was trained on the tile
        (left is run A).
    """
    rows = []
    for prediction_a, prediction_b in pairs:
        kinds = building_changes(prediction_a, prediction_b)[1]
        scores = [evaluate([prediction]).total.f1 for prediction in (prediction_a, prediction_b)]
        rows.append(
            {"tile": prediction_a.tile.id, run_a.name: scores[0], run_b.name: scores[1],
             "gained": kinds.count("gained"), "lost": kinds.count("lost"),
             "trained on": _role_labels(prediction_a, prediction_b)}
        )  # fmt: skip
    frame = pd.DataFrame(rows, columns=["tile", run_a.name, run_b.name, "gained", "lost", "trained on"])
    return frame.iloc[(frame["gained"] + frame["lost"]).to_numpy().argsort(kind="stable")[::-1]]
