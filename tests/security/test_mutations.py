"""2,000 damaged GeoTIFFs of six codecs: each is let in or refused with a sentence; no crash, no hang."""

import json
import subprocess

import pytest

from core.errors import RasterError
from tests.security.child import RASTER_DOORS, run
from tests.security.mutations import CODECS, mutated, write_whole

FILES, AT_ONCE = 2000, 500
#: Seconds for 500 files; they take about ten, on a busy machine four times as many.
PATIENCE_S = 150.0
OURS = {kind.__name__ for kind in RasterError.__subclasses__()} | {"let in"}


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_no_damaged_geotiff_kills_or_holds_up_the_process(tmp_path):
    write_whole(tmp_path)
    told: dict[str, int] = {}
    for first in range(0, FILES, AT_ONCE):
        try:
            answer = run("mutated", str(tmp_path), str(first), str(first + AT_ONCE), patience_s=PATIENCE_S)
        except subprocess.SubprocessError as error:
            lines = (error.stdout or b"").decode().splitlines()[-1:]
            pytest.fail(f"{type(error).__name__} at file and door {lines}: {(error.stderr or b'').decode()[-2000:]}")
        for outcome, count in json.loads(answer).items():
            told[outcome] = told.get(outcome, 0) + count
    print(told)
    assert sum(told.values()) == FILES * len(RASTER_DOORS)
    assert set(told) <= OURS
    assert told["TruncatedRaster"] > FILES / 5, "otherwise nothing was damaged"
    assert told["let in"] > FILES / 5, "otherwise nothing got as far as the pixels"


def test_the_same_number_is_the_same_file(tmp_path):
    write_whole(tmp_path)
    files = [mutated(tmp_path, number) for number in range(60)]
    assert files == [mutated(tmp_path, number) for number in range(60)]
    assert len(set(files)) == 60
    assert len(CODECS) >= 5
