from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely import box

from core.datasets import dataset
from core.datasets.chips import Chips
from core.datasets.config import DatasetConfig
from core.datasets.dataset import divide, read_dataset
from core.datasets.normalization import Normalization
from core.datasets.samples import Sample, read_sample
from core.datasets.spatial_split import split
from core.errors import InvalidSetting, SplitImpossible, TooFewTiles
from tests.core.tile_factory import HOUSES, SMALL, grid_at, make_tile

#: Degrees, a third of a usual pixel: crops that merely share a rim are apart.
HAIR = 1e-6


def share_ground(train: Chips, validation: Chips) -> bool:
    """Whether any two crops of both sides overlap by more than a hair."""
    ours, theirs = shapely.buffer(train.outlines, -HAIR), shapely.buffer(validation.outlines, -HAIR)
    return len(shapely.STRtree(ours).query(theirs, predicate="intersects")[0]) > 0


def test_a_single_tile_is_divided_by_a_line_with_the_crops_across_it_left_out(tmp_path):
    data = read_dataset([make_tile(tmp_path)], SMALL, seed=0)
    assert sorted(set(data.train.origins[:, 2])) == [0]
    assert sorted(set(data.validation.origins[:, 2])) == [32]
    assert not share_ground(data.train, data.validation)
    assert "3 crops skipped" in " ".join(data.notes)


def test_the_thesis_recipe_trains_on_35_crops_of_a_single_tile_and_checks_on_7(tmp_path):
    data = read_dataset([make_tile(tmp_path)], DatasetConfig(), seed=0)
    assert (len(data.train), len(data.validation)) == (35, 7)
    assert not share_ground(data.train, data.validation)


def test_tiles_that_overlap_stay_on_one_side(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(column)) for n, column in enumerate((0, 32, 200, 400, 600, 800))]
    for seed in range(5):
        data = read_dataset(tiles, SMALL, seed)
        assert not share_ground(data.train, data.validation)
        assert ("img0" in data.train_tiles) == ("img1" in data.train_tiles)
        assert not set(data.train_tiles) & set(data.validation_tiles)


def test_neighbours_that_only_share_a_rim_are_divided_by_a_line(tmp_path):
    tiles = [make_tile(tmp_path, "a"), make_tile(tmp_path, "b", grid_at(64))]
    data = read_dataset(tiles, SMALL, seed=0)
    assert data.train_tiles == ("a", "b")
    assert data.validation_tiles == ("b",)
    assert not share_ground(data.train, data.validation)
    assert "2 connected tiles are split along a line" in " ".join(data.notes)


def test_whole_tile_crops_one_above_the_other_are_divided_along_the_rows(tmp_path):
    tiles = [make_tile(tmp_path, "a"), make_tile(tmp_path, "b", grid_at(row=64))]
    data = read_dataset(tiles, DatasetConfig(size=64, chip=64, step=64), seed=0)
    assert (data.train_tiles, data.validation_tiles) == (("a",), ("b",))


def test_the_line_leaves_houses_on_both_sides_where_it_can(tmp_path):
    houses = [box(x, 4, x + 8, 12) for x in (2, 20)]
    data = read_dataset(
        [make_tile(tmp_path, houses=houses)], DatasetConfig(size=64, chip=16, step=8, border_px=1), seed=0
    )
    for side in (data.train, data.validation):
        assert side.has_building.any()


def test_tiles_between_both_sides_are_not_even_read(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(64 * n)) for n in range(5)]
    planned = split(tiles, seed=0)
    [between] = planned.buffer
    tiles[int(between[-1])].image.unlink()
    data = read_dataset(tiles, SMALL, seed=0)
    assert (data.train_tiles, data.validation_tiles, data.buffer_tiles) == (
        planned.train,
        planned.validation,
        (between,),
    )
    assert data.notes == planned.notes


def test_a_side_that_cannot_be_read_is_split_anew(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(100 * n)) for n in range(5)]
    [checked] = split(tiles, seed=0).validation
    tiles[int(checked[-1])].image.unlink()
    data = read_dataset(tiles, SMALL, seed=0)
    assert (len(data.train_tiles), len(data.validation_tiles)) == (3, 1)
    assert checked not in data.train_tiles + data.validation_tiles


def test_tiles_that_all_hang_together_are_divided_by_a_line(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(40 * n)) for n in range(3)]
    data = read_dataset(tiles, SMALL, seed=0)
    assert len(data.train)
    assert len(data.validation)
    assert not share_ground(data.train, data.validation)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(-150, 150), st.integers(-150, 150), st.booleans()), min_size=1, max_size=7),
    st.integers(0, 5),
)
def test_no_crop_to_train_on_shares_ground_with_one_to_check_on(tmp_path, places, seed):
    recipe = DatasetConfig(size=64, chip=16, step=8)
    houses = np.zeros((64, 64), np.uint8)
    grids = [grid_at(column, row) for column, row, _ in places]
    scenes = [
        Sample(
            f"t{n}",
            np.zeros((64, 64, 3), np.float32),
            (houses + built)[..., None],
            np.ones((64, 64), bool),
            grid,
            (255.0,) * 3,
            np.empty(0, object),
        )
        for n, (grid, (_, _, built)) in enumerate(zip(grids, places, strict=True))
    ]
    template = make_tile(tmp_path)
    tiles = [
        replace(template, id=scene.tile, footprint=scene.grid.footprint, buildings=int(built))
        for scene, (_, _, built) in zip(scenes, places, strict=True)
    ]
    train, validation = divide(Chips.of(scenes, recipe), split(tiles, seed))
    assert len(train)
    assert len(validation)
    assert not share_ground(train, validation)


def test_the_same_seed_divides_the_same_way_and_another_differently(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(100 * n)) for n in range(10)]
    chosen = [read_dataset(tiles, SMALL, seed).validation_tiles for seed in (3, 3, 4, 5, 6)]
    assert chosen[0] == chosen[1]
    assert len(set(chosen)) > 1
    assert all(len(tiles) == 2 for tiles in chosen), "a fifth of ten"


def test_the_check_gets_houses_where_two_tiles_have_some(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(100 * n), houses=HOUSES if n < 2 else ()) for n in range(6)]
    for seed in range(4):
        data = read_dataset(tiles, SMALL, seed)
        built = {"img0", "img1"}
        assert len(built & set(data.validation_tiles)) == 1
        assert len(built & set(data.train_tiles)) == 1


def test_the_fourth_channel_is_used_only_where_all_tiles_have_it(tmp_path):
    with_eight = [make_tile(tmp_path, f"img{n}", grid_at(100 * n), eight=True) for n in range(2)]
    without = make_tile(tmp_path, "plain", grid_at(300))
    assert read_dataset(with_eight, SMALL, 0).bands == 4
    data = read_dataset([*with_eight, without], SMALL, 0)
    assert data.bands == data.train.crop_windows(data.train.windows(np.array([0])))[0].shape[-1] == 3
    assert "Only 2 of 3 tiles have 8 bands" in " ".join(data.notes)


def test_the_scale_is_that_of_the_training_ground(tmp_path):
    tiles = [make_tile(tmp_path, "a"), make_tile(tmp_path, "b", grid_at(100), houses=())]
    data = read_dataset(tiles, SMALL, 0)
    raw = read_dataset(tiles, replace(SMALL, normalization="thesis"), 0).train.samples
    trained = [replace(s, pixels=s.pixels * 255) for s in raw if s.tile in data.train_tiles]
    np.testing.assert_allclose(data.normalization.high, Normalization.from_percentiles(trained).high, rtol=1e-5)


def test_tiles_without_labels_are_left_out_and_named_as_such(tmp_path):
    tile = make_tile(tmp_path)
    data = read_dataset([tile, replace(tile, id="unlabelled", footprints=None)], SMALL, 0)
    assert data.train_tiles == ("img1",)
    assert "1 tile without labels" in data.notes[0]


def test_a_tile_that_cannot_be_read_is_left_out_and_told(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(100 * n)) for n in range(3)]
    tiles[1].image.write_bytes(tiles[1].image.read_bytes()[:-2000])
    data = read_dataset(tiles, SMALL, 0)
    assert sorted(data.train_tiles + data.validation_tiles) == ["img0", "img2"]
    assert data.notes[0] == "img1 was skipped: 3band_img1.tif is damaged or truncated. Copy or download it again."
    assert not any("crops skipped" in note for note in data.notes), "its crops are not counted twice"
    with pytest.raises(TooFewTiles, match=r"3band_img1\.tif is damaged"):
        read_dataset([tiles[1]], SMALL, 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_labelled_tile_that_shows_nothing_does_not_stop_the_others(tmp_path, seed):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(100 * n), empty_columns=64 * (n == 2)) for n in range(6)]
    data = read_dataset(tiles, SMALL, seed)
    assert sorted(data.train_tiles + data.validation_tiles) == ["img0", "img1", "img3", "img4", "img5"]
    assert "9 crops skipped" in " ".join(data.notes)


def test_images_squeezed_into_few_pixels_are_told(tmp_path):
    plain = make_tile(tmp_path, "plain", grid_at(1000, size=128))
    large = [make_tile(tmp_path, name, grid_at(size=size, column=-size)) for name, size in (("a", 160), ("b", 320))]
    notes = " ".join(read_dataset([plain, *large], SMALL, 0).notes)
    assert "b was downsampled from 320 × 320 to 64 × 64 px of 2.5 × 2.5 m, and 1 more tile too." in notes
    assert "downsampled" not in " ".join(read_dataset([plain], SMALL, 0).notes)


def test_pixels_of_several_kinds_are_told(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(100 * n)) for n in range(3)]
    mixed = [replace(tiles[0], dtype="uint16"), *tiles[1:]]
    assert "Pixels of uint16 and uint8 are normalized together" in " ".join(read_dataset(mixed, SMALL, 0).notes)
    assert "normalized together" not in " ".join(read_dataset(tiles, SMALL, 0).notes)


def test_a_tile_lies_in_memory_once(tmp_path, monkeypatch):
    def remembering(*of):
        read.append(read_sample(*of))
        return read[-1]

    read = []
    monkeypatch.setattr(dataset, "read_sample", remembering)
    data = read_dataset([make_tile(tmp_path)], SMALL, 0)
    assert data.train.samples[0].pixels is data.validation.samples[0].pixels is read[0].pixels
    assert read[0].pixels.max() < 2


def test_nothing_to_train_on_is_said(tmp_path):
    with pytest.raises(TooFewTiles):
        read_dataset([replace(make_tile(tmp_path), footprints=None)], SMALL, 0)
    with pytest.raises(SplitImpossible, match="all crops overlap"):
        read_dataset([make_tile(tmp_path)], DatasetConfig(size=64, chip=64, step=32), 0)
    with pytest.raises(SplitImpossible, match="only no-data"):
        read_dataset([make_tile(tmp_path, empty_columns=64)], SMALL, 0)


def test_reading_reports_each_tile(tmp_path):
    said = []
    read_dataset([make_tile(tmp_path)], SMALL, 0, lambda share, doing: said.append((share, doing)))
    assert said == [(0.0, "Loading img1, tile 1 of 1")]


def test_a_small_tile_alone_is_divided_into_smaller_crops(tmp_path):
    recipe = DatasetConfig(border_px=0, gsd_m=0.5, crops="drawn", bands=3)
    data = read_dataset([make_tile(tmp_path, grid=grid_at(size=150))], recipe, 0, targets=("mask", "edge", "distance"))
    assert data.train.chip == data.validation.chip == 64
    assert "Crop size reduced to 64 px, because the area is small." in data.notes
    [train], [check] = data.train.extents.values(), data.validation.extents.values()
    assert train[2] <= check[0] or train[3] <= check[1] or check[2] <= train[0] or check[3] <= train[1]


def test_tiles_keep_their_shape_at_the_networks_resolution(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", replace(grid_at(500 * n, size=200), width=260)) for n in range(3)]
    recipe = DatasetConfig(chip=64, step=32, border_px=0, gsd_m=0.4, crops="drawn")
    data = read_dataset(tiles, recipe, 0)
    assert {scene.grid.shape for scene in data.train.samples} == {(250, 325)}
    assert data.train.samples[0].grid.pixel_m == pytest.approx((0.4, 0.4), rel=0.01)
    assert recipe.offsets(250).tolist() == [0, 32, 64, 96, 128, 160, 186], "up to the rim"


@pytest.mark.parametrize(
    ("tiles", "seen", "chip"), [(0.13, 0.2, 192), (0.24, 0.24, 160), (0.3, 0.3, 128), (0.5, 0.3, 128)]
)
def test_finer_tiles_are_seen_finer_down_to_a_limit_in_crops_of_as_much_ground(tiles, seen, chip):
    recipe = DatasetConfig(gsd_m=0.3, finest_m=0.2, chip=128).for_gsd(tiles)
    assert (recipe.gsd_m, recipe.chip, recipe.step) == (seen, chip, chip // 2)
    assert recipe.for_gsd(0.1) == recipe, "a run that goes on sees what it saw"


def test_a_limit_coarser_than_the_network_is_refused():
    with pytest.raises(InvalidSetting, match="finest_m"):
        DatasetConfig(gsd_m=0.3, finest_m=0.5)
