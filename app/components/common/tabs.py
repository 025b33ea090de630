"""Lazy tabs: only the open one is computed."""

from collections.abc import Callable, Mapping

import streamlit as st


def lazy_tabs(key: str, contents: Mapping[str, Callable[[], None]]) -> None:
    """Draw a tab for every title; its content is computed when it is opened."""
    for tab, show in zip(st.tabs([*contents], on_change="rerun", key=key), contents.values(), strict=True):
        if tab.open:
            with tab:
                show()
