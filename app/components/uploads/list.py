"""List of uploads: pending imports, and imported tiles with their actions."""

import streamlit as st

from app import state
from app.components.common.navigation import go_to
from app.components.common.text import counted, number, plain, safe
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, job_log, wait_for
from app.components.uploads.form import LATEST
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.errors import GroundplanError
from core.formatting import format_bytes
from core.jobs.queue import Job
from core.settings import settings
from core.uploads.labels import FORMATS, save_labels
from core.uploads.upload import AOI, MAX_NAME_LENGTH, Upload, delete, rename, upload_jobs, uploads


def upload_list(quiet: bool) -> None:
    """Show all uploads, newest first; `quiet` leaves the primary button to another part of the page."""
    st.subheader("Uploads")
    jobs, catalog = upload_jobs(), read_catalog()
    tiles = {tile.id: tile for tile in catalog.of_aoi(AOI).tiles}
    all_uploads = uploads()
    visible = [upload for upload in all_uploads if upload.id in jobs or upload.id in tiles]
    missing = [tile for tile in tiles.values() if tile.id not in {upload.id for upload in all_uploads}]
    for upload in visible:
        with st.container(border=True):
            if upload.id in tiles:
                _imported_upload(upload, tiles[upload.id], not quiet and st.session_state.get(LATEST) == upload.id)
            else:
                _pending_upload(upload, jobs[upload.id])
    for tile in missing:
        with st.container(border=True):
            st.html(f'<p class="gp-title">{safe(tile.title)}</p><p class="gp-sub">Files missing</p>')
            _delete(tile.id, tile.title)
    if not visible and not missing:
        st.write("No uploads yet. Added images appear here and, once converted, on the map.")


def _pending_upload(upload: Upload, job: Job) -> None:
    if not job.state.is_over:
        wait_for(job.id)
        return
    job_card(job)
    job_log(job)
    with st.container(horizontal=True):
        if st.button("Retry", icon=":material/refresh:", key=f"again {upload.id}"):
            queue().submit("upload", {"upload": upload.id}, job.title)
            st.rerun()
        _delete_upload(upload)


def _imported_upload(upload: Upload, tile: Tile, is_primary: bool) -> None:
    st.html(f'<p class="gp-title">{safe(tile.title)}</p><p class="gp-sub">{safe(_summary(upload, tile))}</p>')
    with st.container(horizontal=True, gap="small"):
        if st.button(
            "View on map", icon=":material/map:", key=f"show {tile.id}", type="primary" if is_primary else "secondary"
        ):
            state.select(tile)
            go_to("explore")
        _rename(upload)
        _labels(upload, tile)
        _delete_upload(upload)


def _summary(upload: Upload, tile: Tile) -> str:
    labels = "no labels" if tile.buildings is None else counted(tile.buildings, "building")
    return (
        f"{upload.file} · {number(tile.width)} × {number(tile.height)} px · {tile.bands} bands "
        f"{tile.dtype} · {number(tile.gsd_m, 'm')} · {labels} · {format_bytes(upload.facts.size)}"
    )


def _rename(upload: Upload) -> None:
    with st.popover("Rename", icon=":material/edit:", key=f"rename box {upload.id}"):
        name = st.text_input("Name", upload.name, max_chars=MAX_NAME_LENGTH, key=f"title {upload.id} {upload.name}")
        if st.button("Save name", key=f"rename {upload.id}", disabled=not name.strip()):
            rename(upload.id, name)
            st.rerun()


def _labels(upload: Upload, tile: Tile) -> None:
    label = "Replace labels" if tile.is_labeled else "Add labels"
    with st.popover(label, icon=":material/home_work:", key=f"labels box {upload.id}"):
        if tile.is_labeled:
            st.caption("The current labels and their offset are removed.")
        reset_key = f"labels turn {upload.id}"
        file = st.file_uploader(
            "Building footprints (GeoJSON or SpaceNet CSV)", type=[suffix[1:] for suffix in FORMATS],
            key=f"new labels {upload.id} {st.session_state.setdefault(reset_key, 0)}",
            max_upload_size=round(settings().max_vector_bytes / 1e6),
        )  # fmt: skip
        if st.button("Apply labels", key=f"label {upload.id}", disabled=file is None) and file is not None:
            try:
                save_labels(upload.id, file, file.name)
            except GroundplanError as problem:
                st.error(plain(str(problem)), icon=":material/error:")
                return
            st.session_state[reset_key] += 1
            st.rerun()


def _delete_upload(upload: Upload) -> None:
    is_copy = upload.source != str(upload.original)
    _delete(upload.id, upload.name, "The source file on the server is kept." if is_copy else "")


def _delete(name: str, title: str, note: str = "") -> None:
    with st.popover("Delete", icon=":material/delete:", key=f"delete box {name}"):
        st.write(f"Deletes {plain(title)}: the image, its labels and its predictions. This cannot be undone.")
        if note:
            st.caption(note)
        if st.button("Delete permanently", key=f"delete {name}", icon=":material/delete_forever:"):
            try:
                delete(name)
            except GroundplanError as problem:
                st.error(plain(problem), icon=":material/error:")
                return
            st.rerun()
