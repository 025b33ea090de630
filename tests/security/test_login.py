"""Login by OpenID Connect: without it no page, no layer, no upload; with it everything, until one logs out."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from app.routes import ROUTES
from core.catalog.scan import scan
from core.catalog.store import Catalog, write_catalog
from tests.core.tile_factory import make_tile
from tests.security.server import free_port, groundplan, running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SECRET = "a-secret-of-forty-characters-for-cookies"
TILE = "AOI_0_Made_img1"
#: One address of every kind that is not for strangers.
CLOSED = (
    "/layers/tiles.geojson", f"/layers/tiles/{TILE}/image", f"/layers/tiles/{TILE}/outlines.geojson",
    f"/tiles/{TILE}/0/0/0.webp", f"/files/{TILE}/3band", "/layers/predictions/run/a/probability", "/media/a.csv",
    "/_stcore/metrics", "/_stcore/agent/openapi.json",
)  # fmt: skip


def made_up_data(folder: Path) -> Path:
    """A data folder with one tile in its catalogue."""
    labels = make_tile(folder / "city", TILE).labels
    labels.rename(labels.with_name(f"Geo_{TILE}.geojson"))
    found = scan(folder / "city")
    write_catalog(Catalog(found.tiles), folder / "data" / "catalog.parquet")
    return folder / "data"


def secrets(path: Path, port: int, provider: int, secret: str = SECRET) -> Path:
    """What the README tells to write."""
    path.write_text(
        f'[auth]\nredirect_uri = "http://localhost:{port}/oauth2callback"\ncookie_secret = "{secret}"\n'
        f'client_id = "groundplan"\nclient_secret = "hush"\n'
        f'server_metadata_url = "http://localhost:{provider}/.well-known/openid-configuration"\n'
    )
    return path


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """A server that knows people by a provider of this machine."""
    folder = tmp_path_factory.mktemp("login")
    data, port, provider = made_up_data(folder), free_port(), free_port()
    issuer = f"http://localhost:{provider}/.well-known/openid-configuration"
    command = ["oidc_provider_mock", "--port", str(provider), "--host", "localhost"]
    with (
        running(command, issuer, data),
        groundplan(data, port, secrets(folder / "secrets.toml", port, provider)) as address,
    ):
        yield address


def test_every_route_of_ours_but_leaflet_and_our_scripts_is_among_the_closed():
    open_to_all = {route.path for route in ROUTES if route.path.startswith("/assets/")}
    closed = {route.path.split("/")[1] for route in ROUTES if route.path not in open_to_all}
    assert closed == {"tiles", "files", "layers"}
    assert closed <= {path.split("/")[1] for path in CLOSED}


@pytest.mark.parametrize("path", CLOSED)
def test_strangers_get_401_and_a_sentence(url, path):
    answer = httpx2.get(f"{url}{path}")
    assert (answer.status_code, answer.text.startswith("Log in first")) == (401, True)
    for written in (path.replace("/", "//", 1), f"/x/..{path}", path.replace("t", "%74", 1)):
        other = httpx2.get(f"{url}{written}")
        assert other.status_code != 200 or "text/html" in other.headers["content-type"], written


def test_strangers_may_not_upload(url):
    answer = httpx2.put(f"{url}/_stcore/upload_file/session/file", content=b"x")
    assert answer.status_code == 401


def signed(secret: str, **user: object) -> dict[str, str]:
    return {USER_COOKIE_NAME: create_signed_value(secret, USER_COOKIE_NAME, json.dumps(user)).decode()}


def test_only_the_cookie_of_a_login_here_opens(url):
    said = {
        "right": signed(SECRET, is_logged_in=True, origin=url),
        "other secret": signed("x" * 40, is_logged_in=True, origin=url),
        "no secret": signed("", is_logged_in=True, origin=url),
        "not logged in": signed(SECRET, is_logged_in=False, origin=url),
        "other place": signed(SECRET, is_logged_in=True, origin="http://evil.example"),
        "a word": {USER_COOKIE_NAME: "chunks-99"},
        "unsigned": {USER_COOKIE_NAME: json.dumps({"is_logged_in": True, "origin": url}).replace('"', "'")},
        "a list": {USER_COOKIE_NAME: create_signed_value(SECRET, USER_COOKIE_NAME, "[1]").decode()},
        "no json": {USER_COOKIE_NAME: create_signed_value(SECRET, USER_COOKIE_NAME, "chunks").decode()},
        "other cookie": {USER_COOKIE_NAME: create_signed_value(SECRET, "other", "{}").decode()},
    }
    answers = {
        name: httpx2.get(f"{url}/layers/tiles.geojson", cookies=cookies).status_code for name, cookies in said.items()
    }
    assert answers == {name: 200 if name == "right" else 401 for name in said}


def test_a_person_logs_in_looks_around_and_logs_out(url, page: Page):
    page.goto(f"{url}/?tile={TILE}")
    expect(page.get_by_text("Log in to see the tiles and models")).to_be_visible()
    assert page.locator("iframe").count() == 0
    assert TILE not in page.content()

    page.get_by_role("button", name="Log in").click()
    page.locator("input[name=sub]").fill("ada@example.org")
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_text("ada@example.org")).to_be_visible()
    page.wait_for_selector("iframe[title='streamlit_folium.st_folium']")
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    for path in CLOSED[:5]:
        assert httpx2.get(f"{url}{path}", cookies=cookies).status_code == 200, path
    assert page.evaluate("fetch('/layers/tiles.geojson').then(answer => answer.status)") == 200
    assert "_streamlit_user" not in page.evaluate("document.cookie"), "scripts cannot read it"

    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="End session").click()  # the provider asks, too
    expect(page.get_by_text("Log in to see the tiles and models")).to_be_visible()
    assert page.evaluate("fetch('/layers/tiles.geojson').then(answer => answer.status)") == 401


@pytest.mark.parametrize(
    "text",
    ["[auth", '[auth]\ncookie_secret = "short"\nredirect_uri = "http://localhost/oauth2callback"\n', "[auth]\n"],
    ids=["broken", "short", "empty"],
)
def test_a_login_that_is_not_set_up_right_lets_nobody_in(tmp_path, page: Page, text):
    (tmp_path / "secrets.toml").write_text(text)
    with groundplan(made_up_data(tmp_path), secrets=tmp_path / "secrets.toml") as address:
        for secret in ("", "short"):
            cookies = signed(secret, is_logged_in=True, origin="http://localhost")
            assert httpx2.get(f"{address}/layers/tiles.geojson", cookies=cookies).status_code == 401
        page.goto(address)
        expect(page.get_by_text("not set up correctly")).to_be_visible()
        assert TILE not in page.content()
