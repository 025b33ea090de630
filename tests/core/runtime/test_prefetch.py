import threading
from contextlib import closing

import pytest

from core.runtime.prefetch import prefetch


@pytest.mark.parametrize("depth", [1, 3, 50])
@pytest.mark.parametrize("pieces", [0, 1, 10])
def test_everything_comes_in_order(depth, pieces):
    assert list(prefetch(lambda n: n * n, range(pieces), depth)) == [n * n for n in range(pieces)]


def test_the_next_piece_is_made_while_the_last_one_is_worked_on():
    made = [threading.Event() for _ in range(4)]

    def make(n: int) -> int:
        made[n].set()
        return n

    with closing(prefetch(make, range(4), depth=2)) as pieces:
        assert next(pieces) == 0
        assert made[2].wait(5)
        assert not made[3].is_set()


def test_what_goes_wrong_is_told_where_the_piece_is_asked_for():
    pieces = prefetch(lambda n: 1 // n, [1, 0])
    assert next(pieces) == 1
    with pytest.raises(ZeroDivisionError):
        next(pieces)


def test_closing_waits_for_the_piece_under_way():
    going, gone = threading.Event(), []

    def make(n: int) -> int:
        if n:
            going.set()
            threading.Event().wait(0.05)
            gone.append(n)
        return n

    pieces = prefetch(make, range(9), depth=1)
    next(pieces)
    going.wait(5)
    pieces.close()
    assert gone == [1]
