"""What version 0.6.2 left behind, as make_v0_6_2.py made it: a data folder, and what that version answered."""

import json
import lzma
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.settings import settings
from tests.conftest import ROOT

FIXTURES = Path(__file__).parent / "v0_6_2"
AOI = "AOI_0_Sample"
TILES = tuple(f"{AOI}_img{n}" for n in range(1, 5))
STARTER = ROOT / "models" / "weights" / "starter"


def stored(name: str) -> Any:
    """The values of a JSON file of the fixtures."""
    path = FIXTURES / name
    return json.loads(lzma.open(path).read() if path.suffix == ".xz" else path.read_bytes())


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder as it was; nobody may change it."""
    folder = tmp_path_factory.mktemp("v0_6_2")
    with tarfile.open(FIXTURES / "data.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "data"


def move_data(data: Path) -> None:
    """Write the new place of the data folder where absolute paths stand: into the catalog and the uploads."""
    old, new = stored("expected.json")["data"], str(data)
    table = pq.read_table(data / "catalog.parquet")
    for n, column in enumerate(table.schema):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            values = [value and value.replace(old, new) for value in table[n].to_pylist()]
            table = table.set_column(n, column, pa.array(values, column.type))
    pq.write_table(table, data / "catalog.parquet")
    for file in data.glob("uploads/*/upload.json"):
        file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")


@contextmanager
def data_at(folder: Path, unpacked: Path) -> Iterator[Path]:
    """A copy of the data folder, in which Groundplan works meanwhile."""
    shutil.copytree(unpacked, folder)
    shutil.copytree(STARTER, folder / "runs" / "starter")
    move_data(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROUNDPLAN_DATA", str(folder))
        settings.cache_clear()
        yield folder
    settings.cache_clear()


@pytest.fixture(scope="module")
def data(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One copy for all tests of a file."""
    with data_at(tmp_path_factory.mktemp("groundplan") / "data", unpacked) as folder:
        yield folder


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """What 0.6.2 counted, scored and predicted."""
    return stored("expected.json")


@pytest.fixture(scope="session")
def probabilities() -> Callable[[str], np.ndarray]:
    """What a run of 0.6.2 predicted for the second tile, (rows, columns), of every second pixel."""
    with np.load(FIXTURES / "expected.npz") as arrays:
        levels = {name: arrays[name] for name in arrays}
    return lambda run: levels[run].astype(np.float32) / 65535


def image_of(data: Path, tile: str) -> Path:
    return data / "sample-city" / f"{AOI}_Train" / "RGB-PanSharpen" / f"RGB-PanSharpen_{tile}.tif"
