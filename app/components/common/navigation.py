"""Navigation from a button to another page, through a link that the browser clicks.

`st.switch_page` changes the page on the server. If a fragment of the previous page refreshes at that moment, the
browser clears the new page: 16 of 40 changes from Train to Predict left a blank page. Navigation links never did (0 of
60), because the browser stops the fragments first. So a button makes the browser click such a link.
"""

from typing import NoReturn, cast

import streamlit as st

from app.assets import ASSETS

_PENDING_PAGE = "going to"
_click_link = st.components.v2.component("groundplan_press", js=(ASSETS / "press.js").read_text("utf-8"))


def go_to(page: str) -> NoReturn:
    """Go to another page by its file name: `explore`, `train`."""
    st.session_state[_PENDING_PAGE] = page
    st.rerun()


def follow_pending_link() -> bool:
    """Draw a link to the page requested by a button, which clicks itself; False without a request.

    The caller must then draw nothing else and finish the script: after `st.stop` Streamlit keeps fragments of the
    previous page, which draw into the new one.
    """
    page = cast(str | None, st.session_state.pop(_PENDING_PAGE, None))
    if page is not None:
        with st.container(key="gp-press"):
            st.page_link(f"app/pages/{page}.py")
        _click_link()
    return page is not None
