from collections.abc import Iterator
from pathlib import Path

import pytest

from core.jobs.store import Queue
from core.settings import settings


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """An empty queue in a data folder of its own, also for processes the test starts."""
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield Queue(settings().queue)
    settings.cache_clear()
