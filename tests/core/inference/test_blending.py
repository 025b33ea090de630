"""Windows side by side without a seam, and strips that outlive an interruption."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.inference.blending import OverlapBlender, blend_weights
from core.inference.partial_results import open_partial
from core.inference.sliding_window import iter_windows
from tests.core.tile_factory import grid_at


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([0, 8, 16]), st.sampled_from([32, 64]))
def test_the_weights_of_all_windows_add_up_to_one(width, height, blend, most):
    grid = grid_at().resized(width, height)
    total, carried = [], None
    rows: dict[int, list] = {}
    for box in iter_windows(grid, 16, most):
        rows.setdefault(box.row, []).append(box)
    for row in rows.values():
        canvas = OverlapBlender(grid, row[0], blend, carried)
        for core in row:
            canvas.add(core, np.ones((core.height + 2 * blend, core.width + 2 * blend, 2), np.float32))
        total.append(canvas.finished)
        carried = canvas.remaining
    whole = np.concatenate(total)
    assert whole.shape == (height, width, 2)
    np.testing.assert_allclose(whole, 1, atol=1e-6)


def test_a_window_fades_only_towards_others():
    assert (blend_weights(0, 32, 8, 32) == 1).all()
    first = blend_weights(0, 32, 8, 64)
    assert (first[:32] == 1).all()
    assert (np.diff(first[32:]) < 0).all()


def interrupted(out, told, shape, rows=None, carried=None):
    """One strip is whole, then Ctrl-C is pressed."""
    rows = np.ones((2, *shape[1:]), np.float32) if rows is None else rows
    with suppress(KeyboardInterrupt), open_partial(out, told, shape) as first:
        first.append_rows(0, rows, rows[:0] if carried is None else carried)
        raise KeyboardInterrupt


def test_strips_go_on_where_they_were_and_go_away_at_the_end(tmp_path):
    out, told, shape = tmp_path / "p.tif", ["weights", 1], (6, 4, 2)
    rows = np.arange(48, dtype=np.float32).reshape(shape)
    interrupted(out, told, shape, rows[:2], rows[2:3])
    with open_partial(out, told, shape) as again:
        assert again.finished == 1
        np.testing.assert_array_equal(again.overlap_rows, rows[2:3])
        again.append_rows(2, rows[2:], rows[:0])
        np.testing.assert_array_equal(again.read(0, 6), rows)
        np.testing.assert_array_equal(again.read(3, 2), rows[3:5])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [["other weights", 1], ["weights", 2]])
def test_strips_of_another_prediction_are_thrown_away(tmp_path, other):
    out, shape = tmp_path / "p.tif", (4, 4, 1)
    interrupted(out, ["weights", 1], shape)
    with open_partial(out, other, shape) as again:
        assert again.finished == 0
        assert again.overlap_rows is None


@pytest.mark.parametrize("broken", [b"", b"{}", b"[1]", b'{"key": "x", "done": "many"}'])
def test_a_broken_state_begins_anew(tmp_path, broken):
    out, shape = tmp_path / "p.tif", (4, 4, 1)
    interrupted(out, [], shape)
    (tmp_path / ".p.tif.strips" / "state.json").write_bytes(broken)
    with open_partial(out, [], shape) as again:
        assert again.finished == 0


def test_a_prediction_that_fails_before_its_first_strip_leaves_nothing(tmp_path):
    with suppress(OSError), open_partial(tmp_path / "p.tif", [], (4, 4, 1)) as first:
        first.folder.mkdir()
        raise OSError
    assert list(tmp_path.iterdir()) == []
