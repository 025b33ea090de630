"""Images too large for a browser, which somebody copied into a folder of the server."""

import streamlit as st

from app.components.common.text import plain, safe
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, wait_for
from core.formatting import megabytes
from core.jobs.queue import Job
from core.settings import settings
from core.uploads.inbox import Waiting, inbox
from core.uploads.upload import uploads


def inbox_list() -> None:
    """The files in the inbox, each with a button that makes a tile of it; the files themselves stay."""
    st.markdown("**Larger files**")
    st.caption(f"GeoTIFFs that are copied into this folder on the server appear here: {plain(settings().inbox)}")
    taken = {upload.source for upload in uploads()}
    jobs = {job.params.get("inbox"): job for job in reversed(queue().jobs(limit=200, task="upload"))}
    for file in inbox():
        _one(file, jobs.get(file.name), str(file.path) in taken)


def _one(file: Waiting, job: Job | None, taken: bool) -> None:
    if job is not None and not job.state.is_over:
        wait_for(job.id)
        return
    if job is not None and job.error:
        job_card(job)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(f"{safe(file.name)} · {megabytes(file.size)}{' · on the map' if taken else ''}", width="stretch")
        words = "Take in again" if taken else "Take in"
        if st.button(words, key=f"take in {file.name}", icon=":material/move_to_inbox:"):
            queue().submit("upload", {"inbox": file.name}, f"Take in {file.name}")
            st.rerun()
