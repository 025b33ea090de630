"""Who may come in: everyone, or where .streamlit/secrets.toml has a section [auth] those who have logged in (OIDC).

Streamlit itself knows who looks at a page; what is fetched by URL it gives to everyone. LoginRequired closes that.
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

#: What a visitor gets without a page: our own routes, files Streamlit keeps for downloads, uploads, and its figures.
_CLOSED = re.compile(r"/(tiles|layers|files|media|_stcore/(metrics|upload_file|agent))(/|$)")
#: Characters of cookie_secret: with a shorter one a visitor could find it out and sign a cookie.
SHORTEST_SECRET = 32


def is_wanted() -> bool:
    """Whether visitors must log in; also where secrets.toml cannot be read, as it may have wanted that."""
    if secrets_singleton.load_if_toml_exists():
        return secrets_singleton.get("auth") is not None
    return any(Path(file).exists() for file in get_option("secrets.files"))


def is_set_up() -> bool:
    """Whether secrets.toml can be read and its cookies cannot be forged; nobody gets in otherwise."""
    if not secrets_singleton.load_if_toml_exists():
        return False
    section = secrets_singleton.get("auth") or {}
    return len(str(section.get("cookie_secret", ""))) >= SHORTEST_SECRET


def providers() -> tuple[str | None, ...]:
    """What to hand to st.login: None for the one of [auth] itself, else the names of its sections."""
    section = secrets_singleton.get("auth") or {}
    return (None,) if "client_id" in section else tuple(name for name in section if hasattr(section[name], "keys"))


def is_logged_in() -> bool:
    """Whether the visitor of the page that is being run may see it."""
    return not is_wanted() or (is_set_up() and st.user.to_dict().get("is_logged_in") is True)


def has_cookie(request: Request) -> bool:
    """Whether a request carries the cookie that Streamlit signs when somebody has logged in."""

    def signed(name: str) -> bytes | None:
        value = request.cookies.get(name, "")
        return decode_signed_value(get_cookie_secret(), name, value.encode("latin-1", "replace"))

    try:
        user = json.loads(get_cookie_with_chunks(signed, USER_COOKIE_NAME) or b"null")
    except ValueError:
        return False
    origin = get_origin_from_redirect_uri()
    return isinstance(user, dict) and user.get("is_logged_in") is True and user.get("origin") == origin


class LoginRequired:
    """ASGI middleware: 401 with a sentence for what is fetched without a page, where login is wanted and lacking."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers or hands on."""
        base = get_option("server.baseUrlPath").strip("/")
        path = scope.get("path", "").removeprefix(f"/{base}" if base else "")
        if scope["type"] != "http" or not _CLOSED.match(path) or not is_wanted():
            await self._app(scope, receive, send)
        elif is_set_up() and has_cookie(Request(scope)):
            await self._app(scope, receive, _for_this_cookie(send))
        else:
            refusal = PlainTextResponse("Log in first: open this server's first page in the same browser.\n", 401)
            await refusal(scope, receive, send)


def _for_this_cookie(send: Send) -> Send:
    """What the browser keeps is of no use to whoever sits there after the log-out."""

    async def send_with_vary(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).add_vary_header("Cookie")
        await send(message)

    return send_with_vary
