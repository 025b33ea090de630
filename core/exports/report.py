"""HTML report of a run: accuracy, map, best and worst tiles, training data; one self-contained file."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import shapely
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from core.atomic_files import atomic_write
from core.catalog.tile import Tile, attributions
from core.errors import NothingPredicted
from core.evaluation.comparison import network_of
from core.evaluation.evaluate import Evaluation, TileScore, evaluate
from core.formatting import counted
from core.geo.grid import LONLAT
from core.inference.tile_prediction import TilePrediction, all_predictions
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.thresholds import load_thresholds
from core.progress import Report, silent
from core.rendering import colors, images
from core.review.verdicts import verdicts
from core.runs.metadata import display_name
from core.runs.run import Run

#: Maximum number of best and of worst tiles shown, and display size of their images [pixels].
SHOWN, SIDE = 6, 420
_COLORS = {
    "TP": colors.TRUE_POSITIVE,
    "FP": colors.FALSE_POSITIVE,
    "FN": colors.FALSE_NEGATIVE,
    "none": colors.PREDICTION,
}
_RULE = (
    "SpaceNet metric (TopCoder scorer): a predicted footprint is a true positive (TP) if it overlaps a labeled "
    "building with an intersection over union (IoU) above 0.5; each footprint matches one building at most, and "
    "buildings below 20 px² are ignored. All other footprints are false positives (FP), all other buildings are missed "
    "(false negatives, FN). F1 is the harmonic mean of precision (share of the footprints that are correct) and recall "
    "(share of the buildings that are detected). Its 95 % confidence interval (CI) is a bootstrap over tiles."
)


@dataclass(frozen=True)
class _TileImage:
    """Image of a tile with its caption."""

    data: str
    caption: str
    attribution: str


def write_report(
    run: Run, tiles: Sequence[Tile], out: Path, config: VectorizeConfig | None = None, report: Report = silent
) -> Path:
    """Write a self-contained HTML report of a run: accuracy, map, best and worst tiles, training data.

    Args:
        run: The run.
        tiles: Tiles; those without a prediction are skipped.
        out: HTML file to write.
        config: Post-processing settings; by default the optimized ones of the run.
        report: Called with the progress.

    Returns:
        The file.

    Raises:
        NothingPredicted: No tile has a prediction.
        CannotWrite: The file cannot be written.
        DiskFull: The disk is full.
    """
    predictions = all_predictions(run, tiles)
    if not predictions:
        raise NothingPredicted(run=display_name(run))
    scored = evaluate(predictions, config, lambda share, doing: report(0.5 * share, doing))
    content = _content(run, predictions, scored, config, lambda share, doing: report(0.5 + 0.5 * share, doing))
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    page = Environment(loader=folder, autoescape=True, undefined=StrictUndefined).get_template("report.html")
    with atomic_write(out) as temporary:
        temporary.write_text(page.render(content), "utf-8")
    return out


def _content(
    run: Run, predictions: Sequence[TilePrediction], scored: Evaluation, config: VectorizeConfig | None, report: Report
) -> dict[str, Any]:
    by_id = {prediction.tile.id: prediction for prediction in predictions}
    rows = [row for row in scored.worst_first() if row.score.is_scored]
    half = min(SHOWN, (len(rows) + 1) // 2)
    worst, best = rows[:half], rows[half:][::-1][:SHOWN]
    unscored = [prediction for prediction in predictions if not prediction.tile.is_labeled][:SHOWN]
    galleries = [
        ("Best tiles", [_tile_image(by_id[row.tile], row, config) for row in best]),
        ("Worst tiles", [_tile_image(by_id[row.tile], row, config) for row in worst]),
        ("Tiles without labels", [_tile_image(prediction, None, config) for prediction in unscored]),
    ]
    report(0.8, "Rendering charts")
    return {
        "title": display_name(run), "network": network_of(run), "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "figures": _key_figures(predictions, scored, config), "verdict": _score_summary(scored), "galleries": galleries,
        "map_svg": _map(predictions, scored),
        "map_words": "Tiles colored by F1. Gray: no labels or no buildings to score.",
        "charts": _charts(scored), "tiles": [_table_row(row) for row in scored.worst_first()],
        "training": _training(run),
        "rule": _RULE, "sources": attributions(prediction.tile for prediction in predictions),
        "colours": {"right": colors.TRUE_POSITIVE, "invented": colors.FALSE_POSITIVE, "missed": colors.FALSE_NEGATIVE},
    }  # fmt: skip


def _key_figures(
    predictions: Sequence[TilePrediction], scored: Evaluation, config: VectorizeConfig | None
) -> list[tuple[str, str]]:
    total = scored.total
    buildings = sum(len(prediction.footprints(config)) for prediction in predictions)
    area = sum(float(prediction.footprints(config).area_m2.sum()) for prediction in predictions)
    figures = [(f"{buildings:,}", "predicted buildings"), (f"{area / 10_000:,.1f} ha", "total footprint area")]
    if total.f1 is None:
        return figures
    return [
        (f"{total.f1:.2f}", "F1"), (f"{total.precision or 0:.0%}", "precision"), (f"{total.recall or 0:.0%}", "recall"),
        *figures,
    ]  # fmt: skip


def _score_summary(scored: Evaluation) -> str:
    """Summarize the score in sentences."""
    total, interval = scored.total, scored.f1_interval()
    if total.f1 is None:
        return "No tile has labels with buildings, so the accuracy cannot be measured."
    ci_text = f" (95 % CI: {interval[0]:.2f}–{interval[1]:.2f})" if interval else ""
    sentence = (
        f"Of {counted(total.tp + total.fn, 'labeled building')} on {counted(len(scored.rows), 'tile')}, "
        f"{total.tp:,} are detected and {total.fn:,} are missed. "
        f"False positives: {total.fp:,}. F1 is {total.f1:.3f}{ci_text}. "
    )
    return (sentence + scored.leakage_note).rstrip()


def _table_row(row: TileScore) -> list[str]:
    f1 = "–" if row.score.f1 is None else f"{row.score.f1:.3f}"
    return [row.tile, f1, str(row.score.tp), str(row.score.fp), str(row.score.fn), row.role]


def _training(run: Run) -> list[tuple[str, str]]:
    record, f1 = run.record, load_thresholds(run).f1
    gsd_x, gsd_y = record.gsd_m
    return [
        ("Model", f"{network_of(run)}, {record.parameters:,} parameters"),
        ("Trained", f"{record.created[:10]}, {run.epochs_done} epochs on {record.device}"),
        ("Imagery", f"{gsd_x:.3g} × {gsd_y:.3g} m/pixel, {record.bands} bands"),
        ("Training tiles", f"{len(record.train_tiles)}: {', '.join(record.train_tiles)}"),
        ("Validation tiles", ", ".join(record.validation_tiles) or "none"),
        ("Validation F1", "not scored" if f1 is None else f"{f1:.3f}, thresholds tuned on these tiles"),
    ]  # fmt: skip


def _tile_image(prediction: TilePrediction, row: TileScore | None, config: VectorizeConfig | None) -> _TileImage:
    """Draw the image of a tile with outlines of true positives, false positives and false negatives."""
    image = images.draw(prediction.tile, "image")
    rgb = np.moveaxis(images.on_black(image).pixels, 0, -1)
    image_rgb = Image.fromarray(np.ascontiguousarray(rgb))
    image_rgb.thumbnail((SIDE * 2, SIDE * 2))
    scale = image_rgb.width / image.grid.width
    draw = ImageDraw.Draw(image_rgb)
    for building in verdicts(prediction, config):
        [shape] = image.grid.to_pixels(np.array([building.shape], object), LONLAT)
        for polygon in shapely.get_parts(shape):
            line = [tuple(xy) for xy in np.asarray(polygon.exterior.coords)[:, :2] * scale]
            draw.line(line, fill=colors.HALO, width=5)
            draw.line(line, fill=_COLORS[building.verdict], width=3)
    file = io.BytesIO()
    image_rgb.save(file, "WEBP", quality=82)
    score = "" if row is None or row.score.f1 is None else f": F1 {row.score.f1:.2f}"
    data, attribution = base64.b64encode(file.getvalue()).decode(), prediction.tile.attribution or "not provided"
    return _TileImage(data, f"{prediction.tile.title}{score}", f"Attribution: {attribution}")


def _svg(figure: Figure) -> Markup:
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", bbox_inches="tight")
    text = file.getvalue()
    return Markup(text[text.index("<svg") :])  # safe: contains only numbers and constant labels


def _map(predictions: Sequence[TilePrediction], scored: Evaluation) -> Markup:
    """Map of the tile extents, colored by F1, each with a marker so that distant tiles are visible."""
    f1 = {row.tile: row.score.f1 for row in scored.rows}
    figure = Figure(figsize=(9, 4.5))
    axes = figure.subplots()
    colormap = mpl.colormaps["viridis"]
    for prediction in predictions:
        extent, score = prediction.tile.footprint, f1.get(prediction.tile.id)
        color = "#c8ced8" if score is None else colormap(score)
        axes.fill(*shapely.get_coordinates(extent.exterior).T, facecolor=color, edgecolor="white", linewidth=1)
        axes.plot(extent.centroid.x, extent.centroid.y, "s", markersize=9, color=color, markeredgecolor="white")
    center_latitude = np.mean([prediction.tile.footprint.centroid.y for prediction in predictions])
    axes.set_aspect(1 / np.cos(np.radians(center_latitude)), adjustable="datalim")
    axes.set(xlabel="longitude (°)", ylabel="latitude (°)")
    axes.margins(0.08)
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(labelsize=8)
    bar = figure.colorbar(mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), colormap), ax=axes, shrink=0.8)
    bar.set_label("F1")
    return _svg(figure)


def _charts(scored: Evaluation) -> list[tuple[Markup, str]]:
    if scored.total.f1 is None:
        return []
    curve = scored.precision_recall()
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.step(curve["recall"], curve["precision"], where="post", color="#0072B2")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    sizes = scored.by_size().dropna(subset=["f1"])
    bars = Figure(figsize=(4, 3))
    size_axes = bars.subplots()
    captions = [
        f"{low:g}–{high:g}" if np.isfinite(high) else f">{low:g}"
        for low, high in sizes[["from_m2", "to_m2"]].to_numpy()
    ]
    size_axes.bar(captions, sizes["f1"], color="#0072B2")
    size_axes.set(xlabel="building size (m²)", ylabel="F1", ylim=(0, 1))
    size_axes.tick_params(axis="x", labelsize=7, labelrotation=30)
    ap = scored.average_precision or 0.0
    return [
        (_svg(figure), f"Precision–recall curve, average precision (AP) {ap:.2f}."),
        (_svg(bars), "F1 by building size."),
    ]
