"""Thirty hostile names: no file outside the data folder, no script in a browser, no second header."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.routes import ROUTES
from core.catalog.scan import scan
from core.catalog.spacenet_names import parse
from core.catalog.store import Catalog, read_catalog, write_catalog
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.errors import NoSuchUpload
from core.geo import raster
from core.geo.raster import Raster
from core.geo.vector_writers import Provenance, write_footprints
from core.uploads.ingest import add
from core.uploads.labels import save_labels
from core.uploads.upload import delete, receive, rename, uploads
from tests.core.tile_factory import HOUSES, grid_at, make_tile, write_labels
from tests.security.names import NAMES
from tests.security.server import groundplan

#: An id of the catalogue: nothing in it is a path, markup, a formula, or a sign one cannot see.
HARMLESS = re.compile(r"\w[\w .()-]*")


def below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_there_are_at_least_thirty():
    assert len(set(NAMES)) >= 30


# Files


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_an_upload_lies_in_the_data_folder_whatever_it_is_called(tmp_path, empty_data, name):
    image = raster.write(tmp_path / "image.tif", Raster(np.ones((3, 64, 64), np.uint8), grid_at()))
    labels = write_labels(tmp_path / "labels.geojson", grid_at(), HOUSES)
    before = below(tmp_path) - below(empty_data)
    upload = receive(io.BytesIO(image.read_bytes()), f"{name}.tif")
    save_labels(upload.id, io.BytesIO(labels.read_bytes()), f"{name} a.geojson")
    tile = add(upload.id)
    rename(upload.id, name)
    [found] = uploads()
    assert (found.id, HARMLESS.fullmatch(tile.id) is not None) == (upload.id, True)
    assert len(found.name) <= 80
    assert found.name.isprintable()
    for path in (*tile.products.values(), tile.labels):
        assert path.resolve().is_relative_to(empty_data.resolve())
    delete(upload.id)
    assert below(tmp_path) - below(empty_data) - {empty_data} == before - {empty_data}
    assert not (empty_data / "uploads" / upload.id).exists()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_only_the_id_of_an_upload_can_be_renamed_or_deleted(empty_data, name):
    keep = empty_data / "uploads" / "keep.txt"
    keep.parent.mkdir(parents=True)
    keep.touch()
    for act in (delete, lambda one: rename(one, "new")):
        with pytest.raises(NoSuchUpload):
            act(name)
    assert keep.exists()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_file_s_name_gives_a_harmless_id_or_none(name):
    for layout in ("3band_{}_img1.tif", "SN2_buildings_train_{}_PS-RGB_img1.tif", "Geo_{}_img1.geojson"):
        named = parse(Path(layout.format(name)))
        assert named is None or HARMLESS.fullmatch(named.tile), named


def test_tiles_with_hostile_names_in_a_folder_are_sentences(tmp_path):
    made = 0
    for name in NAMES:
        path = tmp_path / f"3band_{name.replace('/', '_')}_img1.tif"
        if "\0" in str(path) or len(path.name.encode()) > 255:
            continue
        raster.write(tmp_path / "one.tif", Raster(np.ones((1, 64, 64), np.uint8), grid_at())).rename(path)
        made += 1
    found = scan(tmp_path)
    assert made > 25
    assert all(HARMLESS.fullmatch(tile.id) for tile in found.tiles)
    assert len(found.tiles) + len(found.problems) == made


# Tables and headers


def test_a_table_of_buildings_begins_no_cell_with_a_formula(tmp_path):
    """Ids come from file names (above), and nothing else of outside goes into a table."""
    tile = make_tile(tmp_path, "img1")
    labels = read_tile_labels(tile)
    path = write_footprints(
        labels.outlines("AOI_1_x_img1"), tmp_path / "a.csv", labels.grid, Provenance("AOI_1_x_img1")
    )
    cells = pd.read_csv(path, dtype=str).to_numpy().ravel()
    assert [cell for cell in cells if str(cell)[0] in "=+@\t\r"] == []


def test_the_name_of_a_download_is_one_header(tmp_path, empty_data):
    for number, name in enumerate(NAMES):
        folder = tmp_path / str(number)
        tile = make_tile(folder, "img1")
        path = folder / f"{name.replace('/', '_')[:60]}.tif"
        if "\0" not in str(path):
            tile.image.rename(path)
            write_catalog(Catalog((replace(tile, products={"3band": path}),)))
            answer = TestClient(Starlette(routes=ROUTES)).get("/files/img1/3band")
            assert answer.status_code == 200
            said = answer.headers["content-disposition"]
            assert said.isascii()
            assert not set(said) & set("\r\n\0<>"), said
            assert "set-cookie" not in answer.headers


# Browser


def encoded(text: str) -> str:
    return quote(text, safe="")


def hostile_tile(folder: Path, number: int, name: str) -> Tile:
    """A real picture with labels, and a bad word wherever the catalogue has a text."""
    place = grid_at(column=64 * (number % 6), row=64 * (number // 6))
    good = make_tile(folder, f"img{number}", place)
    image = folder / f"{number} {name.replace('/', '_')[:80]}.tif".replace("\0", "")
    good.image.rename(image)
    return replace(
        good, id=f"{number} {name}", aoi=name if number % 2 else "AOI_0_Made", products={name: image},
        name=name if number % 3 == 0 else "", dtype=name, crs=name, repairs=name, attribution=name,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[tuple[str, tuple[Tile, ...]]]:
    folder = tmp_path_factory.mktemp("names")
    tiles = tuple(hostile_tile(folder / "tiles", number, name) for number, name in enumerate(NAMES))
    write_catalog(Catalog(tiles), folder / "data" / "catalog.parquet")
    with groundplan(folder / "data") as url:
        yield url, read_catalog(folder / "data" / "catalog.parquet").tiles


@pytest.fixture
def watched(page: Page) -> Page:
    """A page in which any dialog, and any script that got in, is a failure."""
    page.add_init_script("window.pwned = undefined")
    page.dialogs = []
    page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
    return page


def assert_calm(page: Page) -> None:
    for frame in page.frames:
        assert frame.evaluate("typeof window.pwned") == "undefined", frame.url
        assert frame.evaluate("document.querySelectorAll('img[onerror], svg[onload], [onmouseover]').length") == 0
        assert frame.evaluate("[...document.links].every(a => !a.protocol.startsWith('javascript'))")
    assert page.dialogs == []
    assert page.locator("[data-testid=stException]").count() == 0


def settled(page: Page) -> None:
    page.wait_for_selector("[data-testid=stMain] [data-testid=stVerticalBlock]")
    page.wait_for_selector("[data-testid=stStatusWidget]", state="detached")
    page.wait_for_timeout(400)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["", "labels"])
def test_no_name_runs_a_script_on_the_page_of_its_tile(site, watched: Page, name: str):
    url, tiles = site
    for tile in tiles:
        if "\0" in tile.id or len(tile.id) > 1000:
            continue  # no browser sends such an address
        watched.goto(f"{url}/{name}?{'&'.join(('tile=' + encoded(tile.id), 'aoi=' + encoded(tile.aoi)))}")
        settled(watched)
        assert_calm(watched)
        shown = watched.locator(".gp-title").first.text_content() or ""
        assert "".join(shown.split()).startswith("".join(tile.title.split())[:20]), "the name is there to be read"


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_name_runs_a_script_in_the_map_s_tooltips(site, watched: Page):
    url, tiles = site
    watched.goto(url)
    element = watched.wait_for_selector("iframe[title='streamlit_folium.st_folium']")
    frame = element.content_frame()
    frame.wait_for_function("Boolean(window.map && window.gpShow)")
    box = element.bounding_box()
    seen = 0
    for tile in tiles:
        middle = tile.footprint.centroid
        frame.evaluate("([lat, lng]) => map.setView([lat, lng], 20, {animate: false})", [middle.y, middle.x])
        watched.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2 + 3)
        watched.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        watched.wait_for_timeout(120)
        seen += frame.locator(".leaflet-tooltip").count() > 0
        assert_calm(watched)
    assert seen > 25, "otherwise no tooltip was looked at"


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "predict", "get_tiles", "upload"])
def test_no_name_runs_a_script_on_the_other_pages(site, watched: Page, name: str):
    url, _ = site
    watched.goto(f"{url}/{name}")
    settled(watched)
    assert_calm(watched)


@pytest.mark.browser
@pytest.mark.slow
def test_no_address_runs_a_script(site, watched: Page):
    url, _ = site
    for word in NAMES:
        if "\0" not in word and len(word) < 1000:
            watched.goto(f"{url}/?{'&'.join(f'{key}={encoded(word)}' for key in ('tile', 'aoi', 'layers', 'view'))}")
            settled(watched)
            assert_calm(watched)
