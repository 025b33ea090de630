"""Login form and logout button."""

import streamlit as st

from app import login
from app.components.common.text import plain, safe


def require_login() -> None:
    """Show the login form and stop the page without login; show the logout button otherwise."""
    if not login.is_required():
        return
    if login.is_logged_in():
        _logout_button()
        return
    st.subheader("Log in")
    if login.is_configured():
        st.write("Log in to see the tiles and models on this server.")
        for provider in login.providers():
            label = f"Log in with {provider}" if provider else "Log in"
            st.button(plain(label), type="primary", icon=":material/login:", on_click=st.login, args=(provider,))
    else:
        st.error(
            "Login is not set up correctly on this server, so access is blocked. The documentation describes what "
            f".streamlit/secrets.toml needs. Its cookie_secret must have at least {login.MIN_SECRET_LENGTH} characters."
        )
    st.stop()


def _logout_button() -> None:
    user = st.user.to_dict()
    name = user.get("name") or user.get("email") or user.get("sub") or "unnamed user"
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
        st.html(f'<p class="gp-note">Logged in as {safe(name)}</p>', width="content")
        st.button("Log out", on_click=st.logout, type="tertiary", icon=":material/logout:")
