"""The only door for footprints: nothing real data holds stops it, what is wrong with a whole file is one sentence."""

import errno
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from shapely import box

from core.errors import (
    CannotRead,
    FootprintsWithoutCRS,
    NoSuchPath,
    NotFootprintsCSV,
    NotGeoJSON,
    UnknownFootprintFormat,
    VectorTooLarge,
)
from core.geo.grid import LONLAT
from core.geo.vector import Footprints, Repairs, read_csv, read_footprints, read_geojson
from core.settings import settings
from tests.core.tile_factory import UTM

SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
BOW_TIE = [[5, 5], [6, 6], [6, 5], [5, 6], [5, 5]]
CRS84 = "urn:ogc:def:crs:OGC:1.3:CRS84"


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def geojson(folder, geometries, **members):
    features = [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in geometries]
    path = Path(folder) / "houses.geojson"
    path.write_bytes(orjson.dumps({"type": "FeatureCollection", **members, "features": features}))
    return path


def named(crs):
    return {"type": "name", "properties": {"name": crs}}


def csv(folder, rows, columns=("ImageId", "BuildingId", "PolygonWKT_Pix")):
    path = Path(folder) / "houses.csv"
    pd.DataFrame(rows, columns=list(columns)).to_csv(path, index=False)
    return path


@pytest.fixture
def limit(monkeypatch):
    def limit(name, value):
        monkeypatch.setenv(f"GROUNDPLAN_{name}", str(value))
        settings.cache_clear()

    yield limit
    settings.cache_clear()


# Shapes of GeoJSON


@st.composite
def houses(draw):
    """A turned house with some corners, with or without a courtyard, wound either way, with or without Z."""
    corners = draw(st.integers(3, 12))
    angles = np.sort(draw(st.floats(0, 6)) + np.arange(corners) * 2 * np.pi / corners)
    centre = np.array([draw(st.floats(-170, 170)), draw(st.floats(-80, 80))])
    ring = np.column_stack([np.cos(angles), np.sin(angles)]) * draw(st.floats(1e-5, 1e-2))
    rings = [ring + centre, *([ring * 0.3 + centre] if draw(st.booleans()) else [])]
    rings = [np.vstack([one, one[:1]]) for one in rings]
    rings = [one[::-1] if draw(st.booleans()) else one for one in rings]
    z = draw(st.sampled_from([[], [0.0], [12.5]]))
    return [[[*point, *z] for point in one.tolist()] for one in rings]


@tried(deadline=None)
@given(st.lists(houses(), min_size=1, max_size=5), st.booleans())
def test_any_polygon_comes_in_with_its_area(tmp_path_factory, found, together):
    geometries = [{"type": "MultiPolygon", "coordinates": [rings]} if together else polygon(*rings) for rings in found]
    footprints = read_geojson(geojson(tmp_path_factory.getbasetemp(), geometries))
    expected = [
        shapely.Polygon(np.array(outer)[:, :2], [np.array(hole)[:, :2] for hole in holes]).area
        for outer, *holes in found
    ]
    assert shapely.area(footprints.geometries) == pytest.approx(expected, rel=1e-9)
    assert not shapely.has_z(footprints.geometries).any()
    assert footprints.repairs == Repairs(multipart=len(found) * together)
    assert footprints.frame["id"].tolist() == list(range(1, len(found) + 1))


@pytest.mark.parametrize(
    ("geometry", "kept", "repairs"),
    [
        (None, 0, Repairs(dropped=1)),
        (polygon(), 0, Repairs(dropped=1)),
        ({"type": "MultiPolygon", "coordinates": []}, 0, Repairs(dropped=1, multipart=1)),
        ({"type": "Point", "coordinates": [0, 0]}, 0, Repairs(skipped=1)),
        ({"type": "LineString", "coordinates": SQUARE}, 0, Repairs(skipped=1)),
        (polygon(BOW_TIE), 2, Repairs(repaired=1)),
        (polygon([[0, 0]] * 4), 0, Repairs(dropped=1)),
        (polygon([[0, 0], [1, 1], [2, 2], [0, 0]]), 0, Repairs(dropped=1)),
        (polygon([[0, 0], [1, 1]]), 0, Repairs(dropped=1)),
        (polygon(SQUARE[:-1]), 1, Repairs()),
        (polygon(SQUARE, [[0.2, 0.2], [0.3, 0.3]]), 1, Repairs()),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE], [BOW_TIE]]}, 3, Repairs(repaired=1, multipart=1)),
        ({"type": "GeometryCollection", "geometries": [polygon(SQUARE), {"type": "Point"}]}, 1, Repairs(skipped=1)),
        (polygon([[0, 0], [1e308, 0], [1, 1], [0, 0]]), 0, Repairs(dropped=1)),
        (polygon([[0, 0], [None, 0], [1, 1], [0, 0]]), 0, Repairs(dropped=1)),
        (polygon([[0], [1], [2], [0]]), 0, Repairs(dropped=1)),
        (polygon([[0, 0], [1], [1, 1], [0, 0]]), 0, Repairs(dropped=1)),
        (polygon([{}, {}, {}, {}]), 0, Repairs(dropped=1)),
        (polygon({"a": 1}), 0, Repairs(dropped=1)),
        ({"type": "Polygon", "coordinates": 5}, 0, Repairs(dropped=1)),
        ({"type": "MultiPolygon", "coordinates": 5}, 0, Repairs(dropped=1)),
        ({"type": "MultiPolygon", "coordinates": "abc"}, 0, Repairs(dropped=1)),
        ({"type": "GeometryCollection", "geometries": 5}, 0, Repairs(dropped=1)),
        ({"type": "Circle", "coordinates": [SQUARE]}, 0, Repairs(dropped=1)),
        ("a word", 0, Repairs(dropped=1)),
    ],
)  # fmt: skip
def test_one_odd_geometry_is_counted_and_stops_no_other(tmp_path, geometry, kept, repairs):
    found = read_geojson(geojson(tmp_path, [polygon([[x + 10, y] for x, y in SQUARE]), geometry]))
    assert len(found) == kept + 1
    assert found.repairs == repairs
    assert shapely.is_valid(found.geometries).all()


def test_a_repaired_shape_keeps_its_ground(tmp_path):
    found = read_geojson(geojson(tmp_path, [polygon(BOW_TIE)]))
    assert shapely.area(found.geometries).tolist() == [0.25, 0.25]


def test_all_parts_of_a_multipolygon_are_kept(tmp_path):
    parts = [[[[x + shift, y] for x, y in SQUARE]] for shift in (0, 3, 6)]
    found = read_geojson(geojson(tmp_path, [{"type": "MultiPolygon", "coordinates": parts}]))
    assert [shape.bounds[0] for shape in found.geometries] == [0, 3, 6]


def test_features_may_be_anything(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_bytes(orjson.dumps({"features": [None, 5, "x", [], {}, {"geometry": polygon(SQUARE)}]}))
    found = read_geojson(path)
    assert (len(found), found.repairs) == (1, Repairs(dropped=5))


@pytest.mark.parametrize("text", [b"", b"  \n", b'{"type": "FeatureCollection", "features": []}'])
def test_an_empty_file_holds_no_buildings(tmp_path, text):
    (tmp_path / "a.geojson").write_bytes(text)
    found = read_footprints(tmp_path / "a.geojson")
    assert (len(found), found.crs, str(found.repairs)) == (0, LONLAT, "no repairs")


# Files that are no GeoJSON


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"type": "FeatureCollection",\n "features": [', "line 2 is not JSON"),
        (b"<OGRVRTDataSource/>", "line 1 is not JSON"),
        (b"\xff\xfe\x00", "line 1 is not JSON"),
        (b'{"features": [{"geometry": {"type": "Polygon", "coordinates": [[[NaN, 0]]]}}]}', "line 1 is not JSON"),
        (b'{"features": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is not JSON"),
        (b"[]", "no list of features"),
        (b'{"type": "Polygon", "coordinates": []}', "no list of features"),
        (b'{"features": {}}', "no list of features"),
        (b"null", "no list of features"),
    ],
    ids=["cut", "ogr-vrt", "utf-16", "nan", "deep", "list", "bare-polygon", "features-object", "null"],
)
def test_what_is_no_geojson_says_why(tmp_path, text, why):
    (tmp_path / "houses.geojson").write_bytes(text)
    with pytest.raises(NotGeoJSON, match=rf"^houses\.geojson is not a GeoJSON FeatureCollection \(.*{why}"):
        read_footprints(tmp_path / "houses.geojson")


def test_collections_inside_collections_are_followed_as_deep_as_json_goes(tmp_path):
    inner = polygon(SQUARE)
    for _ in range(400):
        inner = {"type": "GeometryCollection", "geometries": [inner]}
    text = str(inner).replace("'", '"')
    (tmp_path / "a.geojson").write_text(f'{{"features": [{{"geometry": {text}}}]}}')
    assert len(read_geojson(tmp_path / "a.geojson")) == 1


# CRS


@pytest.mark.parametrize("crs", [None, CRS84, "OGC:CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4326", 4326, ""])
def test_longitude_comes_first_whatever_the_crs_is_called(tmp_path, crs):
    members = {} if crs is None else {"crs": named(crs)}
    found = read_geojson(geojson(tmp_path, [polygon([[-115.2, 36.1], [-115.1, 36.1], [-115.1, 36.2]])], **members))
    assert found.crs == LONLAT
    assert found.geometries[0].bounds == (-115.2, 36.1, -115.1, 36.2)


METRES = polygon([[660_000, 4_000_000], [660_010, 4_000_000], [660_010, 4_000_010], [660_000, 4_000_010]])


@pytest.mark.parametrize("crs", ["EPSG:32611", "urn:ogc:def:crs:EPSG::32611", UTM.to_wkt(), "+proj=utm +zone=11"])
def test_metres_need_a_crs_and_are_taken_with_one(tmp_path, crs):
    found = read_geojson(geojson(tmp_path, [METRES], crs=named(crs)))
    assert found.area_m2 == pytest.approx([100], rel=2e-3)
    assert found.to_crs(LONLAT).geometries[0].centroid.coords[0] == pytest.approx((-115.2218, 36.1316), abs=1e-3)


@pytest.mark.parametrize(
    "member",
    [
        None, {}, named(CRS84), named("EPSG:4326"), named("nonsense"), named("EPSG:5703"), named("EPSG:4978"),
        named('LOCAL_CS["here",UNIT["m",1]]'), named({"a": 1}), named([1, 2]), "EPSG:32611", 5, {"type": "name"},
        {"type": "name", "properties": None}, {"type": "link", "properties": {"href": "http://x"}},
    ],
)  # fmt: skip
def test_metres_without_a_crs_that_fits_are_refused(tmp_path, member):
    with pytest.raises(FootprintsWithoutCRS, match=r"^houses\.geojson has coordinates that are not longitude"):
        read_geojson(geojson(tmp_path, [METRES], crs=member))


def test_metres_beyond_their_projection_are_refused(tmp_path):
    far = polygon([[1e12, 1e12], [2e12, 1e12], [2e12, 2e12]])
    with pytest.raises(FootprintsWithoutCRS):
        read_geojson(geojson(tmp_path, [far], crs=named("EPSG:32611")))


# Limits


def test_a_large_file_is_refused_by_its_bytes(tmp_path, limit):
    path = geojson(tmp_path, [polygon(SQUARE)])
    size = path.stat().st_size
    limit("MAX_VECTOR_BYTES", size - 1)
    with pytest.raises(
        VectorTooLarge, match=rf"houses\.geojson has {size} bytes, .* raise GROUNDPLAN_MAX_VECTOR_BYTES"
    ):
        read_footprints(path)
    limit("MAX_VECTOR_BYTES", size)
    assert len(read_footprints(path)) == 1


@pytest.mark.parametrize("suffix", ["geojson", "csv"])
def test_many_vertices_are_refused(tmp_path, limit, suffix):
    wkt = shapely.Polygon(SQUARE).wkt
    path = (
        geojson(tmp_path, [polygon(SQUARE)] * 4)
        if suffix == "geojson"
        else csv(tmp_path, [("a", n, wkt) for n in range(4)])
    )
    limit("MAX_VERTICES", 19)
    with pytest.raises(VectorTooLarge, match=r"has 20 vertices, .* raise GROUNDPLAN_MAX_VERTICES"):
        read_footprints(path)
    limit("MAX_VERTICES", 20)
    assert len(read_footprints(path)) == 4


def test_a_tangled_ring_is_left_out_and_stops_no_other(tmp_path):
    tangled = np.random.default_rng(0).random((300, 2)).tolist()
    found = read_geojson(geojson(tmp_path, [polygon(tangled), polygon(BOW_TIE)]))
    assert (len(found), found.repairs) == (2, Repairs(repaired=1, dropped=1))


def test_a_long_outline_that_touches_itself_once_is_mended(tmp_path):
    angles = np.linspace(0, 2 * np.pi, 5001)[:-1]
    rim = np.column_stack([np.cos(angles), np.sin(angles)])
    rim[1000] = rim[4000]
    found = read_geojson(geojson(tmp_path, [polygon(rim.tolist())]))
    assert (len(found) > 0, found.repairs) == (True, Repairs(repaired=1))


@pytest.mark.parametrize("crs", ["+proj=utm +zone=11 +ellps=GRS80 +nadgrids=/etc/hostname", "+init=/etc/hostname:x"])
def test_a_crs_that_names_a_file_is_refused(tmp_path, crs):
    with pytest.raises(FootprintsWithoutCRS):
        read_geojson(geojson(tmp_path, [METRES], crs=named(crs)))


# CSV


def test_a_csv_is_in_pixels_and_tells_images_apart(tmp_path):
    rows = [("A_img1", 1, box(0, 0, 9, 9).wkt), ("A_img2", 1, box(0, 0, 5, 5).wkt), ("A_img2", 2, box(6, 6, 9, 9).wkt)]
    found = read_csv(csv(tmp_path, rows))
    assert found.crs is None
    assert found.images == ("A_img1", "A_img2")
    assert found.confidence.tolist() == [1, 1, 1]
    assert shapely.area(found.of_image("A_img2").geometries).tolist() == [25, 9]
    assert found.of_image("A_img2").images == ("A_img2",)
    assert len(found.of_image("A_img3")) == 0


@pytest.mark.parametrize("wkt", ["POLYGON EMPTY", "POLYGON ((0 0, 0 0, 0 0, 0 0))", "", box(0, 0, 9, 9).wkt])
def test_building_minus_one_is_no_building_and_nothing_to_repair(tmp_path, wkt):
    found = read_csv(csv(tmp_path, [("A_img1", -1, wkt)]))
    assert (len(found), found.images, found.repairs) == (0, ("A_img1",), Repairs())


@pytest.mark.parametrize(
    ("wkt", "kept", "repairs"),
    [
        ("POLYGON Z ((0 0 1, 4 0 1, 4 4 1, 0 0 1))", 1, Repairs()),
        ("MULTIPOLYGON (((0 0, 4 0, 4 4, 0 0)), ((9 9, 8 9, 8 8, 9 9)))", 1, Repairs()),
        ("POLYGON ((5 5, 6 6, 6 5, 5 6, 5 5))", 1, Repairs(repaired=1)),
        ("POLYGON EMPTY", 0, Repairs()),
        ("POLYGON ((0 0, 1 0", 0, Repairs(dropped=1)),
        ("POLYGON ((0 0, nan 0, 1 1, 0 0))", 0, Repairs(dropped=1)),
        ("POLYGON ((0 0, 1e308 0, 1 1e308, 0 0))", 0, Repairs(dropped=1)),
        ("POLYGON ((0 0, inf 0, 1 1, 0 0))", 0, Repairs(dropped=1)),
        ("POINT (3 3)", 0, Repairs(dropped=1)),
        ("GEOMETRYCOLLECTION(" * 100_000 + ")" * 100_000, 0, Repairs(dropped=1)),
        ("=cmd()", 0, Repairs(dropped=1)),
        (None, 0, Repairs(dropped=1)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_one_odd_row_is_counted_and_stops_no_other(tmp_path, wkt, kept, repairs):
    found = read_csv(csv(tmp_path, [("a", 1, wkt), ("a", 2, box(0, 0, 1, 1).wkt)]))
    assert (len(found), found.repairs) == (kept + 1, repairs)


def test_confidence_is_the_file_s_own(tmp_path):
    columns = ("ImageId", "BuildingId", "PolygonWKT_Pix", "Confidence")
    rows = [("a", n, box(0, 0, 1, 1).wkt, value) for n, value in enumerate([0.25, "high", None, 3])]
    assert read_csv(csv(tmp_path, rows, columns)).confidence.tolist() == [0.25, 0, 0, 3]


def test_repairs_stay_with_a_file_of_several_images(tmp_path):
    found = read_csv(csv(tmp_path, [("a", 1, "POLYGON ((0 0"), ("b", 1, box(0, 0, 1, 1).wkt)]))
    assert found.repairs == Repairs(dropped=1)
    assert found.of_image("b").repairs == Repairs()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "No columns"),
        ("ImageId,BuildingId\na,1\n", "PolygonWKT_Pix missing"),
        ("a;b\n1;2\n", "ImageId and PolygonWKT_Pix missing"),
        ('ImageId,PolygonWKT_Pix\na,"POLYGON', "EOF"),
    ],
)
def test_what_is_no_spacenet_csv_says_why(tmp_path, text, why):
    (tmp_path / "houses.csv").write_text(text)
    with pytest.raises(NotFootprintsCSV, match=rf"^houses\.csv is not a SpaceNet CSV \(.*{why}"):
        read_footprints(tmp_path / "houses.csv")


def test_bytes_that_are_no_utf_8_do_not_stop_a_csv(tmp_path):
    path = tmp_path / "houses.csv"
    path.write_bytes(b'ImageId,PolygonWKT_Pix\n"caf\xe9","POLYGON ((0 0, 1 0, 1 1, 0 0))"\n')
    assert len(read_csv(path)) == 1


# Doors and carrier


@pytest.mark.parametrize("name", ["houses.shp", "houses", "houses.geojson.vrt"])
def test_other_formats_are_refused_by_name(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(UnknownFootprintFormat, match=rf"{name} does not have the file extension .* \.geojson, \.csv"):
        read_footprints(tmp_path / name)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    (tmp_path / "a.geojson").mkdir()
    for name in ("a.geojson", "b.geojson"):
        with pytest.raises(NoSuchPath, match=name):
            read_footprints(tmp_path / name)


@pytest.mark.parametrize("name", ["houses.geojson", "houses.csv"])
def test_a_file_one_may_not_read_is_named(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("")

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(pd, "read_csv", refuse)
    with pytest.raises(CannotRead, match=rf"{name} cannot be read \(Permission denied\)"):
        read_footprints(tmp_path / name)


def test_a_file_without_images_belongs_to_any_image():
    found = Footprints.of(np.array([box(0, 0, 1, 1)]), LONLAT)
    assert found.of_image("anything") is found


def test_other_coordinates_keep_the_rest():
    found = Footprints.of(np.array([box(-115.2, 36.1, -115.1, 36.2)]), LONLAT, 0.5, "a", ("a", "b"), Repairs(skipped=2))
    moved = found.to_crs(UTM)
    assert (moved.crs, moved.images, moved.repairs, moved.confidence.tolist()) == (
        UTM,
        ("a", "b"),
        Repairs(skipped=2),
        [0.5],
    )
    assert moved.area_m2 == pytest.approx(found.area_m2, rel=1e-4)


def test_pixels_have_no_square_metres():
    with pytest.raises(AssertionError, match="no area in m²"):
        _ = Footprints.of(np.array([box(0, 0, 1, 1)]), None).area_m2


def test_repairs_add_up_and_can_be_read():
    both = Repairs(repaired=1, skipped=2) + Repairs(repaired=1, multipart=3)
    assert both == Repairs(2, 0, 2, 3)
    assert str(both) == "2 invalid polygons repaired, 2 non-polygons skipped, 3 multipart polygons split"


# Real files


@pytest.mark.parametrize(
    ("folder", "features", "parts", "multipart"),
    [
        ("spacenet/SN2_buildings/AOI_2_Vegas_Train/geojson/buildings", 144, 146, 2),
        ("spacenet/SN1_buildings/AOI_1_Rio/vectordata/geojson", 63, 64, 1),
        ("open-cities/AOI_20_Banepa_Train/geojson/buildings", 1203, 1210, 7),
    ],
)
def test_real_files_come_in_whole(shared, folder, features, parts, multipart):
    paths = sorted((shared / folder).glob("*.geojson"))
    found = [read_geojson(path) for path in paths]
    assert sum(len(orjson.loads(path.read_bytes())["features"]) for path in paths) == features
    assert sum(map(len, found)) == parts
    assert sum((one.repairs for one in found), Repairs()) == Repairs(multipart=multipart)


def test_empty_tiles_are_empty_on_purpose(shared):
    vegas = shared / "spacenet/SN2_buildings/AOI_2_Vegas_Train/geojson/buildings"
    rio = shared / "spacenet/SN1_buildings/AOI_1_Rio/vectordata/geojson"
    empty = [path for path in (*vegas.glob("*"), *rio.glob("*")) if len(read_geojson(path)) == 0]
    assert {path.stem.rpartition("_")[2] for path in empty} == {"img246", "img802", "img1", "img2", "img3"}


@pytest.mark.parametrize(("aoi", "tiles"), [("Vegas", 3851), ("Paris", 1148), ("Shanghai", 4582), ("Khartoum", 1012)])
def test_the_tile_index_of_spacenet_2_comes_in(shared, aoi, tiles):
    (path,) = (shared / "tile-index").glob(f"*{aoi}*.geojson")
    assert len(read_geojson(path)) == tiles
