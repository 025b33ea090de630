"""Server inbox: images too large for a browser upload, copied to a folder of the server."""

import streamlit as st

from app.components.common.text import plain, safe
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, wait_for
from core.formatting import format_bytes
from core.jobs.queue import Job
from core.settings import settings
from core.uploads.inbox import InboxFile, inbox
from core.uploads.upload import uploads


def inbox_list() -> None:
    """Show the files in the inbox, each with an import button; the files are kept."""
    st.markdown("**Server inbox**")
    st.caption(f"For large files: GeoTIFFs copied to this folder on the server appear here: {plain(settings().inbox)}")
    imported = {upload.source for upload in uploads()}
    jobs = {job.params.get("inbox"): job for job in reversed(queue().jobs(limit=200, task="upload"))}
    for file in inbox():
        _inbox_row(file, jobs.get(file.name), str(file.path) in imported)


def _inbox_row(file: InboxFile, job: Job | None, is_imported: bool) -> None:
    if job is not None and not job.state.is_over:
        wait_for(job.id)
        return
    if job is not None and job.error:
        job_card(job)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(
            f"{safe(file.name)} · {format_bytes(file.size)}{' · on the map' if is_imported else ''}", width="stretch"
        )
        label = "Re-import" if is_imported else "Import"
        if st.button(label, key=f"take in {file.name}", icon=":material/move_to_inbox:"):
            queue().submit("upload", {"inbox": file.name}, f"Import {file.name}")
            st.rerun()
