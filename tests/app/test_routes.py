"""What the map fetches by URL: real layers for ids there are, 404 and a sentence for all else."""

from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import ROUTES
from core.catalog.store import Catalog


@pytest.fixture
def server() -> TestClient:
    return TestClient(Starlette(routes=ROUTES))


@pytest.mark.usefixtures("city")
def test_tiles_are_geojson_in_longitude_and_latitude(server: TestClient) -> None:
    features = server.get("/layers/tiles.geojson").json()["features"]
    assert [feature["properties"]["id"] for feature in features] == [f"AOI_0_Made_img{n}" for n in (1, 2, 3)]
    longitude, latitude = features[0]["geometry"]["coordinates"][0][0]
    assert -116 < longitude < -114
    assert 35 < latitude < 37


@pytest.mark.usefixtures("city")
@pytest.mark.parametrize("layer", ["image", "thumbnail", "outlines", "mask", "distance", "boundary", "contact"])
def test_every_layer_of_a_tile_is_a_picture(server: TestClient, layer: str) -> None:
    answer = server.get(f"/layers/tiles/AOI_0_Made_img1/{layer}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.content[8:12] == b"WEBP"


@pytest.mark.usefixtures("city")
def test_outlines_are_the_labels(server: TestClient) -> None:
    assert len(server.get("/layers/tiles/AOI_0_Made_img1/outlines.geojson").json()["features"]) == 2


@pytest.mark.usefixtures("city")
@pytest.mark.parametrize(
    "path",
    [
        "tiles/AOI_0_Made_img9/image",
        "tiles/AOI_0_Made_img1/secret",
        "tiles/AOI_0_Made_img3/mask",
        f"tiles/{quote('../../etc/passwd', safe='')}/image",
        "tiles/%00/image",
        "predictions/none/AOI_0_Made_img1/probability",
        f"predictions/{quote('../..', safe='')}/AOI_0_Made_img1/probability",
    ],
)
def test_what_there_is_not_is_404_with_a_sentence(server: TestClient, path: str) -> None:
    answer = server.get(f"/layers/{path}")
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


def test_a_damaged_file_is_422_with_its_name(server: TestClient, city: Catalog) -> None:
    city.tiles[0].image.write_bytes(b"II*\0 and then nothing")
    answer = server.get(f"/layers/tiles/{city.tiles[0].id}/image")
    assert answer.status_code == 422
    assert "3band_AOI_0_Made_img1.tif" in answer.text


@pytest.mark.parametrize(
    "asset", ["leaflet/leaflet.js", "leaflet/leaflet.css", "jquery/jquery.min.js", "groundplan/map.js"]
)
def test_leaflet_and_our_script_are_served_from_here(server: TestClient, asset: str) -> None:
    assert server.get(f"/assets/{asset}").status_code == 200


def test_assets_do_not_lead_out_of_their_folder(server: TestClient) -> None:
    assert server.get("/assets/groundplan/%2e%2e/state.py").status_code == 404
