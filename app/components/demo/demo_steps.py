"""Steps of the guided demo: imagery, ground truth, targets, detection, accuracy, export."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from app import state
from app.components.catalog.empty_states import empty_catalog, no_runs
from app.components.catalog.label_views import label_views
from app.components.catalog.tile_inspector import attribution, key_figures, tile_name
from app.components.common.navigation import go_to
from app.components.common.text import duration, number, plain
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, wait_for
from app.components.map.tile_map import grid_url, tile_layers, tile_map
from app.components.prediction.prediction_view import footprint_file, prediction_map, score_view
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.inference.tile_prediction import TilePrediction, tile_prediction
from core.jobs.queue import HIGH, State
from core.runs.metadata import display_name, not_archived
from core.runs.run import Run, usable_runs
from core.settings import settings

_STEP = "demo"


@dataclass(frozen=True)
class Step:
    """Step of the demo."""

    title: str
    caption: str
    show: Callable[[Catalog], None]


def demo(catalog: Catalog) -> None:
    """Show the demo step of the URL, with buttons to the next and previous step."""
    if not catalog.labeled.tiles:
        empty_catalog()
        return
    text = st.query_params.get(_STEP, "1")
    step_index = min(max(int(text) if text.isdecimal() and len(text) < 3 else 1, 1), len(STEPS)) - 1
    step = STEPS[step_index]
    text_side, buttons_side = st.columns([3, 2], vertical_alignment="bottom")
    with text_side:
        st.subheader(step.title)
        st.write(step.caption)
    with buttons_side.container(horizontal=True, horizontal_alignment="right"):
        _step_buttons(step_index)
    st.progress((step_index + 1) / len(STEPS), text=f"Step {step_index + 1} of {len(STEPS)}")
    step.show(catalog)


def _step_buttons(step_index: int) -> None:
    """Draw the Restart, Back and Next buttons."""
    if st.button("Restart", icon=":material/restart_alt:", disabled=not step_index):
        _go_to_step(0)
    if st.button("Back", icon=":material/arrow_back:", disabled=not step_index):
        _go_to_step(step_index - 1)
    if st.button("Next", type="primary", icon=":material/arrow_forward:", disabled=step_index + 1 == len(STEPS)):
        _go_to_step(step_index + 1)


def _go_to_step(step: int) -> None:
    st.query_params[_STEP] = str(step + 1)
    st.rerun()


def _tile(catalog: Catalog) -> Tile:
    """Return the selected tile if it is labeled, else the default tile."""
    tile = state.selected_tile(catalog)
    return tile if tile.is_labeled and tile.is_readable else catalog.labeled.default_tile


def _run(tile: Tile) -> Run | None:
    """Return the newest run that was not trained on the tile, else the newest."""
    runs = not_archived(usable_runs(settings().runs))
    compatible = [run for run in runs if run.record.bands == 3 or tile.eight_bands]
    return next((run for run in compatible if run.role_of(tile.id) != "train"), compatible[0] if compatible else None)


def _imagery(catalog: Catalog) -> None:
    tiles = catalog.labeled.tiles
    key_figures(
        {
            "tiles": number(len(catalog.tiles)), "with labels": number(len(tiles)),
            "buildings": number(sum(tile.buildings or 0 for tile in tiles)),
        }
    )  # fmt: skip
    tile = _tile(catalog)
    tile_map(tile_layers(tile)[:1], ("image",), state.map_focus(), tile.id, grid_url(), key="demo ground", height=460)


def _ground_truth(catalog: Catalog) -> None:
    tile = _tile(catalog)
    tile_name(tile)
    layers = [item for item in tile_layers(tile) if item.key in ("image", "outlines")]
    tile_map(layers, ("image", "outlines"), state.map_focus(), tile.id, key="demo truth", height=460)


def _detection(catalog: Catalog) -> None:
    tile = _tile(catalog)
    run = _run(tile)
    if run is None:
        no_runs()
        return
    record = run.record
    use = {"new": "not used in training", "validation": "used for validation"}
    role = use.get(run.role_of(tile.id), "used in training")
    key_figures(
        {
            "parameters": number(record.parameters), "training tiles": number(len(record.train_tiles)),
            "minutes of training": f"{run.metrics()['seconds'].sum() / 60:.1f}",
        }
    )  # fmt: skip
    st.caption(f"{plain(display_name(run))}, trained on {plain(record.device)}. This tile was {role}.")
    _ensure_predicted(tile_prediction(run.name, tile.id))


def _ensure_predicted(prediction: TilePrediction) -> bool:
    """Tell whether the tile is predicted; if not, queue its prediction."""
    jobs = queue().jobs(task="predict")
    params = {"run": prediction.run.name, "tile": prediction.tile.id}
    job = next((queued for queued in jobs if params.items() <= queued.params.items()), None)
    if prediction.exists:
        elapsed = ""
        if job is not None and job.state is State.DONE and job.started and job.finished:
            elapsed = f" in {duration((job.finished - job.started).total_seconds())}"
        st.success(f"Detection finished{elapsed}. *Next* shows the result.")
        return True
    if job is not None and job.state.is_over:
        job_card(job)
        if st.button("Retry", icon=":material/refresh:"):
            _submit(params)
    elif job is not None:
        wait_for(job.id)
    else:
        _submit(params)
    return False


def _submit(params: dict[str, str]) -> None:
    queue().submit("predict", params, f"Predict {params['tile']}", HIGH)
    st.rerun()


def _ready_prediction(catalog: Catalog) -> TilePrediction | None:
    """Return the prediction of the tile; None while it is computed."""
    tile = _tile(catalog)
    run = _run(tile)
    if run is None:
        no_runs()
        return None
    prediction = tile_prediction(run.name, tile.id)
    return prediction if prediction.exists or _ensure_predicted(prediction) else None


def _score(catalog: Catalog) -> None:
    prediction = _ready_prediction(catalog)
    if prediction is None:
        return
    map_side, facts = st.columns([2, 1], gap="medium")
    with map_side:
        prediction_map(prediction, prediction.thresholds.vectorize)
    with facts:
        score_view(prediction)


def _export(catalog: Catalog) -> None:
    prediction = _ready_prediction(catalog)
    if prediction is None:
        return
    buildings = prediction.footprints()
    key_figures(
        {"buildings": number(len(buildings)), "total footprint area": number(float(buildings.area_m2.sum()), "m²")}
    )
    with st.container(horizontal=True):
        st.download_button(
            "GeoPackage for QGIS", footprint_file(prediction, prediction.thresholds.vectorize, ".gpkg"),
            f"{prediction.tile.id}.gpkg",
            icon=":material/download:", on_click="ignore", type="primary",
        )  # fmt: skip
        if st.button("Open in Predict", icon=":material/home_pin:"):
            go_to("predict")
        if st.button("Train on real tiles", icon=":material/model_training:"):
            go_to("train")
    st.caption(
        "*Open in Predict* has more: other formats, thresholds, review of each building, worst tiles and a report."
    )
    attribution(prediction.tile.attribution)


STEPS = (
    Step("Imagery", "Each square is one satellite image tile. Select one, or continue with this one.", _imagery),
    Step("Ground truth", "The labeled building footprints of this tile. A model is trained on them.", _ground_truth),
    Step(
        "Training targets",
        "Footprints become a binary mask and the signed distance to the nearest building edge (m).",
        lambda catalog: label_views(_tile(catalog), ("image", "outlines", "mask", "distance")),
    ),
    Step("Detection", "A segmentation model detects the buildings of this tile, on this machine.", _detection),
    Step(
        "Accuracy",
        "Predicted footprints compared to the ground truth: correct, false positive or missed.",
        _score,
    ),
    Step("Export", "The footprints are a file that opens in QGIS.", _export),
)
