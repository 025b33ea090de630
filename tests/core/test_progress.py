"""Remaining time from shares."""

import os
import signal

import pytest

from core import progress
from core.progress import Stopwatch, silent, stop_requested


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


def test_what_was_done_before_does_not_make_the_rest_shorter(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    watch = Stopwatch(started=0.0)
    for seconds, share in ((10.0, 0.1), (10.1, 0.5)):
        clock[0] = seconds
        watch.at(share, "reading")
    clock[0] = 30.1
    assert watch.at(0.6, "training").remaining_s == pytest.approx(20 / 0.1 * 0.4)


def test_ctrl_c_asks_for_the_end_and_a_second_one_interrupts():
    with stop_requested() as finish:
        assert not finish()
        os.kill(os.getpid(), signal.SIGINT)
        assert finish()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
