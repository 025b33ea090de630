"""Tabs of which only the one that is open costs anything."""

from collections.abc import Callable, Mapping

import streamlit as st


def lazy_tabs(key: str, shown: Mapping[str, Callable[[], None]]) -> None:
    """A tab for every title; what it shows is computed when it is opened."""
    for tab, show in zip(st.tabs([*shown], on_change="rerun", key=key), shown.values(), strict=True):
        if tab.open:
            with tab:
                show()
