"""What .streamlit/config.toml promises, and that the running server keeps it."""

import socket
import tomllib
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.conftest import ROOT
from tests.security.server import groundplan

EVIL = "http://evil.example"


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with groundplan(tmp_path_factory.mktemp("server") / "data") as address:
        yield address


def test_the_configuration_is_the_careful_one():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"
    assert config["server"]["enableXsrfProtection"] is True
    assert config["server"]["enableCORS"] is True
    assert config["server"]["maxUploadSize"] == 500
    assert config["server"]["enableStaticServing"] is False
    assert not config["server"].get("enableAgentApi", False)
    assert not config["server"].get("trustedUserHeaders")


def test_secrets_never_get_into_the_repository():
    ignored = (ROOT / ".gitignore").read_text().split()
    assert ".streamlit/secrets.toml" in ignored


def test_an_upload_without_the_token_of_the_page_is_refused(url):
    for method in ("PUT", "DELETE"):
        answer = httpx2.request(method, f"{url}/_stcore/upload_file/session/file", headers={"Origin": EVIL})
        assert answer.status_code == 403


def test_an_upload_beyond_the_limit_is_refused_before_it_is_read(url):
    token = httpx2.get(f"{url}/_stcore/health").cookies.get("_streamlit_xsrf")
    assert token, "the server hands out a token"
    place = urlsplit(url)
    head = (
        f"PUT /_stcore/upload_file/session/file HTTP/1.1\r\nHost: {place.netloc}\r\nX-Xsrftoken: {token}\r\n"
        f"Cookie: _streamlit_xsrf={token}\r\nContent-Type: multipart/form-data; boundary=a\r\n"
        f"Content-Length: {501 * 1024 * 1024}\r\n\r\n--a\r\n"
    )
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(head.encode())
        status = connection.recv(100).split()[1]
    assert status in (b"400", b"413"), "an unknown session, or too large: in any case at once"


def test_other_sites_may_not_read_what_is_here(url):
    for path in ("/", "/_stcore/host-config", "/_stcore/health", "/layers/tiles.geojson"):
        answer = httpx2.get(f"{url}{path}", headers={"Origin": EVIL})
        assert answer.status_code == 200
        assert answer.headers.get("access-control-allow-origin") in (None, url), path


def test_other_sites_may_not_open_the_page_s_socket(url):
    place = urlsplit(url)
    head = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {place.netloc}\r\nOrigin: {EVIL}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    status = {}
    for origin in (EVIL, url):
        with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
            connection.sendall(head.replace(EVIL, origin).encode())
            status[origin] = connection.recv(100).split()[1]
    assert status == {EVIL: b"403", url: b"101"}


def test_the_agent_interface_is_off(url):
    answer = httpx2.post(f"{url}/_stcore/agent/interact", json={})
    assert answer.status_code in (403, 404, 501), answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/static/%2e%2e/%2e%2e/app.py",
        "/assets/groundplan/%2e%2e/routes.py",
        "/media/..%2f..%2fetc%2fpasswd",
        "/component/streamlit_folium.st_folium/..%2f..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_address_of_the_server_leads_to_its_disk(url, path):
    answer = httpx2.get(f"{url}{path}")
    assert "root:" not in answer.text
    assert "from starlette" not in answer.text
    assert answer.status_code < 500


def test_metrics_are_open_where_no_login_is_wanted_and_hold_no_names(url):
    """docs/threat-model.md says so: figures of memory and sessions."""
    answer = httpx2.get(f"{url}/_stcore/metrics")
    assert answer.status_code == 200
    assert "/work" not in answer.text
    assert str(ROOT) not in answer.text
