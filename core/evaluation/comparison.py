"""Runs beside each other: what they were trained with, how good they are, and what one finds that the other misses."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.catalog.tile_labels import read_tile_labels
from core.evaluation.evaluate import evaluate, interval
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT
from core.geo.vector import Footprints
from core.inference.tile_prediction import UNSEEN, Predicted
from core.postprocessing.config import Shaping
from core.postprocessing.thresholds import tuning_of
from core.runs.metadata import About, title_of
from core.runs.run import Run

#: What became of a building between one run and another.
Change = Literal["gained", "lost", "both", "neither"]
_COLUMNS = (
    "run", "name", "tags", "network", "tiles", "epochs", "minutes", "f1", "low", "high", "ap", "mpx_s", "parameters",
    "megabytes", "created",
)  # fmt: skip


def table(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a run: see _COLUMNS.

    f1 is that of its own validation ground, low and high its interval by bootstrap over the tiles there, ap the average
    precision there; NaN where nobody knows.
    """
    return pd.DataFrame([_row(run) for run in runs], columns=list(_COLUMNS))


def _row(run: Run) -> dict[str, Any]:
    record, tuning, metrics = run.record, tuning_of(run), run.metrics()
    low, high = interval([tuple(counts) for _, *counts in tuning.tiles]) or (np.nan, np.nan)  # type: ignore[misc]
    return {
        "run": run.name, "name": title_of(run), "tags": list(About.of(run).tags), "network": network_of(run),
        "tiles": len(record.train_tiles), "epochs": run.epochs_done, "minutes": metrics["seconds"].sum() / 60,
        "f1": np.nan if tuning.f1 is None else tuning.f1, "low": low, "high": high,
        "ap": np.nan if tuning.ap is None else tuning.ap,
        "mpx_s": metrics["images_s"].mean() * run.config.recipe.chip**2 / 1e6,
        "parameters": record.parameters, "megabytes": run.weights().stat().st_size / 1e6,
        "created": run.created,
    }  # fmt: skip


def network_of(run: Run) -> str:
    """The network with what was chosen of it: unet (width 16, copies 3)."""
    options = ", ".join(f"{name} {value}" for name, value in run.config.options.items())
    return f"{run.config.network} ({options})" if options else run.config.network


def differences(runs: Sequence[Run]) -> pd.DataFrame:
    """A row a setting that is not the same in all of these runs, a column a run; empty where they are alike."""
    settings = {run.name: _flat(asdict(run.config)) for run in runs}
    frame = pd.DataFrame(settings).astype(str)
    return frame[frame.nunique(axis=1) > 1] if len(frame) else frame


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    found.pop("name", None)
    return found


def curves(runs: Sequence[Run]) -> pd.DataFrame:
    """Columns run, epoch, minutes and the measures of all runs, for one plot."""
    parts = []
    for run in runs:
        metrics = run.metrics()
        parts.append(metrics.assign(run=title_of(run), minutes=metrics["seconds"].cumsum() / 60))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["run", "epoch", "minutes"])


def changes(one: Predicted, other: Predicted) -> tuple[Footprints, list[Change]]:
    """The buildings of a tile that both runs predicted, on the ground, and what became of each from one to the other.

    Raises NoLabels and what reading them raises.
    """
    labels = read_tile_labels(one.tile)
    hits = [_found(found) for found in (one, other)]
    words: dict[tuple[bool, bool], Change] = {
        (False, True): "gained", (True, False): "lost", (True, True): "both", (False, False): "neither",
    }  # fmt: skip
    kinds = [words[bool(a), bool(b)] for a, b in zip(*hits, strict=True)]
    return Footprints.of(labels.ground, labels.grid.crs), kinds


def _found(one: Predicted, shaping: Shaping | None = None) -> np.ndarray:
    score = one.score(shaping)
    assert score is not None
    return score.truth.hit


def changes_geojson(one: Predicted, other: Predicted) -> bytes:
    """The same in longitude and latitude, with words for people."""
    footprints, kinds = changes(one, other)
    rows = [
        {"verdict": kind, "words": f"{_WORDS[kind]} · {area:.0f} m²"}
        for kind, area in zip(kinds, footprints.area_m2, strict=True)
    ]
    return feature_collection(footprints.to_crs(LONLAT).geometries, rows)


_WORDS: Mapping[Change, str] = {
    "gained": "only the second finds it", "lost": "only the first finds it", "both": "both find it",
    "neither": "neither finds it",
}  # fmt: skip


def _who_trained(left: Predicted, right: Predicted) -> str:
    names = [name for name, one in (("left", left), ("right", right)) if one.seen_before != UNSEEN]
    return "both" if len(names) == 2 else "".join(names) or "neither"


def scored_together(one: Run, other: Run, found: Sequence[tuple[Predicted, Predicted]]) -> pd.DataFrame:
    """A row a tile that both predicted, the largest change first.

    Columns: tile, F1 of each under its name, buildings gained and lost, and who has trained on the tile (left: `one`).
    """
    rows = []
    for first, second in found:
        kinds = changes(first, second)[1]
        scores = [evaluate([each]).total.f1 for each in (first, second)]
        rows.append(
            {"tile": first.tile.id, one.name: scores[0], other.name: scores[1], "gained": kinds.count("gained"),
             "lost": kinds.count("lost"), "trained on": _who_trained(first, second)}
        )  # fmt: skip
    frame = pd.DataFrame(rows, columns=["tile", one.name, other.name, "gained", "lost", "trained on"])
    return frame.iloc[(frame["gained"] + frame["lost"]).to_numpy().argsort(kind="stable")[::-1]]
