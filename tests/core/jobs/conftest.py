import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.jobs.queue import Queue
from core.settings import settings


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """An empty queue in a data folder of its own, also for processes the test starts. At the end its file is whole.

    A test that damages the file takes it away.
    """
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    made = Queue(settings().queue)
    yield made
    settings.cache_clear()
    if made.path.is_file():
        with closing(sqlite3.connect(made.path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
