"""Debian's own GDAL opens what was exported: another build, and years older, than the one that wrote it.

It has no driver for GeoParquet; pyarrow and GeoPandas read that in test_footprints.
"""

import json
import shutil
import subprocess

import pytest

from core.catalog.store import read_catalog
from core.exports.footprints import write_area
from core.exports.rasters import LAYERS, write_rasters
from core.geo.vector_writers import FORMATS, Provenance, write_footprints
from tests.core.fake_predictions import TILES, made
from tests.core.geo.test_vector_writers import GRID, made_up

pytestmark = pytest.mark.skipif(not shutil.which("ogrinfo"), reason="Debian's gdal-bin is not installed")
OPENED = [suffix for suffix in FORMATS if suffix != ".parquet"]


def said(*command):
    """By a program of the system, without anything that this environment tells GDAL."""
    found = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"})
    assert found.returncode == 0, found.stderr
    assert not found.stderr, "a warning"
    return found.stdout


def opened(path):
    name = f"/vsizip/{path}" if path.name.endswith(".zip") else str(path)
    return said("ogrinfo", "-ro", "-al", "-so", name)


@pytest.mark.parametrize("suffix", OPENED)
def test_footprints_with_their_fields(suffix, tmp_path):
    origin = Provenance("AOI_2_Vegas_img1", "a run", "unet", "2015-10-22", "SpaceNet, CC BY-SA 4.0")
    text = opened(write_footprints(made_up(GRID), tmp_path / f"houses{suffix}", GRID, origin))
    assert "Feature Count: 2" in text
    if suffix != ".csv":
        assert "Geometry: Polygon" in text
        short = suffix.startswith(".shp")
        for field in ("id", "confidence", "area_m2", "perim_m" if short else "perimeter_m", "tile", "run", "model",
                      "date" if short else "imagery_date", "licence"):  # fmt: skip
            assert f"\n{field}: " in text


@pytest.mark.parametrize("suffix", OPENED)
def test_footprints_of_several_tiles(suffix, tmp_path, monkeypatch):
    with made(tmp_path, monkeypatch) as (_, run):
        write_area(run, read_catalog().tiles, tmp_path / f"all{suffix}")
    # SpaceNet's CSV has a row for a tile without buildings, too.
    assert f"Feature Count: {5 if suffix == '.csv' else 4}" in opened(tmp_path / f"all{suffix}")


def test_rasters_are_cogs_with_their_ground(tmp_path, monkeypatch):
    with made(tmp_path, monkeypatch) as (run, _):
        write_rasters(run, [read_catalog().tile(TILES[0])], tmp_path / "rasters", LAYERS)
    for path in (tmp_path / "rasters").iterdir():
        facts = json.loads(said("gdalinfo", "-json", str(path)))
        assert facts["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
        assert facts["size"] == [64, 64]
        assert "coordinateSystem" in facts
    assert len(list((tmp_path / "rasters").iterdir())) == len(LAYERS)
