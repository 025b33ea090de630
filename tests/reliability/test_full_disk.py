"""The k-th write fails, for every k: the state before or the state after, never a broken one."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """full_disk.c, which stands between a program and the system."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no C compiler to build full_disk.c with")
    made = tmp_path_factory.mktemp("library") / "full_disk.so"
    source = Path(__file__).with_name("full_disk.c")
    run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", made, source, "-ldl"], check=True)
    return made


@pytest.fixture
def fast() -> Iterator[Path]:
    """A folder in memory where there is one: a thousand queues are made, and each syncs."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["lasting", "once"])
def test_a_disk_that_is_full_from_any_write_on_leaves_the_old_or_the_new_state(library: Path, fast: Path, how: str):
    environment = os.environ | {"LD_PRELOAD": str(library), "GROUNDPLAN_DATA": str(fast / "data")}
    done = run(
        [sys.executable, "-m", "tests.reliability.full_disk", how],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(f"\n{found['writes']} writes, each failed ({how}): {len(found['broken'])} broken states")
    assert found["writes"] > 60
    assert found["broken"] == []
