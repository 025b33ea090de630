"""The images that were brought: on their way to the map, or on it with what can be done to them."""

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import number, plain, safe
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, job_log, wait_for
from app.components.uploads.form import LATEST
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.errors import GroundplanError
from core.formatting import megabytes
from core.jobs.queue import Job
from core.settings import settings
from core.uploads.labels import FORMATS, put_labels
from core.uploads.upload import AOI, LONGEST_NAME, Upload, delete, rename, upload_jobs, uploads


def upload_list(quiet: bool) -> None:
    """All uploads, newest first; `quiet` where another button of the page is the main one."""
    st.subheader("Uploads")
    jobs, catalog = upload_jobs(), read_catalog()
    tiles = {tile.id: tile for tile in catalog.of_aoi(AOI).tiles}
    found = uploads()
    shown = [upload for upload in found if upload.id in jobs or upload.id in tiles]
    lost = [tile for tile in tiles.values() if tile.id not in {upload.id for upload in found}]
    for upload in shown:
        with st.container(border=True):
            if upload.id in tiles:
                _on_the_map(upload, tiles[upload.id], not quiet and st.session_state.get(LATEST) == upload.id)
            else:
                _on_its_way(upload, jobs[upload.id])
    for tile in lost:
        with st.container(border=True):
            st.html(f'<p class="gp-title">{safe(tile.title)}</p><p class="gp-sub">its folder is gone or damaged</p>')
            _delete(tile.id, tile.title)
    if not shown and not lost:
        st.write("Nothing was uploaded yet. An image that you add appears here and, once it is ready, on the map.")


def _on_its_way(upload: Upload, job: Job) -> None:
    if not job.state.is_over:
        wait_for(job.id)
        return
    job_card(job)
    job_log(job)
    with st.container(horizontal=True):
        if st.button("Try again", icon=":material/refresh:", key=f"again {upload.id}"):
            queue().submit("upload", {"upload": upload.id}, job.title)
            st.rerun()
        _delete_upload(upload)


def _on_the_map(upload: Upload, tile: Tile, main: bool) -> None:
    st.html(f'<p class="gp-title">{safe(tile.title)}</p><p class="gp-sub">{safe(_line(upload, tile))}</p>')
    with st.container(horizontal=True, gap="small"):
        if st.button(
            "Show it on the map", icon=":material/map:", key=f"show {tile.id}", type="primary" if main else "secondary"
        ):
            state.select(tile)
            go_to("explore")
        _rename(upload)
        _labels(upload, tile)
        _delete_upload(upload)


def _line(upload: Upload, tile: Tile) -> str:
    labels = "no labels" if tile.buildings is None else f"{number(tile.buildings)} buildings"
    return (
        f"{upload.file} · {number(tile.width)} × {number(tile.height)} px · {tile.bands} bands "
        f"{tile.dtype} · {number(tile.gsd_m, 'm')} · {labels} · {megabytes(upload.facts.size)}"
    )


def _rename(upload: Upload) -> None:
    with st.popover("Rename", icon=":material/edit:", key=f"rename box {upload.id}"):
        name = st.text_input("Name", upload.name, max_chars=LONGEST_NAME, key=f"title {upload.id} {upload.name}")
        if st.button("Rename it", key=f"rename {upload.id}", disabled=not name.strip()):
            rename(upload.id, name)
            st.rerun()


def _labels(upload: Upload, tile: Tile) -> None:
    words = "Replace labels" if tile.is_labelled else "Add labels"
    with st.popover(words, icon=":material/home_work:", key=f"labels box {upload.id}"):
        if tile.is_labelled:
            st.caption("The present labels are removed, and with them how far they were moved.")
        turn = f"labels turn {upload.id}"
        file = st.file_uploader(
            "Building footprints, GeoJSON or SpaceNet's CSV", type=[suffix[1:] for suffix in FORMATS],
            key=f"new labels {upload.id} {st.session_state.setdefault(turn, 0)}",
            max_upload_size=round(settings().max_vector_bytes / 1e6),
        )  # fmt: skip
        if st.button("Use these", key=f"label {upload.id}", disabled=file is None) and file is not None:
            try:
                put_labels(upload.id, file, file.name)
            except GroundplanError as problem:
                st.error(plain(str(problem)), icon=":material/error:")
                return
            st.session_state[turn] += 1
            st.rerun()


def _delete_upload(upload: Upload) -> None:
    is_copy = upload.source != str(upload.original)
    _delete(upload.id, upload.name, "The file on the server that it was made of stays." if is_copy else "")


def _delete(name: str, title: str, note: str = "") -> None:
    with st.popover("Delete", icon=":material/delete:", key=f"delete box {name}"):
        st.write(f"Deletes {plain(title)}: the image, its labels, and what was predicted on it.")
        if note:
            st.caption(note)
        if st.button("Delete it for good", key=f"delete {name}", icon=":material/delete_forever:"):
            try:
                delete(name)
            except GroundplanError as problem:
                st.error(plain(problem), icon=":material/error:")
                return
            st.rerun()
