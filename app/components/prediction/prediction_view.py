"""A prediction on the map, its score in words, and its files."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from app import state
from app.components.catalog.tile_inspector import attribution, big_numbers, table
from app.components.common.navigation import go_to
from app.components.common.text import number, share
from app.components.map.linked_views import View, linked_views
from app.components.map.tile_map import (
    PREDICTION_STYLE,
    VERDICT_STYLE,
    MapLayer,
    labels_version,
    layer_url,
    page_url,
    tile_layers,
    tile_map,
    version,
)
from core.exports.rasters import write_raster
from core.geo import raster
from core.geo.vector_writers import write_footprints
from core.inference.predict import origin_of
from core.inference.tile_prediction import UNSEEN, Predicted
from core.metrics.spacenet import Score
from core.postprocessing.config import Shaping
from core.rendering import colors, images
from core.review.decisions import FILE as REVIEW
from core.runs.run import Run
from core.training.starter_model import is_starter

#: Levels of the seeds; 0 lets all neighbours grow together.
_SEEDS = (0.0, *(n / 20 for n in range(21, 61)), 3.5, 4.0, 5.0, 6.0, 8.0)
#: What a person may take footprints home as.
FOOTPRINT_FORMATS = {
    ".geojson": "GeoJSON", ".gpkg": "GeoPackage", ".parquet": "GeoParquet", ".fgb": "FlatGeobuf",
    ".shp.zip": "Shapefile", ".csv": "SpaceNet CSV",
}  # fmt: skip


def prediction_map(found: Predicted, shaping: Shaping) -> None:
    """Image, truth, probability and prediction of the chosen tile, each with its opacity."""
    tile = found.tile
    layers = [item for item in tile_layers(tile) if item.key in ("image", "outlines")]
    if found.exists:
        base = ("predictions", found.run.name, tile.id)
        heat = layer_url(*base, "probability") + version(found.probability)
        verdicts = layer_url(*base, "verdicts.geojson") + _state(found, shaping)
        style = VERDICT_STYLE if tile.is_labelled else PREDICTION_STYLE
        bounds = images.map_bounds(found.probability)
        layers.append(MapLayer("probability", heat, "image", bounds, z=3))
        if found.tells_distance:
            layers.append(MapLayer("depth", heat.replace("probability?", "depth?"), "image", bounds, z=3))
        layers.append(MapLayer("verdicts", verdicts, "vector", hover=True, style=style, shapes=True))
        layers.append(MapLayer("errors", verdicts + "&only=errors", "vector", hover=True, style=style))
        accepted = layer_url(*base, "accepted.geojson") + version(found.folder / REVIEW)
        layers.append(MapLayer("accepted", accepted, "vector", hover=True, style=PREDICTION_STYLE))
    rows = ("image", "outlines", "probability", "depth", "verdicts", "errors", "accepted")
    tile_map(layers, rows, state.focus(), tile.id, shape=state.chosen_shape(), key="predict")


def starter_note(run: Run) -> None:
    """What the network that comes with Groundplan can be expected to know, and the way to a better one."""
    if not is_starter(run):
        return
    st.info(
        "This network comes with Groundplan and was trained on the made-up sample city alone: it has never seen a "
        "photograph, and was never scored on one. Train on real tiles before anything depends on it.",
        icon=":material/school:",
    )  # fmt: skip
    if st.button("Train on real tiles", icon=":material/model_training:", width="stretch"):
        go_to("train")


def shaping_box(found: Predicted) -> Shaping:
    """The sliders and switches that turn the probability into polygons; they begin as the run was tuned."""
    tuning, key = found.tuning, found.run.name
    usual = tuning.shaping
    threshold = st.slider(
        "Building from probability", 0.05, 0.95, usual.threshold, 0.05,
        help="Begins where most buildings of the run's validation ground were found.", key=f"threshold {key}",
    )  # fmt: skip
    area = st.slider("Smallest building, m²", 0.0, 100.0, float(usual.min_area_m2), 1.0, key=f"area {key}")
    seed = _seed_slider(usual.seed, key) if found.tells_distance else 0.0
    simplify = st.slider(
        "Simplify outlines by, pixels", 0.0, 5.0, float(usual.simplify_px), 0.1,
        help="Corners nearer than that to a straight wall are dropped.", key=f"simplify {key}",
    )  # fmt: skip
    with st.container(horizontal=True):
        square = st.toggle(
            "Right angles", help="Outlines as somebody would draw them; the score below is theirs while this is on."
        )
        judged = tuning.judge is not None and st.toggle(
            "Second look", help="Leaves out footprints that are unlikely to be a building, going by shape and pixels."
        )
    shaping = usual.changed(threshold, seed, area, square, judged, simplify)
    _as_traced(found, shaping)
    return shaping


def _seed_slider(usual: float, key: str) -> float:
    return st.select_slider(
        "Neighbours part where they are so many times deeper than their neck", _SEEDS,
        min(_SEEDS, key=lambda level: abs(level - usual)), lambda level: f"{level:g}" if level else "never",
        help="The seed level: lower cuts more houses apart, higher lets more of them grow together.", key=f"seed {key}",
    )  # fmt: skip


def _as_traced(found: Predicted, shaping: Shaping) -> None:
    """What right angles cost or gain: the F1 of the outlines that they were made of."""
    raw = found.score(shaping.changed(square=False)) if shaping.square else None
    if raw is not None and raw.f1 is not None:
        st.caption(f"Without right angles: F1 {raw.f1:.3f}.")


def score_view(score: Score | None, buildings: int, seen_before: str) -> None:
    """Right, invented, missed and F1; the number of buildings where there is no truth."""
    if score is None:
        big_numbers({"buildings predicted": number(buildings)})
        st.caption("This tile has no labels, so there is nothing to score against.")
        return
    big_numbers({"F1": f"{score.f1:.3f}" if score.f1 is not None else "not scored"})
    if not score.tp and score.fn:
        st.caption("No building was found. After a few epochs that is usual: train longer, or on more tiles.")
    legend = (
        (colors.RIGHT, "solid", "found (TP)", score.tp),
        (colors.INVENTED, "dashed", "invented (FP)", score.fp),
        (colors.MISSED, "dotted", "missed (FN)", score.fn),
    )
    rows = "".join(
        f'<tr><td><span class="gp-key" style="border:2px {line} {colour}"></span>{words}</td>'
        f"<td>{number(count)}</td></tr>"
        for colour, line, words, count in legend
    )
    st.html(f'<table class="gp-facts">{rows}</table>')
    table(
        {"Precision": share(score.precision), "Recall": share(score.recall), "The run was": f"{seen_before} this tile"}
    )
    st.caption("SpaceNet rule: a building is found when one prediction overlaps it with IoU above 0.5; from 20 px².")
    if seen_before != UNSEEN:
        st.caption("The network has seen this ground in training: the score says little about new ground.")


def truth_beside(found: Predicted, shaping: Shaping) -> None:
    """Ground truth and prediction as two linked pictures of the same tile."""
    tile = found.tile
    guess = page_url("predictions", found.run.name, tile.id, "outlines") + _state(found, shaping)
    views = [View(guess, "Prediction", f"probability above {shaping.threshold:g}")]
    if tile.is_labelled:
        truth = page_url("tiles", tile.id, "outlines") + labels_version(tile) + "&pixels=1"
        views.insert(0, View(truth, "Ground truth", "footprints of the label file"))
    linked_views(tile.id, views, tile.width, tile.height, key=f"beside {len(views)}")
    attribution(tile.attribution)


def _state(found: Predicted, shaping: Shaping) -> str:
    """Tells one state of a prediction from another in its addresses."""
    return (
        labels_version(found.tile, found.probability, found.folder / REVIEW)
        + f"&t={shaping.threshold:g}&seed={shaping.seed:g}&area={shaping.min_area_m2:g}"
        + f"&simplify={shaping.simplify_px:g}&square={shaping.square:d}&judged={shaping.judged:d}"
    )


def prediction_downloads(found: Predicted, shaping: Shaping) -> None:
    """The footprints in every format and the probability."""
    st.markdown("**Take them home**")
    columns = st.columns(2) * 4
    for column, (suffix, name) in zip(columns, FOOTPRINT_FORMATS.items(), strict=False):
        column.download_button(
            name, footprint_file(found, shaping, suffix), f"{found.tile.id}{suffix}", width="stretch",
            on_click="ignore", icon=":material/download:", key=f"take {suffix}",
        )  # fmt: skip
    columns[len(FOOTPRINT_FORMATS)].download_button(
        "Probability", _probability_file(found), f"{found.tile.id}_probability.tif", width="stretch",
        on_click="ignore", icon=":material/download:", help="A cloud-optimised GeoTIFF.",
    )  # fmt: skip


def _probability_file(found: Predicted) -> Callable[[], bytes]:
    def make() -> bytes:
        with TemporaryDirectory() as folder:
            return write_raster(found, "probability", Path(folder) / "probability.tif").read_bytes()

    return make


def footprint_file(found: Predicted, shaping: Shaping, suffix: str) -> Callable[[], bytes]:
    """What makes the footprints of a tile in a format when somebody asks for them."""

    def make() -> bytes:
        grid = raster.describe(found.tile.image).grid
        # A folder of its own: the job's files stay those of its own threshold, and no visitor gets another's.
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"footprints{suffix}"
            return write_footprints(
                found.footprints(shaping), path, grid, origin_of(found.run, found.tile)
            ).read_bytes()

    return make
