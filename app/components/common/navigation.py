"""From a button to another page, by the browser's own way.

`st.switch_page` changes the page on the server. Where a box that refreshes itself asks for the page of before in that
moment, the browser empties the new one: 16 of 40 changes from Train to Predict left a blank page. The navigation's own
links never did (0 of 60), because the browser then stops those boxes itself. So a button presses such a link.
"""

from typing import NoReturn, cast

import streamlit as st

from app.assets import ASSETS

_GOING = "going to"
_press = st.components.v2.component("groundplan_press", js=(ASSETS / "press.js").read_text("utf-8"))


def go_to(page: str) -> NoReturn:
    """Leaves for another page, by its file's name: `explore`, `train`."""
    st.session_state[_GOING] = page
    st.rerun()


def leave() -> bool:
    """Draws the link to the page that a button asked for, which presses itself; False where none did.

    Nothing else is to be drawn then, but to the end: after `st.stop` Streamlit keeps the boxes of before, and draws
    them into this.
    """
    page = cast(str | None, st.session_state.pop(_GOING, None))
    if page is not None:
        with st.container(key="gp-press"):
            st.page_link(f"app/pages/{page}.py")
        _press()
    return page is not None
