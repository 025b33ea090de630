"""The door of the pages, where this installation wants people to log in."""

import streamlit as st

from app import login
from app.components.common.text import plain, safe


def log_in_first() -> None:
    """Stops the page for those who have to log in first and shows them the button; a way out for those who are in."""
    if not login.is_wanted():
        return
    if login.is_logged_in():
        _way_out()
        return
    st.subheader("Log in")
    if login.is_set_up():
        st.write("This server shows its tiles and networks only to people it knows.")
        for provider in login.providers():
            label = f"Log in with {provider}" if provider else "Log in"
            st.button(plain(label), type="primary", icon=":material/login:", on_click=st.login, args=(provider,))
    else:
        st.error(
            "The login of this server is not set up right, so nobody is let in. Whoever runs it finds in "
            f"the README what .streamlit/secrets.toml needs; its cookie_secret has {login.SHORTEST_SECRET} characters "
            "at least."
        )
    st.stop()


def _way_out() -> None:
    who = st.user.to_dict()
    name = who.get("name") or who.get("email") or who.get("sub") or "somebody without a name"
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
        st.html(f'<p class="gp-note">Logged in as {safe(name)}</p>', width="content")
        st.button("Log out", on_click=st.logout, type="tertiary", icon=":material/logout:")
