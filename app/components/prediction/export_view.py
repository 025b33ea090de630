"""Everything that can be taken home: this tile's files at once, larger things as jobs whose files are fetched here."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import counted, plain
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, wait_for
from app.components.prediction.prediction_view import FOOTPRINT_FORMATS, prediction_downloads
from core.catalog.tile import Tile
from core.exports.datasets.writer import FORMATS
from core.exports.rasters import LAYERS
from core.inference.tile_prediction import Predicted
from core.jobs.queue import State
from core.postprocessing.config import Shaping
from core.review.decisions import Review
from core.review.reviewed_labels import as_labels
from core.runs.metadata import title_of
from core.runs.run import Run
from core.tasks.export import file_of, submit_export

_KINDS = {"raw": "as predicted", "square": "with right angles", "accepted": "accepted ones"}
_CHIPS = {0: "whole tiles", 256: "256 px", 512: "512 px"}


def take_home(found: Predicted, shaping: Shaping, tiles: Sequence[Tile]) -> None:
    """This tile, then its area, the network, a training set and the report."""
    prediction_downloads(found, shaping)
    _accepted(found)
    run, area = found.run, plain(found.tile.aoi)
    names = [tile.id for tile in tiles]
    st.markdown(f"**The whole area**, {area}")
    kind_side, suffix_side = st.columns(2)
    kind = kind_side.selectbox("Footprints", _KINDS, format_func=_KINDS.__getitem__)
    suffix = suffix_side.selectbox("As", FOOTPRINT_FORMATS, format_func=FOOTPRINT_FORMATS.__getitem__)
    aoi = found.tile.aoi
    shaped = {"tiles": names, "shaping": asdict(shaping)}
    _offer("footprints", run, shaped | {"kind": kind, "file": f"{aoi}{suffix}"}, "Footprints of the area")
    _offer("report", run, shaped | {"file": f"{aoi}-report.html"}, "Report for people who were not there")
    layers = st.multiselect("Layers", LAYERS, ["probability", "predicted"], lambda name: LAYERS[name].title)
    if layers:
        chosen = {"tiles": names, "layers": layers, "file": f"{aoi}-rasters.zip"}
        _offer("rasters", run, chosen, "Layers of the area, as cloud-optimised GeoTIFFs")
    st.markdown("**For other programs**")
    _offer("network", run, {"file": "network.zip"}, "Network: ONNX for QGIS, LiteRT, SavedModel, card")
    format_side, chip_side = st.columns(2)
    into = format_side.selectbox("Training set as", FORMATS, format_func=lambda name: FORMATS[name].title)
    chip = chip_side.selectbox("Pictures of", _CHIPS, format_func=_CHIPS.__getitem__)
    labelled = [tile.id for tile in tiles if tile.is_labelled]
    params = {"tiles": labelled, "kind": into, "chip": chip, "file": f"{aoi}-{into}.zip"}
    _offer("set", run, params, f"Training set of {counted(len(labelled), 'labelled tile')}")


def _accepted(found: Predicted) -> None:
    count = Review.of(found.folder).counts()["accepted"]
    if not count:
        return
    if st.button(
        f"Train on the {counted(count, 'accepted building')}", icon=":material/model_training:",
        help="Puts this tile into the catalogue once more, with the accepted buildings as its labels.",
    ):  # fmt: skip
        state.fill_basket([as_labels(found).id])
        go_to("train")


def _offer(what: str, run: Run, params: dict[str, Any], words: str) -> None:
    """A button that makes the file; its progress; then the file."""
    asked = {"run": run.name, **params}
    jobs = queue().jobs(limit=200, task="export")
    last = next((job for job in jobs if job.params["what"] == what and asked.items() <= job.params.items()), None)
    if last is not None and not last.state.is_over:
        wait_for(last.id)
        return
    if last is not None and last.state is State.DONE and file_of(last).is_file():
        file = file_of(last)
        st.download_button(
            f"Fetch {file.name}", file.read_bytes, file.name, icon=":material/download:", width="stretch",
            on_click="ignore", key=f"fetch {last.id}",
        )  # fmt: skip
        words = "Make it again"
    elif last is not None and last.error:
        job_card(last)
    if st.button(words, icon=":material/archive:", width="stretch", key=f"export {what}"):
        submit_export(what, asked, f"{words}, {title_of(run)}", queue())
        st.rerun()
