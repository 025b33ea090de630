import errno
from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from core.errors import DamagedCheckpoint, DiskFull, NoSuchCheckpoint
from core.runs.checkpoints import Checkpoint, TrainerState, latest, load


def checkpoint(epoch: int = 1, seen: int = 0) -> Checkpoint:
    """A small one whose numbers tell its epoch."""
    weights = [np.full((3, 2), epoch, np.float32), np.array(7, np.uint32)]
    optimizer = [np.array(epoch), np.arange(4, dtype=np.float32), np.zeros((0, 2), np.float32)]
    standing = TrainerState(epoch, seen, sums=(1.5, 2, 3, 4, 5, 6), seconds=7.25, best_epoch=1, best_score=0.5, batch=4)
    return Checkpoint(standing, weights, optimizer, {"seed": 3, "epoch": epoch}, {"network": "fcn"})


def test_what_was_saved_is_loaded(tmp_path):
    kept = checkpoint(2, seen=11)
    found = load(kept.save(tmp_path))
    assert (found.state, found.random, found.config) == (kept.state, kept.random, kept.config)
    for one, other in zip(found.weights + found.optimizer, kept.weights + kept.optimizer, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)


def test_a_score_that_is_no_number_stays_one(tmp_path):
    unscored = replace(checkpoint(), state=replace(checkpoint().state, best_score=float("nan")))
    assert isnan(load(unscored.save(tmp_path)).state.best_score)


def test_more_than_nine_arrays_keep_their_order(tmp_path):
    many = replace(checkpoint(), weights=[np.array(n) for n in range(120)])
    assert [int(value) for value in load(many.save(tmp_path)).weights] == list(range(120))


def test_the_last_two_are_kept_and_the_newest_is_the_latest(tmp_path):
    for epoch, seen in ((1, 0), (1, 50), (2, 0), (10, 0)):
        checkpoint(epoch, seen).save(tmp_path)
    assert sorted(path.name[:17] for path in tmp_path.iterdir()) == ["checkpoint-000002", "checkpoint-000010"]
    assert latest(tmp_path)[0].state.epoch == 10


def test_a_later_place_in_an_epoch_is_newer(tmp_path):
    for seen in (900, 1_000):
        checkpoint(3, seen).save(tmp_path)
    assert latest(tmp_path)[0].state.order == (3, 1_000)


def test_any_flipped_bit_is_noticed_and_the_one_before_serves(tmp_path):
    checkpoint(1).save(tmp_path)
    newest = checkpoint(2).save(tmp_path)
    whole = newest.read_bytes()
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        newest.write_bytes(broken)
        with pytest.raises(DamagedCheckpoint, match="is damaged \\(checksum mismatch\\)"):
            load(newest)
    found, problems = latest(tmp_path)
    assert found.state.epoch == 1
    assert [newest.name in str(problem) for problem in problems] == [True]


@pytest.mark.parametrize("rest", [b"", b"abc", b"\xff" * 40])
def test_a_file_that_is_none_is_damaged(tmp_path, rest):
    file = checkpoint().save(tmp_path)
    file.write_bytes(rest)
    with pytest.raises(DamagedCheckpoint):
        load(file)
    with pytest.raises(NoSuchCheckpoint, match="is damaged"):
        latest(tmp_path)


def test_a_folder_without_one_says_so(tmp_path):
    (tmp_path / "checkpoint-1.safetensors.part").touch()
    with pytest.raises(NoSuchCheckpoint, match=r"has no checkpoint to resume from\. Start a new training"):
        latest(tmp_path)


def test_a_checkpoint_stays_though_damaged_ones_are_of_later_epochs(tmp_path):
    for epoch in (4, 5):
        damaged = checkpoint(epoch).save(tmp_path)
        damaged.write_bytes(damaged.read_bytes()[:-1])
    saved = checkpoint(1).save(tmp_path)
    assert [*tmp_path.iterdir()] == [saved]
    assert latest(tmp_path)[0].state.epoch == 1


def test_a_full_disk_is_told_as_one_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(DiskFull):
        checkpoint(1).save(tmp_path)
    assert list(tmp_path.iterdir()) == []
