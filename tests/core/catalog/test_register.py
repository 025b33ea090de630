"""Folders and the sample city come into the catalogue."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from shapely import box

from core.catalog.register import as_moved, move_labels, register, register_index, remove
from core.catalog.store import read_catalog, update_catalog
from core.catalog.tile import Tile
from core.errors import GroundplanError, MovedTooFar, NoLabels, NoSuchArea, NoSuchTile
from core.settings import settings
from core.synthetic_city import make_sample_city
from core.tasks import data as module
from core.tasks.data import register_sample, sample_task
from tests.core.tile_factory import make_tile


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


def test_only_the_tiles_that_are_named_are_read(tmp_path: Path) -> None:
    for n in (1, 2):
        make_tile(tmp_path / "city", f"AOI_0_Made_img{n}")
    (tmp_path / "city" / "3band_AOI_0_Made_img1.tif").write_bytes(b"damaged")
    found = register(tmp_path / "city", only={"AOI_0_Made_img2"})
    assert found.problems == ()
    assert [tile.short_id for tile in read_catalog().tiles] == ["img2"]


def test_an_index_lists_its_tiles_and_leaves_no_file(tmp_path: Path) -> None:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1e-3, 0], [1e-3, 1e-3], [0, 1e-3], [0, 0]]]}
    location = {"location": "AOI_2_Vegas_Train/PAN/PAN_AOI_2_Vegas_img7.tif"}
    feature = {"type": "Feature", "properties": location, "geometry": square}
    found = register_index(orjson.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert found.summary().startswith("1 tiles in 1 areas")
    [tile] = read_catalog().tiles
    assert (tile.id, tile.is_here) == ("AOI_2_Vegas_img7", False)
    assert not [path for path in settings().data.iterdir() if path.name.startswith(".index")]


@pytest.mark.parametrize("content", [b"", b"{}", b"<VRT>", b'{"type": "FeatureCollection", "features": []}'])
def test_another_file_is_no_index_and_changes_nothing(content: bytes) -> None:
    with pytest.raises(GroundplanError, match="the index"):
        register_index(content)
    assert list(settings().data.iterdir()) == []


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


# Taken out


def test_tiles_are_taken_out_of_the_catalogue_and_their_files_stay(tmp_path: Path) -> None:
    made = make_tile(tmp_path, "img1")
    listed = [Tile.listed(f"AOI_2_Vegas_img{n}", "AOI_2_Vegas", box(n, 0, n + 1, 1)) for n in range(3)]
    update_catalog(lambda catalog: catalog.adding([made, *listed]))
    assert [tile.id for tile in remove(["img1", "AOI_2_Vegas_img1"])] == ["img1", "AOI_2_Vegas_img1"]
    assert [tile.short_id for tile in read_catalog().tiles] == ["img0", "img2"]
    assert made.image.exists()
    assert len(remove(aoi="AOI_2_Vegas")) == 2
    assert read_catalog().tiles == ()


def test_of_a_name_that_is_not_there_nothing_is_taken_out(tile: Tile) -> None:
    with pytest.raises(NoSuchTile, match="img7"):
        remove([tile.id, "img7"])
    with pytest.raises(NoSuchArea, match="no area named AOI_9_Mars"):
        remove([tile.id], "AOI_9_Mars")
    assert read_catalog().tiles == (tile,)


# Labels moved


@pytest.fixture
def tile(tmp_path: Path) -> Tile:
    """A labelled tile in the catalogue."""
    made = make_tile(tmp_path, "img1")
    update_catalog(lambda catalog: catalog.adding([made]))
    return made


def test_labels_are_put_so_many_metres_beside_their_file(tile: Tile) -> None:
    before = tile.labels.read_bytes()
    assert move_labels(tile.id, 1.5, -0.5).offset_m == (1.5, -0.5)
    assert move_labels(tile.id, 0.25, 0.0).offset_m == (0.25, 0.0)
    assert read_catalog().tile(tile.id).offset_m == (0.25, 0.0)
    assert tile.labels.read_bytes() == before


def test_steps_do_not_add_up_to_crumbs(tile: Tile) -> None:
    for _ in range(10):
        tile = move_labels(tile.id, tile.offset_m[0] + 0.1, 0.0)
    assert tile.offset_m == (1.0, 0.0)


@pytest.mark.parametrize("east", [100.01, -1e9, float("nan"), float("inf")])
def test_labels_are_moved_by_a_hundred_metres_at_the_most(tile: Tile, east: float) -> None:
    with pytest.raises(MovedTooFar, match="100 m"):
        move_labels(tile.id, east, 0.0)
    assert move_labels(tile.id, -100.0, 0.0).offset_m == (-100.0, 0.0)


def test_only_labels_that_are_there_are_moved(tile: Tile) -> None:
    with pytest.raises(NoSuchTile):
        move_labels("img2", 1.0, 1.0)
    update_catalog(lambda catalog: catalog.with_tile(replace(tile, footprints=None)))
    with pytest.raises(NoLabels):
        move_labels(tile.id, 1.0, 1.0)


def test_buildings_that_leave_the_image_are_no_longer_counted(tile: Tile) -> None:
    moved = move_labels(tile.id, -17.0, 0.0)  # of two houses in 32 m the left one is beyond the rim
    assert moved.buildings == 1
    assert moved.built_share == pytest.approx(20 * 20 / 64**2, rel=0.2)
    assert move_labels(tile.id, 0.0, 0.0).buildings == 2


def test_a_folder_that_is_scanned_anew_has_its_labels_where_they_were_moved(tile: Tile, tmp_path: Path) -> None:
    move_labels(tile.id, 1.5, -0.5)
    other = make_tile(tmp_path / "other", "img2")
    assert [found.offset_m for found in as_moved([tile, other])] == [(1.5, -0.5), (0.0, 0.0)]
    assert as_moved([replace(tile, footprints=other.footprints)])[0].offset_m == (0.0, 0.0)
    assert as_moved([replace(tile, footprints=None)])[0].offset_m == (0.0, 0.0)
    around = tile.labels.parent / ".." / tile.labels.parent.name / tile.labels.name
    assert as_moved([replace(tile, footprints=around)])[0].offset_m == (1.5, -0.5)
