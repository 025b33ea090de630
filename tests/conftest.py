"""What several test files use."""

from pathlib import Path

import pyogrio  # noqa: F401  before keras, or GDAL finds TensorFlow's SQLite (core.backend)
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real tiles beside the checkout."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data is not here: {folder}")
    return folder
