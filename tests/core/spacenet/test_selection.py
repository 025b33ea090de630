"""What somebody wants of SpaceNet's, and numbers of tiles as people write them."""

from pathlib import Path

import pytest
from shapely import box

from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.errors import NotTileNumbers, UnknownArea, UnknownProduct
from core.spacenet.selection import MAX_TILES, TileSelection, format_numbers, parse_numbers, tile_number
from tests.core.spacenet_bucket import RIO, VEGAS
from tests.core.tile_factory import make_tile


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("225", (225,)), ("3-5, 1", (1, 3, 4, 5)), (" 7 – 8 ,7", (7, 8)), ("0", (0,))],
)
def test_numbers_are_read_as_people_write_them(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "a", "5-1", "1,,2", "-3", "1.5", "1-2-3", "٣", "1-999999", "9" * 5000])
def test_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(NotTileNumbers, match="such as 1-20, 225"):
        parse_numbers(text)


def test_many_ranges_are_no_way_around_the_limit() -> None:
    parse_numbers(f"1-{MAX_TILES}")
    with pytest.raises(NotTileNumbers):
        parse_numbers(f"1-{MAX_TILES},{MAX_TILES + 1}")


def test_numbers_are_spelled_as_short_as_can_be() -> None:
    assert format_numbers([225, 3, 1, 2, 7, 8]) == "1-3, 7-8, 225"
    assert format_numbers([]) == ""


def test_a_tile_s_number_is_in_its_id() -> None:
    assert tile_number("AOI_2_Vegas_img225") == 225
    with pytest.raises(NotTileNumbers):
        tile_number("upload")


def test_a_request_is_put_in_order_and_takes_colour_and_labels() -> None:
    request = TileSelection.of(VEGAS, [5, 1, 5])
    assert (request.numbers, request.products) == ((1, 5), ("PS-RGB", "geojson_buildings"))
    assert request.tiles == ("AOI_2_Vegas_img1", "AOI_2_Vegas_img5")
    assert request.title == "Download 2 tiles of Las Vegas"
    assert 4e6 < request.typical_bytes < 6e6
    assert TileSelection.from_params(request.params()) == request


def test_what_spacenet_does_not_have_is_refused() -> None:
    with pytest.raises(UnknownArea):
        TileSelection.of("../../etc", [1])
    with pytest.raises(UnknownProduct):
        TileSelection.of(VEGAS, [1], ["3band"])


def test_tiles_that_have_all_of_it_are_left_out(tmp_path: Path) -> None:
    whole = make_tile(tmp_path, f"{RIO}_img1", eight=True)
    colour = make_tile(tmp_path, f"{RIO}_img2")
    listed = Tile.listed(f"{RIO}_img3", RIO, box(0, 0, 1, 1))
    catalog = Catalog((whole, colour, listed))
    assert TileSelection.of(RIO, [1, 2, 3, 4]).missing(catalog).numbers == (3, 4)
    assert TileSelection.of(RIO, [1, 2, 3, 4], ["3band", "8band"]).missing(catalog).numbers == (2, 3, 4)


@pytest.mark.parametrize(("gone", "products"), [
    ("image", ["3band"]), ("labels", ["geojson"]), ("eight_bands", ["8band"]),
])  # fmt: skip
def test_what_was_deleted_from_the_disk_is_lacking(tmp_path: Path, gone: str, products: list[str]) -> None:
    whole, damaged = (make_tile(tmp_path, f"{RIO}_img{n}", eight=True) for n in (1, 2))
    getattr(damaged, gone).unlink()
    request = TileSelection.of(RIO, [1, 2], products)
    assert request.missing(Catalog((whole, damaged))).numbers == (2,)
