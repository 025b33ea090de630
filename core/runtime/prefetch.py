"""Reading ahead: the next piece is made by a thread while the last one is worked on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(make: Callable[[T], R], pieces: Iterable[T], depth: int = 1) -> Generator[R, None, None]:
    """What `make` gives for each piece, in order, up to `depth` of them made before they are asked for.

    Closing it waits for the one under way: only then may what is read from be closed.
    """
    with ThreadPoolExecutor(1) as maker:
        coming: deque[Future[R]] = deque()
        try:
            for piece in pieces:
                coming.append(maker.submit(make, piece))
                if len(coming) > depth:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for waiting in coming:
                waiting.cancel()
