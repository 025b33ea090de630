"""What is on every page: navigation, style sheet, and the chip that says what the worker does."""

from contextlib import suppress

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from app import login
from app.assets import ASSETS
from app.components.common.login import log_in_first
from app.components.common.navigation import leave
from app.components.common.text import number, plain
from core.jobs.queue import Queue, State
from core.settings import settings

_PAGES = {
    "explore": ("Explore", "map"),
    "labels": ("Labels", "layers"),
    "train": ("Train", "model_training"),
    "predict": ("Predict", "home_pin"),
    "compare": ("Compare", "compare"),
    "get_tiles": ("Get tiles", "cloud_download"),
    "upload": ("Upload", "upload"),
    "demo": ("Demo", "slideshow"),
}


def frame() -> None:
    """Style, navigation and status chip around the page that was asked for."""
    st.set_page_config(page_title="Groundplan", page_icon=str(ASSETS / "icon.png"), layout="wide")
    st.html(ASSETS / "frame.css")
    page = st.navigation(
        [
            st.Page(f"app/pages/{name}.py", title=title, icon=f":material/{icon}:", default=name == "explore")
            for name, (title, icon) in _PAGES.items()
        ],
        position="top" if login.is_logged_in() else "hidden",
    )
    log_in_first()
    if not leave():
        _chip()
        with suppress(StopException):  # else Streamlit keeps the boxes of the page before, and draws them into this one
            page.run()


@st.fragment(run_every=3)
def _chip() -> None:
    queue = Queue(settings().queue)
    alive = [worker for worker in queue.workers() if worker.alive]
    queued = queue.count(State.QUEUED)
    busy = next((worker for worker in alive if worker.busy_with is not None), None)
    device = next((worker.device for worker in alive if worker.device), None)
    if not alive:
        colour, words = "#F85149", "no worker"
    elif busy:
        colour, words = "#E69F00", f"job {busy.busy_with} running"
    else:
        colour, words = "#2EA043", "worker idle"
    parts = [words, *([device.split(",")[0]] if device else []), f"{number(queued)} queued"]
    title = "Start one with `python -m core worker`" if not alive else "Opens Train"
    with st.container(key="gp-chip", horizontal=True, vertical_alignment="center", gap=None):
        st.html(f'<span class="gp-dot" style="background:{colour}"></span>', width="content")
        st.page_link("app/pages/train.py", label=plain(" · ".join(parts)), help=title)
