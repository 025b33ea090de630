"""What the map fetches by URL: real layers for ids there are, 404 and a sentence for all else."""

import io
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import ROUTES
from core.catalog.store import Catalog
from tests.core.geo.test_xyz_tiles import square_of
from tests.core.tile_factory import grid_at

#: One in which the first tile of the city lies.
SQUARE = "/".join(map(str, square_of(grid_at(column=64), 18)))


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


@pytest.mark.usefixtures("city")
def test_a_square_of_a_raster_is_a_picture_and_beside_it_a_blank_one(server: TestClient) -> None:
    inside, beside = (server.get(f"/tiles/AOI_0_Made_img1/{place}.webp") for place in (SQUARE, "18/0/0"))
    for answer in (inside, beside):
        assert answer.status_code == 200
        picture = Image.open(io.BytesIO(answer.content)).convert("RGBA")
        assert picture.size == (256, 256)
    assert np.asarray(Image.open(io.BytesIO(inside.content)).convert("RGBA"))[..., 3].any()
    assert not np.asarray(Image.open(io.BytesIO(beside.content)).convert("RGBA"))[..., 3].any()


@pytest.mark.usefixtures("city")
def test_other_bands_make_another_picture(server: TestClient) -> None:
    usual, swapped = (server.get(f"/tiles/AOI_0_Made_img1/{SQUARE}.webp{q}") for q in ("", "?bands=3,2,2"))
    assert swapped.status_code == 200
    assert usual.content != swapped.content


@pytest.mark.usefixtures("city")
@pytest.mark.parametrize(
    ("place", "status"),
    [
        (f"AOI_0_Made_img9/{SQUARE}", 404),
        (f"{quote('../../etc/passwd', safe='')}/{SQUARE}", 404),
        ("AOI_0_Made_img1/99/0/0", 404),
        ("AOI_0_Made_img1/-1/0/0", 404),
        ("AOI_0_Made_img1/18/999999999/0", 404),
        ("AOI_0_Made_img1/18/0/" + "9" * 5000, 404),
        ("AOI_0_Made_img1/" + "9" * 5000 + "/0/0", 404),
        ("AOI_0_Made_img1/18/0/٣", 404),
        ("AOI_0_Made_img1/a/b/c", 404),
    ],
)
def test_squares_there_are_not_are_refused(server: TestClient, place: str, status: int) -> None:
    assert server.get(f"/tiles/{place}.webp").status_code == status


@pytest.mark.usefixtures("city")
@pytest.mark.parametrize("bands", ["", "1", "1,2", "1,2,x", "0,1,2", "1,2,999", "1,2,3,4", "-1,2,3", "%00"])
def test_bands_there_are_not_are_refused(server: TestClient, bands: str) -> None:
    assert server.get(f"/tiles/AOI_0_Made_img1/{SQUARE}.webp?bands={bands}").status_code in (404, 422)


def test_files_of_a_tile_are_given_under_their_names(server: TestClient, city: Catalog) -> None:
    answer = server.get("/files/AOI_0_Made_img1/3band")
    assert answer.content == city.tiles[0].image.read_bytes()
    assert "3band_AOI_0_Made_img1.tif" in answer.headers["content-disposition"]
    labels = server.get("/files/AOI_0_Made_img1/labels")
    assert labels.content == city.tiles[0].labels.read_bytes()


@pytest.mark.usefixtures("city")
@pytest.mark.parametrize("path", ["AOI_0_Made_img1/secret", "AOI_0_Made_img3/labels", "none/3band", "x/%2e%2e"])
def test_files_there_are_not_are_404(server: TestClient, path: str) -> None:
    assert server.get(f"/files/{path}").status_code == 404


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
