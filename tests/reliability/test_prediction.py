"""A prediction that is killed goes on where it was, and gives what one that was left alone gives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.geo import raster
from tests.conftest import ROOT
from tests.core.inference.test_engine import make_run
from tests.core.tile_factory import grid_at, make_tile


def predicting(run: Path, image: Path, out: Path, pause_s: float = 0.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.reliability.predicting", str(run), str(image), str(out), str(pause_s)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_prediction_goes_on_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run").path
    image = make_tile(tmp_path, grid=grid_at(size=500, pixel_m=0.3)).image
    with predicting(run, image, tmp_path / "whole.tif") as left_alone:
        windows = len(left_alone.communicate()[0].splitlines())
    killed, out = 0, tmp_path / "found" / "p.tif"
    seen: list[int] = []
    for kill_at in (3, 2):
        with predicting(run, image, out, 0.05) as child:
            assert child.stdout is not None
            across = round(windows**0.5)
            for n, line in enumerate(child.stdout):
                seen.append(int(line.split()[2]))
                if n == kill_at * across:
                    child.kill()
                    killed += 1
                    break
        assert not out.exists()
    with predicting(run, image, out) as last:
        rest = [int(line.split()[2]) for line in last.communicate()[0].splitlines()]
    print(f"prediction of {windows} windows killed {killed} times, the last start computed {len(rest)} of them")
    assert killed == 2
    assert rest[0] > 4 * across, "the strips that were whole are not computed again"
    assert [path.name for path in out.parent.iterdir()] == ["p.tif"]
    found, expected = (raster.read(path).pixels for path in (out, tmp_path / "whole.tif"))
    np.testing.assert_array_equal(found, expected)
