"""What the first visitor need not wait for, because the server has done it once while it came up.

Libraries are imported, and some import more at their first use. `streamlit_folium`, and what uses it, is not here:
Streamlit takes its component only once the server runs.
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
    """The catalogue, a chart and a picture's formats, as the first page has them. See `benchmarks/pages.py`."""
    with suppress(GroundplanError):  # the page says what is wrong with the catalogue
        read_catalog()
    alt.Chart(pd.DataFrame({"m²": [1.0]})).mark_bar().encode(alt.X("m²", bin=True), y="count()").to_json()
    Image.init()
    # Streamlit looks for rubbish after each run, every tick of a box too: not among what was imported and stays.
    gc.collect()
    gc.freeze()
