"""`python -m core download`: what it says, what it leaves, and its exit status."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.catalog.store import read_catalog
from core.cli import main
from core.settings import settings
from tests.core.spacenet_bucket import VEGAS, FakeBucket

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bucket: FakeBucket
) -> Iterator[Run]:
    """Runs the command over a data folder of its own and a bucket with two tiles; status, stdout, stderr."""
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    for number in (1, 2):
        bucket.put_tile(VEGAS, number)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["core", "download", *arguments])
        with pytest.raises(SystemExit) as end:
            main.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    yield command
    settings.cache_clear()


def test_it_brings_registers_and_tells_what_is_missing(run: Run) -> None:
    status, out, err = run("--aoi", VEGAS, "--tiles", "1-3", "--products", "PS-RGB, geojson_buildings, MS")
    assert status == 0
    assert out.startswith("2 tiles in 1 area, all labeled, 4 buildings")
    assert "The SpaceNet bucket has no PS-RGB and geojson_buildings and MS for tiles 3 of AOI_2_Vegas." in err
    assert [set(tile.products) for tile in read_catalog().tiles] == [{"PS-RGB", "MS"}] * 2


def test_a_dry_run_tells_sizes_and_licence_and_brings_nothing(run: Run) -> None:
    status, out, _ = run("--aoi", VEGAS, "--tiles", "1-2", "--dry-run")
    assert status == 0
    assert "4 files" in out
    assert "CC BY-SA 4.0" in out
    assert read_catalog().tiles == ()
    assert not settings().spacenet.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--aoi", "AOI_9_Mars", "--tiles", "1"), "AOI_9_Mars is not a SpaceNet area"),
        (("--aoi", VEGAS, "--tiles", "x"), "Invalid tile numbers"),
        (("--aoi", VEGAS, "--tiles", "1", "--products", "PAN"), "no product PAN"),
        (("--aoi", VEGAS, "--tiles", "77"), "no files of the tiles 77"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_status_2(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err
