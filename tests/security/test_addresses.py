"""What is asked for by URL is an id there is, or 404: never a path, never 500."""

from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import ROUTES
from core.catalog.store import Catalog

pytestmark = pytest.mark.usefixtures("city")

TILE = "AOI_0_Made_img1"
#: What people try in the place of an id.
IDS = (
    "..", "../..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "....//etc/passwd", "/etc/passwd", "\\..\\..\\etc",
    "%2e%2e", "file:///etc/passwd", "http://127.0.0.1/a.tif", "/vsicurl/http://127.0.0.1/a.tif", "\0", f"{TILE}\0",
    f"{TILE}.tif", f" {TILE}", TILE.lower(), "x" * 4096, "\u202e", "é" * 300, "${jndi:x}",
    "'; drop",     "<script>alert(1)</script>", "\r\nSet-Cookie: a=b", "*", "?", "%00", "AOI_9_Other_img1",
)  # fmt: skip
NUMBERS = ("-1", "99", "999999999999999999999999", "1.5", "NaN", "1e3", "0x1", "", "..", "%2e%2e", "１", "\0", "a")
ADDRESSES = (
    "/tiles/{}/0/0/0.webp", "/files/{}/3band", "/files/{}/labels", "/layers/tiles/{}/image",
    "/layers/tiles/{}/thumbnail", "/layers/tiles/{}/outlines.geojson", "/layers/predictions/run/{}/probability",
    "/layers/predictions/{}/img/outlines",
    "/layers/predictions/{}/img/verdicts.geojson",
)  # fmt: skip


@pytest.fixture
def server() -> TestClient:
    """What a route raises is raised here, too: a 500 is a failure."""
    return TestClient(Starlette(routes=ROUTES), follow_redirects=False)


def test_the_addresses_answer_where_they_should(server):
    for address in ADDRESSES[:6]:
        assert server.get(address.format(TILE)).status_code == 200, address


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_id_is_one_there_is_or_404(server, address):
    for name in IDS:
        for written in {quote(name, safe=""), quote(name, safe="/%"), quote(quote(name, safe=""), safe="")}:
            answer = server.get(address.format(written))
            assert answer.status_code in (400, 404, 422), (name, answer.text)
            assert b"root:" not in answer.content
            assert "Traceback" not in answer.text
            assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "what", ["", "..", "3BAND", "../labels", "..%2f3band", "footprints", "\0", "x" * 4096, "%2e%2e%2fa"]
)
def test_a_file_is_one_of_the_tile_or_404(server, city: Catalog, what):
    for written in {quote(what, safe=""), quote(what, safe="/%")}:
        assert server.get(f"/files/{TILE}/{written}").status_code == 404
    assert server.get(f"/files/{TILE}/3band").content == city.tiles[0].image.read_bytes()


@pytest.mark.parametrize("place", range(3))
def test_a_square_beyond_the_map_is_404(server, place):
    for number in NUMBERS:
        parts = ["0", "0", "0"]
        parts[place] = quote(number, safe="%")
        answer = server.get(f"/tiles/{TILE}/{'/'.join(parts)}.webp")
        assert answer.status_code == 404, (number, answer.text)


@pytest.mark.parametrize(
    "bands",
    ["", "1", "1,2", "1,2,3,4", "0,0,0", "-1,2,3", "9,9,9", "999999999999,1,1", "a,b,c", "1,2,3;", "NaN,1,1",
     "１,２,３", "../../etc/passwd", "\0", "1,2,3\r\nX: y", "1," * 2000],
)  # fmt: skip
def test_bands_there_are_not_are_refused(server, bands):
    answer = server.get(f"/tiles/{TILE}/0/0/0.webp", params={"bands": bands})
    assert answer.status_code in (400, 404, 422), answer.text
    assert server.get(f"/tiles/{TILE}/0/0/0.webp?bands=3,2,1").status_code == 200


@pytest.mark.parametrize(
    "layer", ["", "..", "secret", "image.tif", "../image", "..%2fimage", "\0", "x" * 4096, "__class__"]
)
def test_a_layer_there_is_not_is_404(server, layer):
    assert server.get(f"/layers/tiles/{TILE}/{quote(layer, safe='%')}").status_code == 404


@pytest.mark.parametrize("value", ["NaN", "inf", "-1e308", "a", "\0", "9" * 400, "0x1"])
def test_a_threshold_that_is_no_number_is_harmless(server, value):
    answer = server.get(f"/layers/predictions/none/{TILE}/outlines", params={"t": value})
    assert answer.status_code == 404


@pytest.mark.parametrize("way", ["..", "%2e%2e", "..%2f..", "%2e%2e%2f%2e%2e", ".%00.", "....//", "//etc", "%5c..%5c"])
@pytest.mark.parametrize("mount", ["leaflet", "jquery", "groundplan"])
def test_assets_do_not_lead_out_of_their_folder(server, mount, way):
    for target in ("routes.py", "state.py", "etc/passwd", "../core/settings.py"):
        answer = server.get(f"/assets/{mount}/{way}/{target}")
        assert answer.status_code == 404, answer.text[:200]


def test_only_get_is_answered(server):
    for address in ADDRESSES:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert server.request(method, address.format(TILE)).status_code == 405
