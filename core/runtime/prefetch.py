"""Prefetch: the next item is loaded in a background thread while the current one is processed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(load: Callable[[T], R], items: Iterable[T], depth: int = 1) -> Generator[R, None, None]:
    """Yield `load(item)` in order, computed in one background thread up to `depth` items ahead.

    Closing the generator waits for the running call, so the caller may close the file it reads afterwards.

    Args:
        load: Function called in the background thread.
        items: Its arguments.
        depth: Maximum number of results computed ahead.
    """
    with ThreadPoolExecutor(1) as executor:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(executor.submit(load, item))
                if len(pending) > depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
