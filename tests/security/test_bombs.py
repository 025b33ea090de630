"""Bombs are refused before they are unpacked: in half a second (two for footprints) and with less than 50 MB."""

from pathlib import Path

import numpy as np
import orjson
import pytest
import shapely

from core.geo.vector import read_footprints
from tests.security import bombs
from tests.security.child import RASTER_DOORS, opened

#: Seconds and megabytes that the issue allows.
RASTER_S, VECTOR_S, MORE_MB = 0.5, 2.0, 50.0
TABLES = {bombs.giant_wkt, bombs.many_columns, bombs.many_rows, bombs.nested_wkt}

pytestmark = pytest.mark.slow


def named(bomb, folder: Path) -> Path:
    return folder / f"bomb.{'csv' if bomb in TABLES else 'geojson'}"


@pytest.mark.parametrize("bomb", bombs.RASTERS, ids=lambda bomb: bomb.__name__)
def test_a_raster_bomb_is_refused_unpacked(tmp_path, bomb):
    path = bomb(tmp_path / "bomb.tif")
    assert path.stat().st_size < 250_000
    for found in opened(path, *RASTER_DOORS):
        print(found)
        assert found.error == bombs.RASTERS[bomb]
        assert found.words.startswith("bomb.tif ")
        assert found.seconds < RASTER_S
        assert found.more_mb < MORE_MB


def test_tiles_that_a_file_does_not_have_take_no_memory(tmp_path):
    path = bombs.million_tiles(tmp_path / "bomb.tif")
    described, read = opened(path, "describe", "small")
    assert (described.error, read.error) == ("", "TruncatedRaster")
    assert max(described.seconds, read.seconds) < RASTER_S
    assert max(described.more_mb, read.more_mb) < MORE_MB


@pytest.mark.parametrize("bomb", bombs.VECTORS, ids=lambda bomb: bomb.__name__)
def test_a_footprint_bomb_is_refused_unparsed(tmp_path, bomb):
    [found] = opened(bomb(named(bomb, tmp_path)), "footprints")
    print(found)
    assert found.error == bombs.VECTORS[bomb]
    assert found.words.startswith("bomb.")
    assert found.seconds < VECTOR_S
    assert found.more_mb < MORE_MB


@pytest.mark.parametrize("bomb", [bombs.tangle, bombs.far_away, bombs.nested_wkt], ids=lambda bomb: bomb.__name__)
def test_a_single_impossible_building_is_left_out_in_time(tmp_path, bomb):
    path = bomb(named(bomb, tmp_path))
    [found] = opened(path, "footprints")
    print(found)
    assert found.error == ""
    assert found.seconds < VECTOR_S
    read = read_footprints(path)
    assert (len(read), read.repairs.dropped) == (0, 1)


def test_a_real_town_is_no_bomb(tmp_path):
    """40,000 buildings of 12 vertices, with what OpenStreetMap says of each."""
    corners = shapely.Point(0, 0).buffer(1e-4, quad_segs=3)
    about = {"osm_id": 1, "building": "yes", "name": "a, b [c]", "height": 3.5, "levels": 2}
    ring = shapely.get_coordinates(corners)
    features = [
        {
            "type": "Feature", "properties": about, "bbox": [0.0, 0.0, 1.0, 1.0],
            "geometry": {"type": "Polygon", "coordinates": [(ring + np.array([n * 1e-3, 0])).tolist()]},
        }
        for n in range(40_000)
    ]  # fmt: skip
    (tmp_path / "town.geojson").write_bytes(orjson.dumps({"type": "FeatureCollection", "features": features}))
    assert len(read_footprints(tmp_path / "town.geojson")) == 40_000
