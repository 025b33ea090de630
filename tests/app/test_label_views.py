"""The labels page of an image so large that its distance must not be computed while somebody waits."""

import shlex
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from app.components.catalog import label_views
from core.catalog.store import Catalog, write_catalog
from core.labels import labels
from tests.app.conftest import OpenPage
from tests.app.test_pages import html


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of which the distance was computed."""
    shapes: list[tuple[int, ...]] = []
    real = labels.signed_distance
    monkeypatch.setattr(labels, "signed_distance", lambda mask, *rest: shapes.append(mask.shape) or real(mask, *rest))
    return shapes


def buttons(page: AppTest) -> list[str]:
    return [button.proto.label for button in page.get("download_button")]


@pytest.mark.usefixtures("city")
def test_the_range_of_the_distance_comes_from_a_copy_where_the_image_is_large(
    open_page: OpenPage, drawn: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("labels", tile="AOI_0_Made_img1")
    assert "<td>-19.1 to 4.8 m (clipped at ±64 m)</td>" in html(page)
    page.run()
    monkeypatch.setattr(label_views, "MAX_SIDE", 32)
    assert "<td>about -18.8 to 4.5 m (clipped at ±64 m)</td>" in html(open_page("labels", tile="AOI_0_Made_img2"))
    assert drawn == [(64, 64), (32, 32)], "once a tile, not at each rerun"


def test_of_a_large_image_the_command_for_the_distance_is_told(
    city: Catalog, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page("labels", tile="AOI_0_Made_img1")
    assert {"distance.tif", "distance.npy"} < set(buttons(page))
    monkeypatch.setattr(label_views, "_MAX_PIXELS", 64 * 64 - 1)
    page = open_page("labels", tile="AOI_0_Made_img1")
    assert not page.exception
    assert set(buttons(page)) == {"outlines.csv", "outlines.geojson", "mask.tif", "boundary.tif", "contact.tif"}
    tile = city.tile("AOI_0_Made_img1")
    said = ["--image", str(tile.image), "--footprints", str(tile.labels), "--out", "labels"]
    assert shlex.split(page.code[0].value) == ["python", "-m", "core", "labels", *said]


def test_the_command_is_said_not_to_move_labels(
    city: Catalog, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_views, "_MAX_PIXELS", 1)
    write_catalog(Catalog(tuple(replace(tile, offset_m=(1.0, 0.5)) for tile in city.tiles)))
    page = open_page("labels", tile="AOI_0_Made_img1")
    assert any("without the offset set here" in caption.value for caption in page.caption)
