"""Entry point of the web app: `streamlit run streamlit_app.py`.

Streamlit imports this file once, which starts the ASGI app, and runs it at every page view, which draws the frame. It
is in the root so that `core` and `app` can be imported. A folder named pages beside it would add a second navigation.
"""

import streamlit as st
from starlette.middleware import Middleware

from app.components.common.frame import frame
from app.login import LoginRequired
from app.messages import show_error
from app.routes import ROUTES
from app.startup import warm_up

if __name__ == "__main__":
    frame()
else:
    warm_up()
    app = st.App(__file__, routes=ROUTES, middleware=[Middleware(LoginRequired)], on_script_error=show_error)
