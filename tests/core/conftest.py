"""A data folder of a test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import settings


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder nothing was added to; it does not exist yet."""
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield tmp_path / "data"
    settings.cache_clear()
