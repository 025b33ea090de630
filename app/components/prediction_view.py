"""A prediction on the map, its score in words, and its files."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from app import state
from app.components.inspector import attribution, big_numbers, table
from app.components.linked_views import View, linked_views
from app.components.text import number, share
from app.components.tile_map import (
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
from core import colours, pictures, rasters
from core.exports.footprints import write_footprints
from core.footprints import Shaping
from core.predicted import Predicted
from core.runs import Run
from core.scoring import Score
from core.starter import is_starter

_FORMATS = {".geojson": "GeoJSON", ".gpkg": "GeoPackage", ".parquet": "GeoParquet", ".csv": "SpaceNet CSV"}


def prediction_map(found: Predicted, shaping: Shaping) -> None:
    """Image, truth, probability and prediction of the chosen tile, each with its opacity."""
    tile = found.tile
    layers = [item for item in tile_layers(tile) if item.key in ("image", "outlines")]
    if found.exists:
        base = ("predictions", found.run.name, tile.id)
        heat = layer_url(*base, "probability") + version(found.probability)
        verdicts = layer_url(*base, "verdicts.geojson") + _state(found, shaping)
        style = VERDICT_STYLE if tile.is_labelled else PREDICTION_STYLE
        layers.append(MapLayer("probability", heat, "image", pictures.map_bounds(found.probability), z=3))
        layers.append(MapLayer("verdicts", verdicts, "vector", hover=True, style=style))
    tile_map(layers, ("image", "outlines", "probability", "verdicts"), state.focus(), tile.id, key="predict")


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
        st.switch_page("app/pages/train.py")


def shaping_box(found: Predicted) -> Shaping:
    """The sliders and switches that turn the probability into polygons; they begin as the run was tuned."""
    tuning = found.tuning
    threshold = st.slider(
        "Building from probability", 0.05, 0.95, tuning.shaping.threshold, 0.05,
        help="Begins where most buildings of the run's validation ground were found.",
        key=f"threshold {found.run.name}",
    )  # fmt: skip
    with st.container(horizontal=True):
        square = st.toggle(
            "Right angles", help="Outlines as somebody would draw them; the score below is theirs while this is on."
        )
        judged = tuning.judge is not None and st.toggle(
            "Second look", help="Leaves out footprints that are unlikely to be a building, going by shape and pixels."
        )
    shaping = tuning.shaping.changed(threshold, square=square, judged=judged)
    _as_traced(found, shaping)
    return shaping


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
        (colours.RIGHT, "solid", "found (TP)", score.tp),
        (colours.INVENTED, "dashed", "invented (FP)", score.fp),
        (colours.MISSED, "dotted", "missed (FN)", score.fn),
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
    if seen_before != "not trained on":
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
        labels_version(found.tile, found.probability)
        + f"&t={shaping.threshold:g}&square={shaping.square:d}&judged={shaping.judged:d}"
    )


def prediction_downloads(found: Predicted, shaping: Shaping) -> None:
    """The footprints in four formats and the probability."""
    st.markdown("**Take them home**")
    columns = st.columns(2) * 3
    for column, (suffix, name) in zip(columns, _FORMATS.items(), strict=False):
        column.download_button(
            name, _footprint_file(found, shaping, suffix), f"{found.tile.id}{suffix}", width="stretch",
            on_click="ignore", icon=":material/download:", key=f"take {suffix}",
        )  # fmt: skip
    columns[4].download_button(
        "Probability", found.probability.read_bytes, f"{found.tile.id}_probability.tif", width="stretch",
        on_click="ignore", icon=":material/download:",
    )  # fmt: skip


def _footprint_file(found: Predicted, shaping: Shaping, suffix: str) -> Callable[[], bytes]:
    def make() -> bytes:
        grid = rasters.describe(found.tile.image).grid
        # A folder of its own: the job's files stay those of its own threshold, and no visitor gets another's.
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"footprints{suffix}"
            return write_footprints(
                found.footprints(shaping), path, grid, found.tile.id, found.tile.attribution
            ).read_bytes()

    return make
