"""Footprint export: predictions of a run over several tiles, in one file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd

from core.catalog.tile import Tile, attributions
from core.errors import InvalidSetting, NothingPredicted
from core.geo.grid import LONLAT
from core.geo.raster import read_info
from core.geo.vector import Footprints
from core.geo.vector_writers import Provenance, check_format, suffix_of, write_footprints, write_spacenet
from core.inference.tile_prediction import TilePrediction, all_predictions
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.thresholds import load_thresholds
from core.progress import Report, silent
from core.review.decisions import Review
from core.runs.run import Run

#: Kinds of footprints to export: as predicted, regularized, or accepted in review.
KINDS: Mapping[str, Callable[[TilePrediction, VectorizeConfig], Footprints]] = {
    "raw": lambda prediction, config: prediction.footprints(config),
    "square": lambda prediction, config: prediction.footprints(config.with_changes(regularize=True)),
    "accepted": lambda prediction, _: Review.of(prediction.folder).accepted,
}


def write_area(
    run: Run, tiles: Sequence[Tile], out: Path, kind: str = "raw", report: Report = silent,
    config: VectorizeConfig | None = None,
) -> int:  # fmt: skip
    """Export the predicted footprints of several tiles to one file, each with the ID of its tile.

    Where tiles overlap, a building may occur twice: once from each image.

    Args:
        run: The run that predicted the tiles.
        tiles: Tiles; those without a prediction are skipped.
        out: File to write; its suffix names the format.
        kind: A key of KINDS: raw, regularized, or accepted in review.
        report: Called with the progress.
        config: Post-processing settings; by default the optimized ones of the run.

    Returns:
        Number of footprints.

    Raises:
        NothingPredicted: No tile has a prediction.
        InvalidSetting: The kind is unknown.
    """
    check_format(out)
    if kind not in KINDS:
        raise InvalidSetting(setting="the footprints", value=kind, detail=f"must be one of {', '.join(KINDS)}")
    predictions = all_predictions(run, tiles)
    if not predictions:
        raise NothingPredicted(run=run.name)
    config = config or load_thresholds(run).vectorize
    footprints_by_tile = _predicted_footprints(predictions, KINDS[kind], config, report)
    if suffix_of(out) == ".csv":
        return _write_csv(footprints_by_tile, out)
    frames = [
        footprints.to_crs(LONLAT).frame.assign(image=prediction.tile.id)
        for prediction, footprints in footprints_by_tile
    ]
    merged = gpd.GeoDataFrame(pd.concat(frames, ignore_index=True), crs=LONLAT)
    merged["id"] = range(1, len(merged) + 1)
    licenses = "; ".join(attributions(prediction.tile for prediction in predictions))
    days = {read_info(prediction.tile.image).acquired for prediction in predictions}
    day = days.pop() if len(days) == 1 else ""
    write_footprints(Footprints(merged), out, None, Provenance("", run.name, run.config.network, day, licenses))
    return len(merged)


def _predicted_footprints(
    predictions: Sequence[TilePrediction],
    kind: Callable[[TilePrediction, VectorizeConfig], Footprints],
    config: VectorizeConfig,
    report: Report,
) -> Iterator[tuple[TilePrediction, Footprints]]:
    for n, prediction in enumerate(predictions):
        report(n / len(predictions), prediction.tile.id)
        yield prediction, kind(prediction, config)


def _write_csv(footprints_by_tile: Iterable[tuple[TilePrediction, Footprints]], out: Path) -> int:
    """Write a SpaceNet CSV, whose pixel coordinates refer to the tile of each footprint."""
    rows = [
        (footprints, read_info(prediction.tile.image).grid, prediction.tile.id)
        for prediction, footprints in footprints_by_tile
    ]
    write_spacenet(rows, out)
    return sum(len(footprints) for footprints, _, _ in rows)
