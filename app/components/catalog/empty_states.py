"""What a page shows when there is nothing to show: what it is, why it is empty, and the button that fills it."""

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, wait_for
from core.catalog.tile import Tile
from core.jobs.queue import Job
from core.spacenet.bucket import is_in_bucket


def empty_catalog() -> None:
    """No tiles yet: make the sample city with a button, or add real ones from a folder."""
    st.subheader("No tiles yet")
    st.write(
        "The catalogue holds no satellite tiles, so there is nothing to look at or to train on. "
        "The sample city (24 tiles made by the program) takes half a minute:"
    )
    job = next(iter(queue().jobs(task="sample")), None)
    if job is not None and not job.state.is_over:
        wait_for(job.id)
    else:
        _offer(job)
    st.write("Or start with real ones:")
    with st.container(horizontal=True):
        if st.button("Get SpaceNet tiles", icon=":material/cloud_download:"):
            go_to("get_tiles")
        if st.button("Upload an image", icon=":material/upload:"):
            go_to("upload")
    st.write("Tiles in any SpaceNet layout that lie on this machine come in with")
    st.code("python -m core catalog add FOLDER", language="bash")


def _offer(failed: Job | None) -> None:
    if failed is not None and failed.error:
        job_card(failed)
    if st.button("Make the sample city", type="primary", icon=":material/location_city:"):
        queue().submit("sample", {}, "Sample city")
        st.rerun()


def not_downloaded(tile: Tile) -> None:
    """A tile whose image is not on this machine: lead to its download, where there is one."""
    if tile.is_here:
        st.write("The catalogue still lists this tile, but its image was moved or deleted.")
    else:
        st.write("Only the place of this tile is known so far.")
    if not is_in_bucket(tile.aoi):
        st.write("Add the folder that holds its files with `python -m core catalog add FOLDER`.")
        return
    st.write("Its image and its labels lie in SpaceNet's public bucket.")
    if st.button("Get this tile", type="primary", width="stretch", icon=":material/cloud_download:"):
        state.get_these([tile])
        go_to("get_tiles")


def nothing_labelled() -> None:
    """Tiles, but none to learn from."""
    st.subheader("No labelled tiles yet")
    st.write(
        "None of the tiles has building footprints, so there is nothing to train on. Put a tile's GeoJSON beside its "
        "image and add the folder again:"
    )
    st.code("python -m core catalog add FOLDER", language="bash")


def no_runs() -> None:
    """No trained network yet: lead to training."""
    st.subheader("No trained network yet")
    st.write("A network has to be trained before it can predict buildings. *Quick look* takes two minutes.")
    if st.button("Train one", type="primary", icon=":material/model_training:"):
        go_to("train")
