"""Which crops an epoch sees."""

from dataclasses import replace

import numpy as np
import pytest

from core.datasets.chips import Chips
from core.datasets.config import DatasetConfig
from core.datasets.dataset import read_dataset
from core.datasets.samples import read_sample
from core.runs.config import TrainingConfig
from core.training.crop_sampler import CropSampler
from core.training.presets import recommended
from tests.core.tile_factory import SMALL, grid_at, make_tile

TARGETS = ("mask", "edge", "distance")
MODERN = replace(
    recommended("unet"), dataset=DatasetConfig(chip=32, step=16, border_px=0, gsd_m=0.5, crops="drawn", bands=3)
)


@pytest.fixture
def chips(tmp_path) -> Chips:
    scenes = [
        read_sample(make_tile(tmp_path, f"img{n}", grid_at(200 * n, size=160)), MODERN.dataset, 3, TARGETS)
        for n in (0, 1)
    ]
    return Chips.of(scenes, MODERN.dataset, TARGETS)


def test_an_epoch_follows_from_its_number_and_the_seed(chips):
    first, again = (CropSampler(MODERN, chips).epoch(3) for _ in range(2))
    np.testing.assert_array_equal(first.windows, again.windows)
    np.testing.assert_array_equal(first.augmentation, again.augmentation)
    assert (CropSampler(MODERN, chips).epoch(4).windows != first.windows).any()
    assert (CropSampler(replace(MODERN, seed=1), chips).epoch(3).windows != first.windows).any()


def test_few_crops_are_drawn_often_and_grid_crops_are_seen_once(chips):
    assert len(CropSampler(MODERN, chips)) == MODERN.epoch_crops > len(chips)
    assert len(CropSampler(replace(MODERN, epoch_crops=2000), chips).epoch(0)) == 2000
    grid = CropSampler(TrainingConfig(epoch_crops=2000, dataset=replace(MODERN.dataset, crops="grid")), chips)
    places = grid.epoch(0).windows
    assert len(grid) == len(places) == len(chips)
    assert len(np.unique(places[:, :3], axis=0)) == len(chips)
    assert not places[:, 3].any()
    assert grid.epoch(0).augmentation.shape == (len(chips), 0)


def test_drawn_crops_show_buildings_but_for_the_share_that_lies_anywhere(chips):
    def built(empty: float) -> float:
        config = replace(MODERN, strong_augmentation=False, dataset=replace(MODERN.dataset, background_share=empty))
        _, target, _ = chips.crop_windows(CropSampler(config, chips).epoch(0).windows)
        return float(target[..., 0].any(axis=(1, 2)).mean())

    assert built(0.0) > 0.99
    assert built(1.0) < built(0.5) < built(0.0)


def test_no_pixel_of_a_crop_lies_beyond_the_ground_it_may_come_from(chips):
    """Where a line divides a tile, what lies behind it validates."""
    half = chips.only(chips.origins[:, 2] + 32 <= 80)
    marked = [replace(scene, pixels=np.zeros_like(scene.pixels)) for scene in chips.samples]
    for scene in marked:
        scene.pixels[:, 80:] = 1
    half = replace(half, samples=tuple(marked))
    for epoch in range(3):
        pixels, _, _ = half.crop_windows(CropSampler(MODERN, half).epoch(epoch).windows)
        assert not pixels.any()


def test_crops_are_rotated_zoomed_and_turned(chips):
    places = CropSampler(MODERN, chips).epoch(0).windows
    assert set(places[:, 3]) == set(range(8))
    assert places[:, 4].min() < 32 < places[:, 4].max()
    assert places[:, 5].min() < -30
    assert places[:, 5].max() > 30
    plain = CropSampler(replace(MODERN, strong_augmentation=False), chips).epoch(0)
    assert (plain.windows[:, 4:] == (32, 0)).all()
    assert plain.augmentation.shape[1] == 0


def test_a_tile_smaller_than_a_crop_is_filled_up_and_drawn_from(tmp_path):
    tiles = [make_tile(tmp_path, f"img{n}", grid_at(100 * n, size=24), houses=()) for n in (0, 1, 2)]
    data = read_dataset(tiles, MODERN.dataset, 0, targets=TARGETS)
    _, _, weight = data.train.crop_windows(CropSampler(MODERN, data.train).epoch(0).windows)
    assert weight.shape[1:] == (32, 32)
    assert 0.3 < weight.mean() < 0.7


def test_the_thesis_draws_as_it_always_did(tmp_path):
    data = read_dataset([make_tile(tmp_path)], SMALL, 0)
    random = np.random.default_rng((5, 2))
    numbers, turns = random.permutation(len(data.train)), random.integers(0, 8, len(data.train))
    drawn = CropSampler(TrainingConfig(seed=5, augment=True, dataset=SMALL), data.train).epoch(2)
    np.testing.assert_array_equal(drawn.windows, data.train.windows(numbers, turns))
