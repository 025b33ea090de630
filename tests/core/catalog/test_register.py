"""Folders and the sample city come into the catalogue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.catalog import register as module
from core.catalog.register import register, register_sample, sample_task
from core.catalog.sample import make_sample_city
from core.catalog.store import read_catalog
from core.settings import settings
from tests.core.made_up import make_tile


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(module, "make_sample_city", small_city)
    settings.cache_clear()
    yield
    settings.cache_clear()


def small_city(folder, seed, report):
    return make_sample_city(folder, seed, tiles=(1, 2), size=96, report=report)


def test_a_second_folder_is_added_to_the_first(tmp_path: Path) -> None:
    for n in (1, 2):
        make_tile(tmp_path / str(n), f"AOI_0_Made_img{n}")
        register(tmp_path / str(n))
    assert [tile.short_id for tile in read_catalog().tiles] == ["img1", "img2"]


def test_the_sample_city_is_made_once_and_says_what_it_is() -> None:
    shares = []
    found = register_sample(report=lambda share, _doing: shares.append(share))
    made = settings().sample.stat().st_mtime_ns
    assert {tile.attribution for tile in found.tiles} == {"made by the program"}
    assert len(read_catalog().tiles) == 2
    assert shares == sorted(shares)
    register_sample()
    assert settings().sample.stat().st_mtime_ns == made


def test_a_seed_makes_another_city_in_its_place() -> None:
    pixels = []
    for seed in (None, 5, None, 6, 5):
        found = register_sample(seed)
        pixels.append(hash(found.tiles[0].image.read_bytes()))
    assert pixels[1] == pixels[2] == pixels[4]
    assert len(set(pixels)) == 3
    assert len(read_catalog().tiles) == 2


def test_the_job_does_the_same() -> None:
    sample_task({}, lambda _share, _doing: None)
    assert read_catalog().aois == ("AOI_0_Sample",)
