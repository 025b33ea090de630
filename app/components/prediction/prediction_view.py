"""Prediction view: map layers, post-processing settings, score and downloads."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from app import state
from app.components.catalog.tile_inspector import attribution, key_figures, table
from app.components.common.navigation import go_to
from app.components.common.text import MEANINGS, number, share
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
from core.inference.predict import provenance_of
from core.inference.tile_prediction import TRAINING_ROLES, TilePrediction
from core.postprocessing.config import VectorizeConfig
from core.rendering import colors, images
from core.review.decisions import FILE as REVIEW
from core.runs.run import Run
from core.training.starter_model import is_starter

#: Split ratios of the watershed; 0 turns it off, so touching buildings stay merged.
_SPLIT_RATIOS = (0.0, *(n / 20 for n in range(21, 61)), 3.5, 4.0, 5.0, 6.0, 8.0)
#: Export formats of footprints, by suffix.
FOOTPRINT_FORMATS = {
    ".geojson": "GeoJSON", ".gpkg": "GeoPackage", ".parquet": "GeoParquet", ".fgb": "FlatGeobuf",
    ".shp.zip": "Shapefile", ".csv": "SpaceNet CSV",
}  # fmt: skip


def prediction_map(prediction: TilePrediction, config: VectorizeConfig) -> None:
    """Draw the map with image, ground truth, probability and prediction of a tile."""
    tile = prediction.tile
    layers = [item for item in tile_layers(tile) if item.key in ("image", "outlines")]
    if prediction.exists:
        base = ("predictions", prediction.run.name, tile.id)
        probability_url = layer_url(*base, "probability") + version(prediction.probability)
        verdicts_url = layer_url(*base, "verdicts.geojson") + _version(prediction, config)
        style = VERDICT_STYLE if tile.is_labeled else PREDICTION_STYLE
        bounds = images.map_bounds(prediction.probability)
        layers.append(MapLayer("probability", probability_url, "image", bounds, z=3))
        if prediction.has_distance:
            layers.append(MapLayer("depth", probability_url.replace("probability?", "depth?"), "image", bounds, z=3))
        layers.append(MapLayer("verdicts", verdicts_url, "vector", hover=True, style=style, shapes=True))
        layers.append(MapLayer("errors", verdicts_url + "&only=errors", "vector", hover=True, style=style))
        accepted_url = layer_url(*base, "accepted.geojson") + version(prediction.folder / REVIEW)
        layers.append(MapLayer("accepted", accepted_url, "vector", hover=True, style=PREDICTION_STYLE))
    rows = ("image", "outlines", "probability", "depth", "verdicts", "errors", "accepted")
    tile_map(layers, rows, state.map_focus(), tile.id, shape=state.selected_building(), key="predict")


def starter_note(run: Run) -> None:
    """Show the limits of the built-in model, with a button to train a better one."""
    if not is_starter(run):
        return
    st.info(
        "Built-in model, trained only on synthetic data. Not suited to real imagery; train on real tiles first.",
        icon=":material/school:",
    )  # fmt: skip
    if st.button("Train on real tiles", icon=":material/model_training:", width="stretch"):
        go_to("train")


def postprocessing_form(prediction: TilePrediction) -> VectorizeConfig:
    """Draw the vectorization settings, with the run's optimized thresholds as defaults; returns the config."""
    thresholds, key = prediction.thresholds, prediction.run.name
    defaults = thresholds.vectorize
    threshold = st.slider(
        "Probability threshold", 0.05, 0.95, defaults.threshold, 0.05,
        help="Default: tuned on validation data.", key=f"threshold {key}",
    )  # fmt: skip
    area_m2 = st.slider("Minimum building area (m²)", 0.0, 100.0, float(defaults.min_area_m2), 1.0, key=f"area {key}")
    saddle_ratio = _split_ratio_slider(defaults.saddle_ratio, key) if prediction.has_distance else 0.0
    simplify_px = st.slider(
        "Simplification tolerance (px)", 0.0, 5.0, float(defaults.simplify_px), 0.1,
        help="Corners closer than this to a straight edge are removed.", key=f"simplify {key}",
    )  # fmt: skip
    with st.container(horizontal=True):
        regularize = st.toggle(
            "Regularize footprints (right angles)",
            help="Squares the corners; the score uses the squared outlines.",
        )
        rescore = thresholds.rescorer is not None and st.toggle(
            "Filter likely false positives",
            help="Rescoring: removes footprints that are unlikely to be buildings, by their shape and pixels.",
        )
    config = defaults.with_changes(threshold, saddle_ratio, area_m2, regularize, rescore, simplify_px)
    raw = prediction.score(config.with_changes(regularize=False)) if config.regularize else None
    if raw is not None and raw.f1 is not None:
        st.caption(f"Before regularization: F1 {raw.f1:.3f}")
    return config


def _split_ratio_slider(default: float, key: str) -> float:
    return st.select_slider(
        "Split touching buildings (watershed split ratio)", _SPLIT_RATIOS,
        min(_SPLIT_RATIOS, key=lambda ratio: abs(ratio - default)), lambda ratio: f"{ratio:g}" if ratio else "off",
        help="Lower splits more, higher merges more.", key=f"seed {key}",
    )  # fmt: skip


def score_view(prediction: TilePrediction, config: VectorizeConfig | None = None) -> None:
    """Show counts of TP, FP and FN with F1; only the number of buildings without ground truth."""
    score, role = prediction.score(config), prediction.training_role
    if score is None:
        key_figures({"buildings predicted": number(len(prediction.footprints(config)))})
        st.caption("This tile has no labels, so there is no score.")
        return
    key_figures({"F1": f"{score.f1:.3f}" if score.f1 is not None else "not scored"})
    if not score.tp and score.fn:
        st.caption("No building detected. Train longer or on more tiles like this one.")
    legend = (
        (colors.TRUE_POSITIVE, "solid", "Correct (TP)", "TP", score.tp),
        (colors.FALSE_POSITIVE, "dashed", "False positive (FP)", "FP", score.fp),
        (colors.FALSE_NEGATIVE, "dotted", "Missed (FN)", "FN", score.fn),
    )
    rows = "".join(
        f'<tr title="{MEANINGS[kind]}"><td><span class="gp-key" style="border:2px {line} {color}"></span>{label}</td>'
        f"<td>{number(count)}</td></tr>"
        for color, line, label, kind, count in legend
    )
    st.html(f'<table class="gp-facts">{rows}</table>')
    table({"Precision": share(score.precision), "Recall": share(score.recall), "Tile used for": role})
    st.caption("SpaceNet metric: match at IoU > 0.5, buildings ≥ 20 px²")
    if role in TRAINING_ROLES:
        st.caption("This tile was in the training data, so the score is optimistic.")


def ground_truth_toggle(prediction: TilePrediction, config: VectorizeConfig) -> None:
    """Show ground truth and prediction of a tile as two linked images."""
    tile = prediction.tile
    prediction_url = page_url("predictions", prediction.run.name, tile.id, "outlines") + _version(prediction, config)
    views = [View(prediction_url, "Prediction", f"probability threshold {config.threshold:g}")]
    if tile.is_labeled:
        truth_url = page_url("tiles", tile.id, "outlines") + labels_version(tile) + "&pixels=1"
        views.insert(0, View(truth_url, "Ground truth", "labeled footprints"))
    linked_views(tile.id, views, tile.width, tile.height, key=f"beside {len(views)}")
    attribution(tile.attribution)


def _version(prediction: TilePrediction, config: VectorizeConfig) -> str:
    """Return the query string with version and vectorization config of a prediction."""
    return (
        labels_version(prediction.tile, prediction.probability, prediction.folder / REVIEW)
        + f"&t={config.threshold:g}&seed={config.saddle_ratio:g}&area={config.min_area_m2:g}"
        + f"&simplify={config.simplify_px:g}&square={config.regularize:d}&judged={config.rescore:d}"
    )


def prediction_downloads(prediction: TilePrediction, config: VectorizeConfig) -> None:
    """Draw download buttons for the footprints in every format and the probability."""
    st.markdown("**Export this tile**")
    columns = st.columns(2) * 4
    for column, (suffix, name) in zip(columns, FOOTPRINT_FORMATS.items(), strict=False):
        column.download_button(
            name, footprint_file(prediction, config, suffix), f"{prediction.tile.id}{suffix}", width="stretch",
            on_click="ignore", icon=":material/download:", key=f"take {suffix}",
        )  # fmt: skip
    columns[len(FOOTPRINT_FORMATS)].download_button(
        "Probability", _probability_file(prediction), f"{prediction.tile.id}_probability.tif", width="stretch",
        on_click="ignore", icon=":material/download:", help="Cloud-optimized GeoTIFF (COG)",
    )  # fmt: skip


def _probability_file(prediction: TilePrediction) -> Callable[[], bytes]:
    def make() -> bytes:
        with TemporaryDirectory() as folder:
            return write_raster(prediction, "probability", Path(folder) / "probability.tif").read_bytes()

    return make


def footprint_file(prediction: TilePrediction, config: VectorizeConfig, suffix: str) -> Callable[[], bytes]:
    """Return a function that writes the footprints of a tile in a format, for a download button.

    Args:
        prediction: The tile in view.
        config: Post-processing settings of the sliders.
        suffix: Suffix of the format.

    Returns:
        The function.
    """

    def make() -> bytes:
        info = raster.read_info(prediction.tile.image)
        # A temporary folder: the job's files keep their own threshold, and users do not get each other's files.
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"footprints{suffix}"
            return write_footprints(
                prediction.footprints(config), path, info.grid, provenance_of(prediction.run, prediction.tile, info)
            ).read_bytes()

    return make
