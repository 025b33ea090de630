"""A report for people who were not there: one HTML file with everything in it, to read, send and print."""

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

from core.atomic_files import replacing
from core.catalog.tile import Tile
from core.errors import NothingPredicted
from core.evaluation.comparison import network_of
from core.evaluation.evaluate import Evaluation, Row, evaluate
from core.geo.grid import LONLAT
from core.inference.tile_prediction import Predicted, all_predicted
from core.postprocessing.config import Shaping
from core.postprocessing.thresholds import tuning_of
from core.progress import Report, silent
from core.rendering import colors, images
from core.review.verdicts import Building, verdicts
from core.runs.metadata import title_of
from core.runs.run import Run

#: Tiles shown of the best and of the worst, and the longest side of their pictures in pixels.
SHOWN, SIDE = 6, 420
_COLOURS = {"TP": colors.RIGHT, "FP": colors.INVENTED, "FN": colors.MISSED, "none": colors.PREDICTION}
_RULE = (
    "A building counts as found when one predicted outline overlaps it with an IoU (shared area over joint area) "
    "above 0.5; every outline finds one building at most (SpaceNet's rule as TopCoder's scorer has it, from 20 square "
    "pixels). F1 is the harmonic mean of precision (share of the outlines that are buildings) and recall (share of the "
    "buildings that were found). The range behind it holds 95 % of 1,000 draws of the tiles with replacement."
)


@dataclass(frozen=True)
class _Shown:
    """A picture in the report."""

    data: str
    words: str
    attribution: str


def write_report(
    run: Run, tiles: Sequence[Tile], out: Path, shaping: Shaping | None = None, report: Report = silent
) -> Path:
    """The report of a run over those of the tiles that it has predicted, as one HTML file without links to elsewhere.

    Raises NothingPredicted, CannotWrite, DiskFull.
    """
    found = all_predicted(run, tiles)
    if not found:
        raise NothingPredicted(run=title_of(run))
    scored = evaluate(found, shaping, lambda share, doing: report(0.5 * share, doing))
    content = _content(run, found, scored, shaping, lambda share, doing: report(0.5 + 0.5 * share, doing))
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    page = Environment(loader=folder, autoescape=True, undefined=StrictUndefined).get_template("report.html")
    with replacing(out) as part:
        part.write_text(page.render(content), "utf-8")
    return out


def _content(
    run: Run, found: Sequence[Predicted], scored: Evaluation, shaping: Shaping | None, report: Report
) -> dict[str, Any]:
    by_id = {one.tile.id: one for one in found}
    rows = [row for row in scored.worst_first() if row.score.is_scored]
    half = min(SHOWN, (len(rows) + 1) // 2)
    worst, best = rows[:half], rows[half:][::-1][:SHOWN]
    unscored = [one for one in found if not one.tile.is_labelled][:SHOWN]
    galleries = [
        ("Where it is right", [_shown(by_id[row.tile], row, shaping) for row in best]),
        ("Where it is wrong", [_shown(by_id[row.tile], row, shaping) for row in worst]),
        ("Without labels to score against", [_shown(one, None, shaping) for one in unscored]),
    ]
    report(0.8, "drawing")
    return {
        "title": title_of(run), "network": network_of(run), "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "figures": _figures(found, scored, shaping), "verdict": _verdict(scored), "galleries": galleries,
        "map_svg": _map(found, scored), "map_words": "Tiles by F1; grey ones have no labels or no building to score.",
        "charts": _charts(scored), "tiles": [_cells(row) for row in scored.worst_first()], "training": _training(run),
        "rule": _RULE, "sources": list(dict.fromkeys(one.tile.attribution for one in found if one.tile.attribution)),
        "colours": {"right": colors.RIGHT, "invented": colors.INVENTED, "missed": colors.MISSED},
    }  # fmt: skip


def _figures(found: Sequence[Predicted], scored: Evaluation, shaping: Shaping | None) -> list[tuple[str, str]]:
    total = scored.total
    buildings = sum(len(one.footprints(shaping)) for one in found)
    area = sum(float(one.footprints(shaping).area_m2.sum()) for one in found)
    figures = [(f"{buildings:,}", "buildings predicted"), (f"{area / 10_000:,.1f} ha", "under roof")]
    if total.f1 is None:
        return figures
    return [
        (f"{total.f1:.2f}", "F1"), (f"{total.precision or 0:.0%}", "precision"), (f"{total.recall or 0:.0%}", "recall"),
        *figures,
    ]  # fmt: skip


def _verdict(scored: Evaluation) -> str:
    """The score in a sentence."""
    total, between = scored.total, scored.interval()
    if total.f1 is None:
        return "No tile has labels with buildings, so nothing can be said about how good this is."
    sure = f" (95 % of draws of the tiles: {between[0]:.2f} to {between[1]:.2f})" if between else ""
    said = (
        f"Of {total.tp + total.fn:,} labelled buildings on {len(scored.rows)} tiles {total.tp:,} are found and "
        f"{total.fn:,} missed; {total.fp:,} outlines are no building. F1 is {total.f1:.3f}{sure}. "
    )
    return (said + scored.caveat).rstrip()


def _cells(row: Row) -> list[str]:
    f1 = "–" if row.score.f1 is None else f"{row.score.f1:.3f}"
    return [row.tile, f1, str(row.score.tp), str(row.score.fp), str(row.score.fn), row.seen_before]


def _training(run: Run) -> list[tuple[str, str]]:
    record, tuning = run.record, tuning_of(run)
    across, down = record.gsd_m
    return [
        ("Network", f"{network_of(run)}, {record.parameters:,} parameters"),
        ("Trained", f"{record.created[:10]}, {run.epochs_done} epochs on {record.device}"),
        ("Pixels", f"{across:.3g} × {down:.3g} m, {record.bands} bands"),
        ("Tiles to train on", f"{len(record.train_tiles)}: {', '.join(record.train_tiles)}"),
        ("Tiles to check on", ", ".join(record.validation_tiles) or "none"),
        ("F1 there", "not scored" if tuning.f1 is None else f"{tuning.f1:.3f}, thresholds found on the same tiles"),
    ]  # fmt: skip


def _shown(one: Predicted, row: Row | None, shaping: Shaping | None) -> _Shown:
    """The image of a tile with what is right and wrong drawn over it."""
    image = images.draw(one.tile, "image")
    rgb = np.moveaxis(images.on_black(image).pixels, 0, -1)
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    picture.thumbnail((SIDE * 2, SIDE * 2))
    shrink = picture.width / image.grid.width
    pen = ImageDraw.Draw(picture)
    for building in verdicts(one, shaping):
        _draw(pen, building, image.grid.to_pixels(np.array([building.shape], object), LONLAT)[0], shrink)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=82)
    score = "" if row is None or row.score.f1 is None else f": F1 {row.score.f1:.2f}"
    data, whose = base64.b64encode(file.getvalue()).decode(), one.tile.attribution or "source not stated"
    return _Shown(data, f"{one.tile.title}{score}", f"Image: {whose}")


def _draw(pen: ImageDraw.ImageDraw, building: Building, shape: shapely.Polygon, shrink: float) -> None:
    for part in shapely.get_parts(shape):
        line = [tuple(xy) for xy in np.asarray(part.exterior.coords)[:, :2] * shrink]
        pen.line(line, fill=colors.HALO, width=5)
        pen.line(line, fill=_COLOURS[building.verdict], width=3)


def _svg(figure: Figure) -> Markup:
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", bbox_inches="tight")
    text = file.getvalue()
    return Markup(text[text.index("<svg") :])  # drawn by matplotlib from numbers and our own words


def _map(found: Sequence[Predicted], scored: Evaluation) -> Markup:
    """The ground of the tiles, coloured by F1; a dot in each, so that far-off ones are seen."""
    f1 = {row.tile: row.score.f1 for row in scored.rows}
    figure = Figure(figsize=(9, 4.5))
    axes = figure.subplots()
    ramp = mpl.colormaps["viridis"]
    for one in found:
        ground, score = one.tile.footprint, f1.get(one.tile.id)
        colour = "#c8ced8" if score is None else ramp(score)
        axes.fill(*shapely.get_coordinates(ground.exterior).T, facecolor=colour, edgecolor="white", linewidth=1)
        axes.plot(ground.centroid.x, ground.centroid.y, "s", markersize=9, color=colour, markeredgecolor="white")
    centre = np.mean([one.tile.footprint.centroid.y for one in found])
    axes.set_aspect(1 / np.cos(np.radians(centre)), adjustable="datalim")
    axes.set(xlabel="longitude, °", ylabel="latitude, °")
    axes.margins(0.08)
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(labelsize=8)
    bar = figure.colorbar(mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), ramp), ax=axes, shrink=0.8)
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
    other = bars.subplots()
    words = [
        f"{low:g}–{high:g}" if np.isfinite(high) else f">{low:g}"
        for low, high in sizes[["from_m2", "to_m2"]].to_numpy()
    ]
    other.bar(words, sizes["f1"], color="#0072B2")
    other.set(xlabel="area of the building, m²", ylabel="F1", ylim=(0, 1))
    other.tick_params(axis="x", labelsize=7, labelrotation=30)
    ap = scored.average_precision or 0.0
    return [
        (_svg(figure), f"Were only the surest outlines kept: average precision {ap:.2f}."),
        (_svg(bars), "F1 by the size of the building."),
    ]
