"""Warm-up of the server at its start, so that the first page view is fast.

It imports libraries, and uses those that import more at their first use. `streamlit_folium` and its users are left out:
Streamlit registers that component only while the server runs.
"""

import gc
from contextlib import suppress

import altair as alt
import folium.plugins  # noqa: F401
import pandas as pd
import streamlit.emojis  # noqa: F401
from PIL import Image

from core.catalog import register  # noqa: F401
from core.catalog.store import read_catalog
from core.datasets import spatial_split  # noqa: F401
from core.errors import GroundplanError


def warm_up() -> None:
    """Load the catalog, a chart and the image formats that the first page needs (measured by `benchmarks/pages.py`)."""
    with suppress(GroundplanError):  # the page shows the error of the catalog
        read_catalog()
    alt.Chart(pd.DataFrame({"m²": [1.0]})).mark_bar().encode(alt.X("m²", bin=True), y="count()").to_json()
    Image.init()
    # Streamlit collects garbage after each run, also of fragments. Frozen objects are skipped, which saves time.
    gc.collect()
    gc.freeze()
