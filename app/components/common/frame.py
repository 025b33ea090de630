"""Frame of every page: name and logo, navigation, style sheet, and worker status."""

from contextlib import suppress

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from app import login
from app.assets import ASSETS
from app.components.common.login import require_login
from app.components.common.navigation import follow_pending_link
from app.components.common.text import counted, plain, share
from core.errors import NoSuchJob
from core.jobs.folder import JobFolder
from core.jobs.queue import Queue, State
from core.settings import settings

_PAGES = {
    "explore": ("Explore", "map"),
    "labels": ("Labels", "layers"),
    "train": ("Train", "model_training"),
    "predict": ("Predict", "home_pin"),
    "compare": ("Compare", "compare"),
    "get_tiles": ("Download tiles", "cloud_download"),
    "upload": ("Upload", "upload"),
    "demo": ("Demo", "slideshow"),
}
#: Status of the worker while it runs a job, by task.
_TASK_LABELS = {
    "train": "Training", "predict": "Predicting", "predict_tiles": "Predicting", "combine": "Building ensemble",
    "fetch": "Downloading", "upload": "Importing", "sample": "Creating sample city", "export": "Exporting",
}  # fmt: skip
_BRAND = '<p class="gp-brand"><b>Groundplan</b><span>Building footprints from satellite imagery</span></p>'


def frame() -> None:
    """Draw style sheet, name, navigation and worker status, then run the requested page."""
    # Before the navigation: else the browser loads the page's icon from Google for the tab.
    st.set_page_config(page_icon=str(ASSETS / "icon.png"), layout="wide")
    page = st.navigation(
        [
            st.Page(f"app/pages/{name}.py", title=title, icon=f":material/{icon}:", default=name == "explore")
            for name, (title, icon) in _PAGES.items()
        ],
        position="top" if login.is_logged_in() else "hidden",
    )
    st.set_page_config(page_title=f"{page.title} · Groundplan")
    st.html(ASSETS / "frame.css")
    st.logo(str(ASSETS / "logo.svg"), size="large")
    st.html(_BRAND)
    require_login()
    if not follow_pending_link():
        _worker_status()
        with suppress(StopException):  # otherwise fragments of the previous page draw into this one
            page.run()


@st.fragment(run_every=3)
def _worker_status() -> None:
    queue = Queue(settings().queue)
    workers = [worker for worker in queue.workers() if worker.alive]
    queued = queue.count(State.QUEUED)
    busy_worker = next((worker for worker in workers if worker.busy_with is not None), None)
    device = next((worker.device for worker in workers if worker.device), None)
    if not workers:
        color, label = "#F85149", "Worker offline"
    elif busy_worker and busy_worker.busy_with is not None:
        color, label = "#E69F00", _task_progress(queue, busy_worker.busy_with)
    else:
        color, label = "#2EA043", " · ".join(["Ready", *([_kind(device)] if device else [])])
    details = f"{counted(queued, 'job')} queued{f'. Device: {plain(device)}' if device else ''}"
    title = f"Open the job queue. {details}" if workers else "Start a worker with `python -m core worker`"
    with st.container(key="gp-chip", horizontal=True, vertical_alignment="center", gap=None):
        st.html(f'<span class="gp-dot" style="background:{color}"></span>', width="content")
        st.page_link("app/pages/train.py", label=plain(label), help=title)


def _kind(device: str) -> str:
    """Shorten the name of a device to its kind: CPU, GPU or 2 GPUs."""
    name_parts = device.split()
    return " ".join(name_parts[: 2 if name_parts[0].isdigit() else 1])


def _task_progress(queue: Queue, job_id: int) -> str:
    """Format task and progress of the worker, such as "Training (45 %)"."""
    progress = JobFolder.of(job_id).progress()
    try:
        label = _TASK_LABELS.get(queue.get(job_id).task, f"Job {job_id}")
    except NoSuchJob:  # deleted in the meantime
        label = f"Job {job_id}"
    return f"{label} ({share(progress.share)})" if progress else label
