from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from core.catalog.scan import scan
from core.catalog.tile import Tile
from core.datasets.spatial_split import MAX_SHARE, MIN_SHARE, MIN_TRAIN_SHARE, VALIDATION_SHARE, Split, split
from core.geo.grid import TOUCHING

#: Degrees, about 200 m.
SIDE = 0.0018


def tile_at(column: float, row: float, buildings: int = 1, name: str = "") -> Tile:
    """A listed tile in Nevada with so many buildings."""
    west, south = -115 + column * SIDE, 36 + row * SIDE
    footprint = shapely.box(west, south, west + SIDE, south + SIDE)
    return replace(Tile.listed(name or f"img{column}_{row}", "AOI_0_Made", footprint), buildings=buildings)


def block(columns: int, rows: int, buildings: int = 1) -> list[Tile]:
    return [tile_at(column, row, buildings) for column in range(columns) for row in range(rows)]


def neighbours(tiles: list[Tile], ours: tuple[str, ...], theirs: tuple[str, ...]) -> int:
    """How many pairs of these tiles are no further apart than a metre."""
    ground = {tile.id: tile.footprint for tile in tiles}
    return sum(shapely.dwithin(ground[a], ground[b], TOUCHING) for a in ours for b in theirs)


def sizes(parted: Split) -> tuple[int, int, int, int]:
    return len(parted.train), len(parted.validation), len(parted.buffer), len(parted.divided)


def built_share(tiles: list[Tile], parted: Split) -> float:
    built = {tile.id for tile in tiles if tile.buildings}
    return len(built & set(parted.validation)) / len(built)


layouts = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 6), st.sampled_from([0.0, 0.4]), st.integers(0, 2)),
    min_size=1, max_size=40,
).map(lambda rows: [tile_at(x + shift, y, n, f"img{k}") for k, (x, y, shift, n) in enumerate(rows)])  # fmt: skip
seeds = st.integers(0, 5)


# What holds for all tiles


@given(layouts, seeds)
def test_no_tile_that_trains_is_a_neighbour_of_one_that_checks(tiles, seed):
    parted = split(tiles, seed)
    assert neighbours(tiles, parted.train, parted.validation) == 0
    assert neighbours(tiles, parted.divided, parted.train + parted.validation) == 0, "a piece is divided whole"


@given(layouts, seeds)
def test_every_tile_is_in_exactly_one_group_and_both_sides_have_some(tiles, seed):
    parted = split(tiles, seed)
    names = parted.train + parted.validation + parted.buffer + parted.divided
    assert sorted(names) == sorted(tile.id for tile in tiles)
    assert parted.has_both_sides


@given(layouts, seeds)
def test_both_sides_have_buildings_where_there_are_any(tiles, seed):
    parted = split(tiles, seed)
    built = {tile.id for tile in tiles if tile.buildings}
    if built and not parted.divided:
        assert built & set(parted.train)
        assert built & set(parted.validation)
    elif built:
        assert built <= set(parted.divided), "these are the only ones"


@given(layouts, seeds, st.randoms())
def test_the_order_of_the_tiles_does_not_matter(tiles, seed, random):
    shuffled = random.sample(tiles, len(tiles))
    assert split([*shuffled, tiles[0]], seed) == split(tiles, seed)


@given(layouts, seeds)
def test_every_tile_left_out_touches_one_that_checks(tiles, seed):
    parted = split(tiles, seed)
    assert all(neighbours(tiles, (name,), parted.validation) for name in parted.buffer)


@given(st.integers(3, 60), seeds)
def test_of_tiles_that_lie_apart_as_near_to_a_fifth_checks_as_can_be(n, seed):
    parted = split([tile_at(2 * k, 0) for k in range(n)], seed)
    assert sizes(parted) == (n - max(1, round(n * VALIDATION_SHARE)), max(1, round(n * VALIDATION_SHARE)), 0, 0)


@given(st.integers(4, 12), st.integers(1, 12), seeds)
def test_a_cut_leaves_a_fair_share_on_both_sides(columns, rows, seed):
    tiles = block(columns, rows)
    parted = split(tiles, seed)
    if not parted.divided:
        assert MIN_SHARE <= len(parted.validation) / len(tiles) <= MAX_SHARE
        assert len(parted.train) / len(tiles) >= MIN_TRAIN_SHARE
    assert parted.divided == () or len(tiles) < 8


# What becomes of certain layouts


@pytest.mark.parametrize("tiles", [block(1, 1), block(2, 1), block(3, 1), block(2, 2), block(2, 3)], ids=len)
def test_a_piece_too_small_to_be_cut_is_divided(tiles):
    parted = split(tiles, 0)
    assert sizes(parted) == (0, 0, 0, len(tiles))
    assert "split along a line into a training and a validation part" in parted.notes[0]


def test_tiles_that_touch_by_a_corner_are_neighbours():
    assert sizes(split([tile_at(0, 0), tile_at(1, 1)], 0)) == (0, 0, 0, 2)
    assert sizes(split([tile_at(0, 0), tile_at(1.01, 1)], 0)) == (1, 1, 0, 0), "18 m are enough"


def test_the_sample_citys_layout_is_cut_across_its_longer_side():
    parted = split(block(6, 4), 0)
    assert sizes(parted) == (16, 4, 4, 0)
    assert len({name.split("_")[0] for name in parted.validation}) == 1, "one column"
    assert parted.notes == (
        "4 of 24 tiles are held out for validation.",
        "4 adjacent tiles are excluded to avoid leakage.",
    )


def test_the_seed_chooses_the_end():
    ends = {split(block(6, 4), seed).validation for seed in range(8)}
    assert {end[0].split("_")[0] for end in ends} == {"img0", "img5"}


def test_the_cut_goes_where_it_loses_least():
    rooms = [*block(3, 5), *(tile_at(column + 5, row) for column, row in np.ndindex(9, 5))]
    corridor = [tile_at(3, 2), tile_at(4, 2)]
    assert {sizes(split(rooms + corridor, seed)) for seed in range(8)} == {(46, 15, 1, 0), (47, 10, 5, 0)}


def test_whole_pieces_are_dealt_before_any_is_cut():
    tiles = block(6, 6) + [tile_at(column + 10, row) for column, row in np.ndindex(3, 3)]
    assert sizes(split(tiles, 0)) == (36, 9, 0, 0)


def test_what_was_dealt_whole_counts_where_a_piece_is_cut():
    tiles = [*block(10, 10), *(tile_at(20 + 2 * n, 0) for n in range(10))]
    parted = split(tiles, 0)
    assert {f"img{20 + 2 * n}_0" for n in range(10)} <= set(parted.validation)
    assert sizes(parted) == (96, 11, 3, 0), "ten alone, and a corner for the tenth they are short of"


def test_of_two_tiles_that_lie_apart_each_has_its_side():
    assert sizes(split([tile_at(0, 0), tile_at(5, 0)], 0)) == (1, 1, 0, 0)


def test_the_only_tile_with_buildings_is_divided_and_empty_ones_are_dealt():
    tiles = [tile_at(0, 0), *(tile_at(2 * n, 5, buildings=0) for n in range(10))]
    parted = split(tiles, 0)
    assert parted.divided == ("img0_0",)
    assert sizes(parted) == (8, 2, 0, 1)


def test_one_tile_more_leaves_the_lots_of_the_others():
    tiles = [tile_at(2 * n, 0) for n in range(50)]
    before, after = split(tiles, 3).roles, split([*tiles, tile_at(0, 9)], 3).roles
    assert sum(before[name] != after[name] for name in before) <= 1


def test_no_tiles_are_no_trouble():
    assert split([], 0) == Split()
    assert Split().notes == ()
    assert not Split().has_both_sides


def test_what_could_not_be_read_drops_out():
    parted = Split(("a", "b"), ("c",), ("d",))
    assert parted.only({"a", "c"}) == Split(("a",), ("c",))
    assert not parted.only({"a", "d"}).has_both_sides
    assert parted.roles == {"a": "train", "b": "train", "c": "validation", "d": "buffer"}


# Real ground


def test_the_real_vegas_tiles_lie_apart_and_are_dealt(shared: Path):
    tiles = list(scan(shared / "spacenet" / "SN2_buildings" / "AOI_2_Vegas_Train").tiles)
    for seed in range(5):
        parted = split(tiles, seed)
        assert sizes(parted) == (6, 1, 0, 0)
        assert built_share(tiles, parted) == 1 / 5, "two of seven are empty on purpose"


def test_the_real_banepa_tiles_are_cut_into_blocks(shared: Path):
    tiles = list(scan(shared / "open-cities" / "AOI_20_Banepa_Train").tiles)
    for seed in range(5):
        parted = split(tiles, seed)
        assert sizes(parted) == (20, 8, 4, 0)
        assert neighbours(tiles, parted.train, parted.validation) == 0


def test_the_listed_tiles_of_vegas_lose_one_column(shared: Path):
    tiles = [tile for tile in scan(shared / "tile-index").tiles if tile.aoi == "AOI_2_Vegas"]
    parted = split(tiles, 0)
    assert len(parted.roles) == 3851
    assert len(parted.validation) / 3851 == pytest.approx(VALIDATION_SHARE, abs=0.02)
    assert len(parted.buffer) < 62, "Vegas is about so many tiles wide"
    ground = {tile.id: tile.footprint for tile in tiles}
    checked = shapely.STRtree([ground[name] for name in parted.validation])
    trained = [ground[name] for name in parted.train]
    assert len(checked.query(trained, predicate="dwithin", distance=TOUCHING)[0]) == 0
