"""The entry: `streamlit run streamlit_app.py`. Imported once it is the web server, run at every page view the frame.

It lies at the root so that `core` and `app` can be imported, and beside no folder named pages, which Streamlit would
make a navigation of its own from.
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
