"""The catalogue on disk comes back as it went."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import orjson
import pytest
from filelock import FileLock
from shapely import box

from core.catalog.scan import scan
from core.catalog.store import Catalog, read_catalog, update_catalog, write_catalog
from core.catalog.tile import Tile
from core.errors import CannotWrite, CatalogBusy, DamagedCatalog, NoImage, NoSuchTile
from core.geo.grid import LONLAT
from core.settings import settings

TILE = Tile(
    id="AOI_2_Vegas_img225", aoi="AOI_2_Vegas", products={"PS-RGB": Path("/data/ä b.tif"), "MS": Path("/data/ms.tif")},
    footprints=Path("/data/a.geojson"), footprint=box(-115.2, 36.1, -115.1, 36.2), width=650, height=640, bands=3,
    dtype="uint16", crs="EPSG:4326", gsd_m=0.27, buildings=46, built_share=0.25, nodata_share=0.5,
    repairs="1 multipart", attribution='"Maxar", <b>',
)  # fmt: skip
UNLABELLED = replace(
    TILE, id="AOI_3_Paris_img1", aoi="AOI_3_Paris", footprints=None, buildings=None, built_share=None, repairs="",
    footprint=box(2, 48, 2.1, 48.1),
)  # fmt: skip
EMPTY = replace(TILE, id="AOI_2_Vegas_img9", buildings=0, built_share=0.0, nodata_share=None)


@pytest.mark.parametrize("tiles", [(), (TILE,), (UNLABELLED,), (TILE, UNLABELLED, EMPTY), (EMPTY, UNLABELLED)], ids=len)
def test_every_field_comes_back(tmp_path, tiles):
    path = write_catalog(Catalog(tiles), tmp_path / "deep" / "catalog.parquet")
    found = read_catalog(path)
    assert found == Catalog(tiles)
    assert all(type(tile.buildings) in (int, type(None)) for tile in found.tiles)
    assert all(type(tile.width) is int for tile in found.tiles)


def test_it_is_geoparquet_in_longitude_and_latitude(tmp_path):
    frame = gpd.read_parquet(write_catalog(Catalog((TILE, UNLABELLED)), tmp_path / "catalog.parquet"))
    assert frame.crs == LONLAT
    assert frame.geometry.tolist() == [TILE.footprint, UNLABELLED.footprint]
    assert frame["id"].tolist() == [TILE.id, UNLABELLED.id]


def test_real_tiles_come_back(shared, tmp_path):
    catalog = Catalog(scan(shared / "spacenet").tiles)
    assert len(catalog.tiles) == 16
    assert read_catalog(write_catalog(catalog, tmp_path / "catalog.parquet")) == catalog


def test_without_a_file_there_are_no_tiles(tmp_path):
    assert read_catalog(tmp_path / "nothing.parquet") == Catalog()


def test_the_place_is_that_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path))
    settings.cache_clear()
    try:
        assert write_catalog(Catalog((TILE,))) == tmp_path / "catalog.parquet"
        assert read_catalog() == Catalog((TILE,))
    finally:
        settings.cache_clear()


def test_a_change_on_disk_is_seen(tmp_path):
    path = write_catalog(Catalog((TILE,)), tmp_path / "catalog.parquet")
    assert len(read_catalog(path).tiles) == 1
    write_catalog(Catalog((TILE, UNLABELLED)), path)
    assert len(read_catalog(path).tiles) == 2


def test_adding_a_folder_again_replaces_its_rows():
    newer = replace(TILE, buildings=47)
    catalog = Catalog((TILE, UNLABELLED)).with_tiles([newer, EMPTY])
    assert catalog.tiles == (newer, UNLABELLED, EMPTY)
    assert catalog.with_tiles(catalog.tiles) == catalog


def test_tiles_are_found_by_their_id():
    assert Catalog((TILE, UNLABELLED)).tile(UNLABELLED.id) is UNLABELLED
    with pytest.raises(NoSuchTile, match="no tile named AOI_9_img1"):
        Catalog((TILE,)).tile("AOI_9_img1")


def test_parts_of_the_catalogue():
    catalog = Catalog((UNLABELLED, TILE, EMPTY))
    assert catalog.aois == ("AOI_3_Paris", "AOI_2_Vegas")
    assert catalog.of_aoi("AOI_2_Vegas").tiles == (TILE, EMPTY)
    assert catalog.labeled.tiles == (TILE, EMPTY)
    assert catalog.bounds == (-115.2, 36.1, 2.1, 48.1)
    assert catalog.default_tile is TILE


@pytest.mark.parametrize("text", [b"", b"nonsense", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_what_is_no_catalogue_says_what_to_do(tmp_path, text):
    (tmp_path / "catalog.parquet").write_bytes(text)
    with pytest.raises(DamagedCatalog, match=r"catalog\.parquet is damaged\. Move it away"):
        read_catalog(tmp_path / "catalog.parquet")


def test_another_table_is_no_catalogue(tmp_path):
    gpd.GeoDataFrame({"id": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=4326).to_parquet(tmp_path / "catalog.parquet")
    with pytest.raises(DamagedCatalog):
        read_catalog(tmp_path / "catalog.parquet")


def test_a_damaged_file_is_an_error_in_words_wherever_it_is_damaged(tmp_path):
    whole = write_catalog(Catalog((TILE, UNLABELLED, EMPTY)), tmp_path / "catalog.parquet").read_bytes()
    random, told = np.random.default_rng(0), 0
    for n in range(200):
        spoilt = bytearray(whole)
        for at in random.integers(0, len(whole), 8):
            spoilt[at] = random.integers(256)
        path = tmp_path / f"{n}.parquet"
        path.write_bytes(spoilt if n % 2 else whole[: random.integers(len(whole))])
        try:
            read_catalog(path)
        except DamagedCatalog:
            told += 1
    assert told > 150


def test_a_place_one_may_not_write_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite, match=r"catalog\.parquet"):
        write_catalog(Catalog((TILE,)), tmp_path / "file" / "catalog.parquet")


# Listed tiles, neighbours, moved labels, and changes by several programs


def square(n: int, row: int = 0, **facts: object) -> Tile:
    """The n-th of a row of tiles that share their rims, listed only."""
    size = 0.0018
    ground = box(n * size, row * size, (n + 1) * size, (row + 1) * size)
    return replace(Tile.listed(f"AOI_2_Vegas_img{n + 10 * row}", "AOI_2_Vegas", ground, "SpaceNet"), **facts)


def test_a_listed_tile_survives_the_file_and_has_no_image(tmp_path):
    path = write_catalog(Catalog((square(1), TILE)), tmp_path / "catalog.parquet")
    back = read_catalog(path)
    assert back.tiles == (square(1), TILE)
    assert not back.tiles[0].is_downloaded
    assert back.downloaded.tiles == (TILE,)
    with pytest.raises(NoImage):
        _ = back.tiles[0].image


def test_an_index_never_takes_the_place_of_a_downloaded_tile():
    listed = replace(square(1), id=TILE.id)
    assert Catalog((TILE,)).with_tiles([listed]).tiles == (TILE,)
    assert Catalog((listed,)).with_tiles([TILE]).tiles == (TILE,)


def test_moved_labels_stay_moved_when_a_folder_is_added_again():
    moved = replace(TILE, offset_m=(1.5, -0.5))
    assert Catalog((moved,)).with_tiles([TILE]).tile(TILE.id).offset_m == (1.5, -0.5)
    other_file = replace(TILE, footprints=TILE.image.with_suffix(".geojson"))
    assert Catalog((moved,)).with_tiles([other_file]).tile(TILE.id).offset_m == (0.0, 0.0)


def test_names_and_offsets_survive_the_file(tmp_path):
    tile = replace(TILE, name="Roofs of Café “Ω” </script>", offset_m=(0.25, -3.0))
    assert read_catalog(write_catalog(Catalog((tile,)), tmp_path / "c.parquet")).tiles == (tile,)


def test_a_catalogue_of_the_last_version_is_read(tmp_path):
    path = write_catalog(Catalog((TILE,)), tmp_path / "catalog.parquet")
    gpd.read_parquet(path).drop(columns=["name", "offset_m"]).to_parquet(path)
    assert read_catalog(path).tiles == (TILE,)


def test_neighbours_touch_by_side_or_corner():
    tiles = [square(n, row) for row in range(3) for n in range(3)]
    around = Catalog((*tiles, square(5)))
    assert {tile.id for tile in around.adjacent(square(1, 1))} == {t.id for t in tiles} - {square(1, 1).id}
    assert around.adjacent(square(5)) == ()


def test_within_finds_what_has_a_part_there():
    tiles = tuple(square(n) for n in range(4))
    assert Catalog(tiles).within((0.0019, 0.0001, 0.0037, 0.0002)).tiles == tiles[1:3]
    assert Catalog().within((0, 0, 1, 1)).tiles == ()


def test_a_tile_is_guessed_from_its_number():
    catalog = Catalog((TILE, square(3)))
    for text in ("3", "img3", "AOI_2_Vegas_img3"):
        assert catalog.search(text, "AOI_2_Vegas") == square(3)
    assert catalog.search("4", "AOI_2_Vegas") is None


def test_the_map_gets_every_tile_with_what_tells_them_apart():
    features = orjson.loads(Catalog((TILE, square(3))).geojson)["features"]
    assert [feature["properties"].get("here", False) for feature in features] == [True, False]
    assert features[0]["properties"]["buildings"] == TILE.buildings
    assert Catalog((TILE, square(3))).positions([square(3).id, "none", TILE.id]) == [0, 1]


def test_changes_of_several_programs_at_once_are_all_kept(tmp_path):
    path = tmp_path / "catalog.parquet"

    def add(n: int) -> None:
        update_catalog(lambda catalog: catalog.with_tiles([square(n)]), path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert len(read_catalog(path).tiles) == 24


def test_a_catalogue_that_stays_locked_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("core.catalog.store.BUSY_S", 0.1)
    path = tmp_path / "catalog.parquet"
    with FileLock(path.with_suffix(".lock")), pytest.raises(CatalogBusy, match="another program"):
        update_catalog(lambda catalog: catalog, path)
