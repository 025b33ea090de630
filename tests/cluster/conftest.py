from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from core.jobs.queue import Queue
from tests.cluster.head import Head
from tests.core.jobs.conftest import queue

__all__ = ["queue"]


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """One for all tests: it takes ten seconds to start."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install -r requirements-ray.txt")
    made = Head()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def cluster(head: Head, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Queue:
    """An empty queue whose worker is to use that head."""
    for name, value in head.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GROUNDPLAN_LAUNCHER", "ray")
    return queue
