"""The k-th write fails or is half done, for every k: the state before or the state after, never a broken one."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Any

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


def under(library: Path, data: Path, program: str, *arguments: str) -> dict[str, Any]:
    """What a program of this folder finds, with full_disk.c between it and the system."""
    environment = os.environ | {"LD_PRELOAD": str(library), "GROUNDPLAN_DATA": str(data)}
    command = [sys.executable, "-m", f"tests.reliability.{program}", *arguments]
    done = run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["lasting", "once", "half"])
def test_a_disk_that_is_full_from_any_write_on_leaves_the_old_or_the_new_state(library: Path, fast: Path, how: str):
    found = under(library, fast / "data", "full_disk", how)
    print(f"\nqueue: {found['writes']} writes, each failed ({how}): {len(found['broken'])} broken states")
    assert found["writes"] > 60
    assert found["broken"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("how", "told"), [("lasting", 100), ("once", 30), ("half", 0)])
def test_a_training_on_a_full_disk_says_so_breaks_nothing_and_goes_on_the_same(
    library: Path, fast: Path, how: str, told: int
):
    """What only looks on, such as the film, is switched off instead."""
    found = under(library, fast / "data", "full_disk_training", str(fast), how)
    words = f"{found['writes']} writes, each failed ({how}): {found['said']} said so, {len(found['broken'])} broken"
    print(f"\ntraining: {words}")
    assert found["writes"] > 100
    assert found["said"] >= told
    assert found["broken"] == []
