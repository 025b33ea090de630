"""Export: files of a tile as direct downloads, and larger exports as jobs."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import counted, number, plain
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, wait_for
from app.components.prediction.prediction_view import FOOTPRINT_FORMATS, prediction_downloads
from core.catalog.tile import Tile
from core.compat import to_stored
from core.exports.datasets.writer import FORMATS
from core.exports.rasters import LAYERS
from core.inference.tile_prediction import TilePrediction
from core.jobs.queue import State
from core.postprocessing.config import VectorizeConfig
from core.review.decisions import Review
from core.review.reviewed_labels import register_accepted
from core.runs.metadata import display_name
from core.runs.run import Run
from core.tasks.export import result_path, submit_export

_FOOTPRINT_KINDS = {"raw": "raw", "square": "regularized", "accepted": "accepted only"}
_CHIPS = {0: "whole tiles", 256: "256 px", 512: "512 px"}


def export_view(prediction: TilePrediction, config: VectorizeConfig, tiles: Sequence[Tile]) -> None:
    """Offer exports of this tile, of its area, of the model, of a training dataset and of the report.

    Args:
        prediction: The tile in view.
        config: Post-processing settings of the sliders.
        tiles: Tiles of the area.
    """
    prediction_downloads(prediction, config)
    _retrain_button(prediction)
    run, area = prediction.run, plain(prediction.tile.aoi)
    tile_ids = [tile.id for tile in tiles]
    st.markdown(f"**All tiles of {area}**")
    kind_side, suffix_side = st.columns(2)
    kind = kind_side.selectbox("Footprints", _FOOTPRINT_KINDS, format_func=_FOOTPRINT_KINDS.__getitem__)
    suffix = suffix_side.selectbox("Format", FOOTPRINT_FORMATS, format_func=FOOTPRINT_FORMATS.__getitem__)
    aoi = prediction.tile.aoi
    shared = {"tiles": tile_ids, "shaping": to_stored(config)}
    footprint_params = shared | {"kind": kind, "file": f"{aoi}{suffix}"}
    _export_button("footprints", run, footprint_params, "Footprints of all tiles")
    _export_button("report", run, shared | {"file": f"{aoi}-report.html"}, "Summary report (HTML)")
    layers = st.multiselect("Layers", LAYERS, ["probability", "predicted"], lambda name: LAYERS[name].title)
    if layers:
        raster_params = {"tiles": tile_ids, "layers": layers, "file": f"{aoi}-rasters.zip"}
        _export_button("rasters", run, raster_params, "Rasters (COG)")
    st.markdown("**Model and training data**")
    _export_button("network", run, {"file": "network.zip"}, "Model: ONNX, LiteRT, SavedModel + model card")
    format_side, chip_side = st.columns(2)
    dataset_format = format_side.selectbox("Dataset format", FORMATS, format_func=lambda name: FORMATS[name].title)
    chip = chip_side.selectbox("Chip size", _CHIPS, format_func=_CHIPS.__getitem__)
    labeled = [tile.id for tile in tiles if tile.is_labeled]
    dataset_params = {"tiles": labeled, "kind": dataset_format, "chip": chip, "file": f"{aoi}-{dataset_format}.zip"}
    _export_button("set", run, dataset_params, f"Dataset of {counted(len(labeled), 'labeled tile')}")


def _retrain_button(prediction: TilePrediction) -> None:
    count = Review.of(prediction.folder).counts()["accepted"]
    if not count:
        return
    if st.button(
        f"Retrain on accepted buildings ({number(count)})", icon=":material/model_training:",
        help="Adds a copy of this tile to the catalog, with the accepted buildings as labels.",
    ):  # fmt: skip
        state.set_selection([register_accepted(prediction).id])
        go_to("train")


def _export_button(kind: str, run: Run, params: dict[str, Any], label: str) -> None:
    """Draw the button that submits an export job, its progress, then the download button."""
    job_params, button_label = {"run": run.name, **params}, label
    jobs = queue().jobs(limit=200, task="export")
    last = next((job for job in jobs if job.params["what"] == kind and job_params.items() <= job.params.items()), None)
    if last is not None and not last.state.is_over:
        wait_for(last.id)
        return
    if last is not None and last.state is State.DONE and result_path(last).is_file():
        file = result_path(last)
        st.download_button(
            f"Download {file.name}", file.read_bytes, file.name, icon=":material/download:", width="stretch",
            on_click="ignore", key=f"fetch {last.id}",
        )  # fmt: skip
        button_label = "Regenerate"
    elif last is not None and last.error:
        job_card(last)
    if st.button(button_label, icon=":material/archive:", width="stretch", key=f"export {kind}"):
        submit_export(kind, job_params, f"{label}, {display_name(run)}", queue())
        st.rerun()
