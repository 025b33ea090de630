"""Access control by OpenID Connect (OIDC), enabled by a section [auth] in .streamlit/secrets.toml.

Without that section the app is public. Streamlit checks the user of a page only; its URLs stay open to everyone.
LoginRequired closes those.
"""

import json
import re
from pathlib import Path

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
from streamlit.config import get_option
from streamlit.runtime.secrets import secrets_singleton
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

#: URLs served outside of pages: routes of this app, Streamlit's downloads and uploads, and its metrics.
_PROTECTED = re.compile(r"/(tiles|layers|files|media|_stcore/(metrics|upload_file|agent))(/|$)")
#: Characters of cookie_secret: a shorter one can be guessed, and cookies forged.
MIN_SECRET_LENGTH = 32


def is_required() -> bool:
    """Tell whether login is required; an unreadable secrets.toml counts as yes."""
    if secrets_singleton.load_if_toml_exists():
        return secrets_singleton.get("auth") is not None
    return any(Path(file).exists() for file in get_option("secrets.files"))


def is_configured() -> bool:
    """Tell whether secrets.toml is readable and its cookie secret long enough; otherwise access is blocked."""
    if not secrets_singleton.load_if_toml_exists():
        return False
    section = secrets_singleton.get("auth") or {}
    return len(str(section.get("cookie_secret", ""))) >= MIN_SECRET_LENGTH


def providers() -> tuple[str | None, ...]:
    """Provider names for st.login: None for [auth] itself, else the names of its sections."""
    section = secrets_singleton.get("auth") or {}
    return (None,) if "client_id" in section else tuple(name for name in section if hasattr(section[name], "keys"))


def is_logged_in() -> bool:
    """Tell whether the user of the running page has access."""
    return not is_required() or (is_configured() and st.user.to_dict().get("is_logged_in") is True)


def has_login_cookie(request: Request) -> bool:
    """Tell whether a request has Streamlit's signed login cookie."""

    def decode_cookie(name: str) -> bytes | None:
        value = request.cookies.get(name, "")
        return decode_signed_value(get_cookie_secret(), name, value.encode("latin-1", "replace"))

    try:
        user = json.loads(get_cookie_with_chunks(decode_cookie, USER_COOKIE_NAME) or b"null")
    except ValueError:
        return False
    origin = get_origin_from_redirect_uri()
    return isinstance(user, dict) and user.get("is_logged_in") is True and user.get("origin") == origin


class LoginRequired:
    """ASGI middleware: respond 401 to requests outside of pages if login is required and missing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond 401, or pass the request on."""
        base = get_option("server.baseUrlPath").strip("/")
        path = scope.get("path", "").removeprefix(f"/{base}" if base else "")
        if scope["type"] != "http" or not _PROTECTED.match(path) or not is_required():
            await self._app(scope, receive, send)
        elif is_configured() and has_login_cookie(Request(scope)):
            await self._app(scope, receive, _vary_on_cookie(send))
        else:
            unauthorized = PlainTextResponse("Log in first: open this server's first page in the same browser.\n", 401)
            await unauthorized(scope, receive, send)


def _vary_on_cookie(send: Send) -> Send:
    """Add `Vary: Cookie`, so that a cached response is not readable after logout."""

    async def send_with_vary(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).add_vary_header("Cookie")
        await send(message)

    return send_with_vary
