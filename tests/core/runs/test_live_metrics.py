from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core import atomic_files
from core.errors import DiskFull
from core.runs.live_metrics import LiveMetrics, end_live, read_steps

NOW = LiveMetrics(3, 10, 5, 20, 0.25, 1e-3, 41.5, 1_000_000, datetime.now(UTC).replace(microsecond=0))


def test_the_latest_step_is_read(tmp_path):
    for batch in (5, 6):
        replace(NOW, batch=batch).write(tmp_path)
    assert LiveMetrics.read(tmp_path) == replace(NOW, batch=6)
    assert read_steps(tmp_path).empty


def test_the_steps_make_a_curve(tmp_path):
    for batch in (5, 10):
        replace(NOW, batch=batch, loss=1 / batch).append_step(tmp_path)
    table = read_steps(tmp_path)
    assert table["epoch"].tolist() == [2.25, 2.5]
    assert table["loss"].tolist() == [0.2, 0.1]
    assert list(table.columns) == ["epoch", "loss", "learning_rate", "images_s"]


def test_before_and_after_a_training_nothing_is_live(tmp_path):
    assert LiveMetrics.read(tmp_path) is None
    assert read_steps(tmp_path).empty
    NOW.write(tmp_path)
    NOW.append_step(tmp_path)
    end_live(tmp_path)
    assert LiveMetrics.read(tmp_path) is None
    assert len(read_steps(tmp_path)) == 1
    end_live(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"updated": "x"}'])
def test_what_cannot_be_read_is_not_live(tmp_path, text):
    (tmp_path / "live.json").write_text(text)
    assert LiveMetrics.read(tmp_path) is None


def test_a_full_disk_does_not_end_the_training_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files.tempfile, "mkstemp", lambda **_: (_ for _ in ()).throw(OSError(28, "full")))
    NOW.write(tmp_path)
    with pytest.raises(DiskFull), atomic_files.atomic_write(tmp_path / "x"):
        pass
    assert list(tmp_path.iterdir()) == []
