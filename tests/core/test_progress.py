"""Remaining time from shares."""

import pytest

from core import progress
from core.progress import Stopwatch, silent


def test_the_rest_goes_on_as_fast_as_it_went(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 130.0)
    now = Stopwatch(started=100.0).at(0.25, "training")
    assert (now.share, now.doing) == (0.25, "training")
    assert now.remaining_s == pytest.approx(90.0)


def test_at_first_nobody_can_tell(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 130.0)
    assert Stopwatch(started=100.0).at(0.0, "starting").remaining_s is None


def test_done_leaves_nothing():
    assert Stopwatch().at(1.0, "done").remaining_s == 0


def test_work_nobody_waits_for_may_report():
    assert silent(0.5, "reading") is None
