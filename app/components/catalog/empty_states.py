"""Empty states: why a page is empty, and the button that fills it."""

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, wait_for
from core.catalog.tile import Tile
from core.jobs.queue import Job
from core.spacenet.bucket import is_in_bucket


def empty_catalog() -> None:
    """Empty state of a catalog without tiles: create the sample city, download, upload, or register a folder."""
    st.subheader("No tiles yet")
    st.write(
        "The catalog has no satellite tiles, so there is nothing to show or to train on. "
        "Create a synthetic sample city (24 tiles, 30 s):"
    )
    job = next(iter(queue().jobs(task="sample")), None)
    if job is not None and not job.state.is_over:
        wait_for(job.id)
    else:
        _sample_city_button(job)
    st.write("Or use real imagery:")
    with st.container(horizontal=True):
        if st.button("Download SpaceNet tiles", icon=":material/cloud_download:"):
            go_to("get_tiles")
        if st.button("Upload an image", icon=":material/upload:"):
            go_to("upload")
    st.write("Register a local SpaceNet folder:")
    st.code("python -m core catalog add FOLDER", language="bash")


def _sample_city_button(failed: Job | None) -> None:
    if failed is not None and failed.error:
        job_card(failed)
    if st.button("Create sample city", type="primary", icon=":material/location_city:"):
        queue().submit("sample", {}, "Sample city")
        st.rerun()


def not_downloaded(tile: Tile) -> None:
    """Empty state of a tile without an image, with a download button if SpaceNet has it."""
    if tile.is_downloaded:
        st.write("The image of this tile was moved or deleted.")
    else:
        st.write("Not downloaded yet. Only its location is known.")
    if not is_in_bucket(tile.aoi):
        st.write("Register the folder with its files: `python -m core catalog add FOLDER`.")
        return
    st.write("Image and labels are available from SpaceNet (AWS).")
    if st.button("Download this tile", type="primary", width="stretch", icon=":material/cloud_download:"):
        state.request_tiles([tile])
        go_to("get_tiles")


def nothing_labelled() -> None:
    """Empty state of a catalog without labeled tiles."""
    st.subheader("No labeled tiles yet")
    st.write(
        "No tile has building footprints, so there is nothing to train on. Put the GeoJSON of a tile next to its "
        "image and register the folder again:"
    )
    st.code("python -m core catalog add FOLDER", language="bash")


def no_runs() -> None:
    """Empty state without a trained model."""
    st.subheader("No trained model yet")
    st.write("Train a model to predict buildings. The *Quick* preset takes two minutes.")
    if st.button("Train a model", type="primary", icon=":material/model_training:"):
        go_to("train")
