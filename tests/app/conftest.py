"""A data folder with a made-up city of two tiles, and a way to open a page of it."""

import gc
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from core.catalog.scan import scan
from core.catalog.store import Catalog, write_catalog
from core.settings import settings
from tests.conftest import ROOT
from tests.core.tile_factory import grid_at, make_tile

# A test page reads what every installed package says of itself at each run, a server once: a quarter of the time here.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)

OpenPage = Callable[..., AppTest]


def follow(page: AppTest) -> AppTest:
    """What the browser does once a button asked for another page: it presses the link that is drawn alone."""
    [link] = page.get("page_link")
    return page.switch_page(f"app/pages/{link.proto.page}.py").run()


@pytest.fixture(autouse=True)
def no_rubbish() -> None:
    """What earlier tests imported is not searched for rubbish after each run of a page, see `app/startup.py`."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def empty_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder nothing was added to."""
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield tmp_path / "data"
    settings.cache_clear()


@pytest.fixture
def city(empty_data: Path) -> Catalog:
    """Two neighbouring labelled tiles and one without labels, in SN1's layout, in the catalogue."""
    folder = empty_data.parent / "city"
    for n in (1, 2, 3):
        tile = make_tile(folder, f"AOI_0_Made_img{n}", grid_at(column=64 * n))
        assert tile.footprints is not None
        if n < 3:
            tile.footprints.rename(folder / f"Geo_AOI_0_Made_img{n}.geojson")
        else:
            tile.footprints.unlink()
    found = scan(folder)
    assert not found.problems
    write_catalog(Catalog(found.tiles))
    return Catalog(found.tiles)


@pytest.fixture
def open_page() -> OpenPage:
    """Runs a page, optionally with a tile in its address."""

    def run(page: str, **address: str) -> AppTest:
        test = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=30)
        for key, value in address.items():
            test.query_params[key] = value
        if page != "explore":
            test.run()
            test.switch_page(f"app/pages/{page}.py")
        return test.run()

    return run
