"""Labels of an upload: checked against its image, kept in longitude and latitude, replaced, removed."""

import io
from pathlib import Path

import numpy as np
import orjson
import pytest
import shapely
from shapely import box

from core.catalog.register import set_label_offset
from core.catalog.store import read_catalog
from core.catalog.tile_labels import read_tile_labels
from core.errors import (
    DiskFull,
    FootprintsWithoutCRS,
    LabelsOfOtherImages,
    LabelsOutsideImage,
    NotFootprintsCSV,
    NotGeoJSON,
    UnknownFootprintFormat,
)
from core.geo import raster
from core.geo.vector import Footprints, read_footprints
from core.geo.vector_writers import write_footprints
from core.uploads.ingest import ingest
from core.uploads.labels import delete_labels, save_labels
from core.uploads.upload import Upload, receive
from tests.core.geotiff import pixels_of, write_geotiff
from tests.core.tile_factory import HOUSES, UTM, grid_at, write_labels

pytestmark = pytest.mark.usefixtures("data")
CSV = "ImageId,BuildingId,PolygonWKT_Pix\n"


@pytest.fixture
def tile(tmp_path: Path):
    """On the map, without labels."""
    return ingest(write_geotiff(tmp_path / "roofs.tif", pixels_of()))


def geojson(folder: Path, houses=HOUSES, column: float = 0) -> io.BytesIO:
    return io.BytesIO(write_labels(folder / "made.geojson", grid_at(column=column), houses).read_bytes())


def test_labels_of_a_tile_on_the_map_are_in_the_catalogue(tmp_path, tile):
    upload = save_labels(tile.id, geojson(tmp_path), "roofs.geojson")
    row = read_catalog().tile(tile.id)
    assert (row.buildings, row.is_labeled, row.repairs) == (2, True, "")
    assert row.labels == upload.folder / "labels.geojson"
    assert shapely.hausdorff_distance(read_tile_labels(row).pixels, np.array(HOUSES)).max() < 0.05
    assert row.built_share == pytest.approx((16 * 16 + 20 * 20) / 64**2, rel=0.02)


def test_labels_before_the_tile_is_made_come_with_it(tmp_path):
    path = write_geotiff(tmp_path / "roofs.tif", pixels_of())
    upload = receive(io.BytesIO(path.read_bytes()), "roofs.tif")
    upload = save_labels(upload.id, geojson(tmp_path), "roofs.geojson")
    assert upload.labels is not None
    assert upload.labels.buildings == 2
    assert read_catalog().tiles == ()


def test_only_buildings_that_touch_the_image_are_counted(tmp_path, tile):
    houses = [*HOUSES, box(60, 60, 70, 70), box(90, 90, 99, 99)]
    save_labels(tile.id, geojson(tmp_path, houses), "city.geojson")
    assert read_catalog().tile(tile.id).buildings == 3


def test_buildings_that_can_be_moved_onto_the_image_are_kept(tmp_path, tile):
    west = [box(-190, 8, -180, 18), box(-230, 8, -220, 18)]  # 90 and 110 m from the rim
    save_labels(tile.id, geojson(tmp_path, [*HOUSES, *west]), "city.geojson")
    row = read_catalog().tile(tile.id)
    assert (row.buildings, len(read_footprints(row.labels))) == (2, 3)
    moved = set_label_offset(tile.id, 99.0, 0.0)
    assert moved.buildings == 1
    assert moved.built_share == pytest.approx(10 * 10 / 64**2, rel=0.2)


def test_no_buildings_at_all_is_a_label_too(tmp_path, tile):
    save_labels(tile.id, geojson(tmp_path, []), "desert.geojson")
    row = read_catalog().tile(tile.id)
    assert (row.is_labeled, row.buildings, row.built_share) == (True, 0, 0.0)


@pytest.mark.parametrize(("column", "said"), [(4000, "2.0 km"), (-400_000, "200.")])
def test_labels_of_another_place_are_told_how_far_off_they_are(tmp_path, tile, column, said):
    with pytest.raises(LabelsOutsideImage, match=rf"roofs.geojson has 2 footprints, .* {said}"):
        save_labels(tile.id, geojson(tmp_path, column=column), "roofs.geojson")
    assert not read_catalog().tile(tile.id).is_labeled


def test_labels_beyond_the_projection_are_elsewhere(tmp_path, tile):
    shape = box(-27, -0.01, -26.99, 0.01)
    text = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {}, "geometry": orjson.loads(shapely.to_geojson(shape))}
    ]}  # fmt: skip
    with pytest.raises(LabelsOutsideImage, match="km away"):
        save_labels(tile.id, io.BytesIO(orjson.dumps(text)), "far.geojson")


@pytest.mark.parametrize(("file", "content", "error"), [
    ("a.geojson", b"{", NotGeoJSON), ("a.geojson", b"[]", NotGeoJSON), ("a.csv", b"x,y\n1,2\n", NotFootprintsCSV),
    ("a.shp", b"", UnknownFootprintFormat), ("a", b"{}", UnknownFootprintFormat), ("", b"{}", UnknownFootprintFormat),
    ("a.geojson", b"<OGRVRTDataSource/>", NotGeoJSON),
])  # fmt: skip
def test_what_is_no_label_file_is_refused_and_the_old_ones_stay(tmp_path, tile, file, content, error):
    save_labels(tile.id, geojson(tmp_path), "roofs.geojson")
    before = read_catalog()
    with pytest.raises(error, match=file or "The file"):
        save_labels(tile.id, io.BytesIO(content), file)
    assert read_catalog() == before
    assert len(read_footprints(before.tile(tile.id).labels)) == 2
    assert sorted(path.name for path in Upload.find(tile.id).folder.iterdir()) == [
        "image.tif", "labels.geojson", "upload.json",
    ]  # fmt: skip


def test_metres_without_a_crs_are_told(tile):
    ring = [[660_000, 4_000_000], [660_010, 4_000_000], [660_010, 4_000_010], [660_000, 4_000_000]]
    text = {"features": [{"geometry": {"type": "Polygon", "coordinates": [ring]}}]}
    with pytest.raises(FootprintsWithoutCRS, match="metres"):
        save_labels(tile.id, io.BytesIO(orjson.dumps(text)), "metres.geojson")


def test_mended_geometries_are_counted(tmp_path, tile):
    bow_tie = shapely.Polygon([(4, 4), (20, 20), (20, 4), (4, 20)])
    save_labels(tile.id, geojson(tmp_path, [bow_tie, HOUSES[1]]), "roofs.geojson")
    assert read_catalog().tile(tile.id).repairs == "1 invalid polygon repaired"


def test_what_else_a_file_holds_is_not_kept(tmp_path, tile):
    text = orjson.loads(geojson(tmp_path).read())
    text["features"][0]["properties"] = {"<img src=x onerror=alert(1)>": "${evil}"}
    upload = save_labels(tile.id, io.BytesIO(orjson.dumps(text)), "roofs.geojson")
    assert b"evil" not in (upload.folder / "labels.geojson").read_bytes()
    assert b"onerror" not in (upload.folder / "labels.geojson").read_bytes()


# SpaceNet's tables are in pixels and name images


def test_a_table_of_one_image_is_that_of_this_one(tile):
    save_labels(tile.id, io.BytesIO(f'{CSV}whatever,1,"{HOUSES[0].wkt}"\n'.encode()), "roofs.csv")
    row = read_catalog().tile(tile.id)
    assert row.buildings == 1
    assert shapely.hausdorff_distance(read_tile_labels(row).pixels[0], HOUSES[0]) < 0.05


def test_of_a_table_of_many_the_one_named_like_the_file_is_taken(tile):
    rows = f'other,1,"{HOUSES[0].wkt}"\nroofs,1,"{HOUSES[0].wkt}"\nroofs,2,"{HOUSES[1].wkt}"\n'
    save_labels(tile.id, io.BytesIO((CSV + rows).encode()), "all.csv")
    assert read_catalog().tile(tile.id).buildings == 2


def test_a_table_of_many_others_is_refused(tile):
    rows = f'one,1,"{HOUSES[0].wkt}"\ntwo,1,"{HOUSES[0].wkt}"\n'
    with pytest.raises(LabelsOfOtherImages, match="lists several images, but not roofs"):
        save_labels(tile.id, io.BytesIO((CSV + rows).encode()), "all.csv")


# Replaced, moved, removed


def test_new_labels_lie_where_their_file_has_them(tmp_path, tile):
    save_labels(tile.id, geojson(tmp_path), "roofs.geojson")
    set_label_offset(tile.id, 3.0, -2.0)
    save_labels(tile.id, geojson(tmp_path, HOUSES[:1]), "roofs.geojson")
    row = read_catalog().tile(tile.id)
    assert (row.buildings, row.offset_m) == (1, (0.0, 0.0))


def test_a_kill_between_labels_and_catalogue_leaves_no_new_labels_moved_as_the_old_ones(tmp_path, tile, monkeypatch):
    save_labels(tile.id, geojson(tmp_path), "roofs.geojson")
    set_label_offset(tile.id, 3.0, -2.0)

    def kill(_upload):
        raise SystemExit(137)

    monkeypatch.setattr("core.uploads.labels._save_with_tile", kill)
    with pytest.raises(SystemExit):
        save_labels(tile.id, geojson(tmp_path, HOUSES[:1]), "roofs.geojson")
    row = read_catalog().tile(tile.id)
    assert (len(read_footprints(row.labels)), row.offset_m) == (1, (0.0, 0.0))


def test_labels_that_cannot_be_written_leave_the_old_ones_where_they_were(tmp_path, tile, monkeypatch):
    save_labels(tile.id, geojson(tmp_path), "roofs.geojson")
    before = set_label_offset(tile.id, 3.0, -2.0)

    def full(*_):
        raise DiskFull(name="labels.geojson")

    monkeypatch.setattr("core.uploads.labels.write_footprints", full)
    with pytest.raises(DiskFull):
        save_labels(tile.id, geojson(tmp_path, HOUSES[:1]), "roofs.geojson")
    assert read_catalog().tile(tile.id) == before
    assert len(read_footprints(before.labels)) == 2


def test_labels_are_taken_away(tmp_path, tile):
    upload = save_labels(tile.id, geojson(tmp_path), "roofs.geojson")
    delete_labels(tile.id)
    row = read_catalog().tile(tile.id)
    assert (row.is_labeled, row.buildings, row.built_share) == (False, None, None)
    assert not (upload.folder / "labels.geojson").exists()
    assert read_catalog().tile(tile.id) == tile
    delete_labels(tile.id)


def test_the_built_share_of_a_large_image_is_counted_on_a_smaller_copy(tmp_path, monkeypatch, tile):
    monkeypatch.setattr("core.catalog.scan._MASK_SIDE", 16)
    save_labels(tile.id, geojson(tmp_path), "roofs.geojson")
    assert read_catalog().tile(tile.id).built_share == pytest.approx((16 * 16 + 20 * 20) / 64**2, rel=0.15)


def test_labels_of_any_crs_fit(tmp_path, tile):
    ground = Footprints.of(grid_at().to_map(np.array(HOUSES)), UTM)
    path = write_footprints(ground, tmp_path / "made.geojson")
    save_labels(tile.id, io.BytesIO(path.read_bytes()), "made.json")
    assert raster.read_info(tile.image).grid.crs == UTM
    assert read_catalog().tile(tile.id).buildings == 2
