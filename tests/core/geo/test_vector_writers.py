"""What every footprint format keeps: count, fields, place and attribution, and that it is whole or not there."""

import resource
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import orjson
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from core.errors import CannotWrite, DiskFull, ExportNeedsGrid, UnknownFootprintFormat
from core.geo.grid import LONLAT, WEB_MERCATOR, Grid, reproject
from core.geo.vector import Footprints, read_footprints, read_geojson
from core.geo.vector_writers import FORMATS, Provenance, with_format_suffix, write_footprints
from core.metrics.spacenet import score

UTM = CRS.from_epsg(32611)
GRID = Grid(64, 64, Affine(0.5, 0, 664_000, 0, -0.5, 4_005_000), UTM)
DEGREES = Grid(64, 64, Affine(2.7e-6, 0, -115.2, 0, -2.7e-6, 36.2), LONLAT)
HOSTILE = """<script>alert(1)</script> ' " ; DROP TABLE footprints; -- `${x}` \\ é 東 \n=1+1"""

PIXELS = np.array(
    [shapely.box(2.25, 3.5, 20, 17), shapely.box(30, 30, 60, 60) - shapely.box(40, 40, 50, 50.125)], dtype=object
)
CONFIDENCE = [0.1 + 0.2, 0.75]


@pytest.fixture(params=[GRID, DEGREES], ids=["metres", "degrees"])
def grid(request):
    return request.param


def made_up(grid, crs=None):
    ground = grid.to_map(PIXELS)
    return Footprints.of(reproject(ground, grid.crs, crs or grid.crs), crs or grid.crs, CONFIDENCE)


def read_back(path, grid):
    """Geometries in longitude and latitude, whatever the format."""
    if path.suffix == ".csv":
        return reproject(grid.to_map(read_footprints(path).geometries), grid.crs, LONLAT)
    frame = read_geojson(path).frame if path.suffix == ".geojson" else open_with_geopandas(path)
    return np.asarray(frame.to_crs(LONLAT).geometry, dtype=object)


def open_with_geopandas(path):
    frame = gpd.read_parquet(path) if path.suffix == ".parquet" else gpd.read_file(path)
    return frame.sort_values("id", ignore_index=True)  # a FlatGeobuf is ordered by place


def properties(path):
    """id, confidence and area_m2 as columns."""
    if path.suffix == ".geojson":
        return pd.DataFrame([feature["properties"] for feature in orjson.loads(path.read_bytes())["features"]])
    return open_with_geopandas(path)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("crs", [None, WEB_MERCATOR], ids=["own-crs", "other-crs"])
def test_every_footprint_comes_back_where_it_was(tmp_path, grid, suffix, crs):
    path = write_footprints(made_up(grid, crs), tmp_path / f"houses{suffix}", grid, Provenance("AOI_2_Vegas_img1"))
    expected = reproject(grid.to_map(PIXELS), grid.crs, LONLAT)
    found = read_back(path, grid)
    assert len(found) == 2
    assert shapely.hausdorff_distance(found, expected).max() < 1e-6
    assert [len(shape.interiors) for shape in found] == [0, 1]


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".parquet"])
def test_the_fields_come_back(tmp_path, grid, suffix):
    footprints = made_up(grid)
    found = properties(write_footprints(footprints, tmp_path / f"houses{suffix}", grid))
    assert set(found) - {"geometry"} == {"id", "confidence", "area_m2", "perimeter_m"}
    assert found["id"].tolist() == [1, 2]
    assert found["confidence"].tolist() == CONFIDENCE
    assert found["area_m2"].tolist() == pytest.approx(footprints.area_m2, rel=1e-6)


def test_a_format_can_be_named_instead_of_a_suffix():
    assert with_format_suffix(Path("a/houses"), "gpkg") == Path("a/houses.gpkg")
    assert with_format_suffix(Path("houses.2018"), ".SHP.ZIP") == Path("houses.2018.shp.zip")
    assert (
        with_format_suffix(Path("houses.gpkg"), "gpkg")
        == with_format_suffix(Path("houses.gpkg"), "")
        == Path("houses.gpkg")
    )
    for name, kind in (("houses", "dxf"), ("houses", ""), ("houses.dxf", "")):
        with pytest.raises(UnknownFootprintFormat, match=r"houses.*\.geojson"):
            with_format_suffix(Path(name), kind)


def test_the_csv_holds_spacenet_s_columns(tmp_path):
    path = write_footprints(made_up(GRID), tmp_path / "houses.csv", GRID, Provenance("AOI_2_Vegas_img1"))
    table = pd.read_csv(path)
    assert list(table) == ["ImageId", "BuildingId", "PolygonWKT_Pix", "PolygonWKT_Geo", "Confidence"]
    assert table["ImageId"].unique().tolist() == ["AOI_2_Vegas_img1"]
    assert table["BuildingId"].tolist() == [1, 2]
    assert table["Confidence"].tolist() == CONFIDENCE
    geo = shapely.from_wkt(table["PolygonWKT_Geo"].to_numpy())
    expected = reproject(GRID.to_map(PIXELS), UTM, LONLAT)
    assert shapely.hausdorff_distance(geo, expected).max() < 1e-6
    assert shapely.equals_exact(read_footprints(path).geometries, PIXELS, tolerance=1e-3, normalize=True).all()


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".shp", ".shp.zip"])
def test_the_tile_s_crs_is_kept(tmp_path, suffix):
    path = write_footprints(made_up(GRID, LONLAT), tmp_path / f"houses{suffix}", GRID)
    assert open_with_geopandas(path).crs.to_epsg() == 32611


@pytest.mark.parametrize("suffix", FORMATS)
def test_footprints_in_pixels_are_placed_by_the_grid(tmp_path, suffix):
    path = write_footprints(Footprints.of(PIXELS, None), tmp_path / f"houses{suffix}", GRID, Provenance("img"))
    expected = reproject(GRID.to_map(PIXELS), UTM, LONLAT)
    assert shapely.hausdorff_distance(read_back(path, GRID), expected).max() < 1e-6


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".parquet", ".fgb", ".shp", ".shp.zip"])
def test_the_ground_needs_no_grid(tmp_path, suffix):
    path = write_footprints(made_up(GRID), tmp_path / f"houses{suffix}")
    assert len(read_back(path, GRID)) == 2


def test_pixels_need_a_grid_for_the_ground_only(tmp_path):
    pixels = Footprints.of(PIXELS, None, image="img")
    assert len(read_footprints(write_footprints(pixels, tmp_path / "houses.csv"))) == 2
    for suffix in (".geojson", ".gpkg", ".parquet", ".fgb", ".shp", ".shp.zip"):
        with pytest.raises(ExportNeedsGrid, match="houses"):
            write_footprints(pixels, tmp_path / f"houses{suffix}")
    with pytest.raises(ExportNeedsGrid, match="houses"):
        write_footprints(made_up(GRID), tmp_path / "houses.csv")


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_footprints_make_a_file_that_can_be_read(tmp_path, suffix):
    nothing = Footprints.of(np.empty(0, object), UTM)
    path = write_footprints(nothing, tmp_path / f"houses{suffix}", GRID, Provenance("AOI_1_Rio_img9"))
    assert len(read_back(path, GRID)) == 0


def test_an_image_without_buildings_gets_spacenet_s_row(tmp_path):
    nothing = Footprints.of(np.empty(0, object), UTM)
    path = write_footprints(nothing, tmp_path / "houses.csv", GRID, Provenance("AOI_1_Rio_img9"))
    (row,) = pd.read_csv(path).to_dict("records")
    assert (row["ImageId"], row["BuildingId"], row["PolygonWKT_Pix"]) == ("AOI_1_Rio_img9", -1, "POLYGON EMPTY")
    assert read_footprints(path).images == ("AOI_1_Rio_img9",)


def test_images_keep_their_names_beside_those_without_buildings(tmp_path):
    mixed = Footprints.of(PIXELS, None, image=["A_img1", "A_img3"], images=("A_img1", "A_img2", "A_img3"))
    found = read_footprints(write_footprints(mixed, tmp_path / "houses.csv", provenance=Provenance("unused")))
    assert set(found.images) == {"A_img1", "A_img2", "A_img3"}
    assert found.frame["image"].tolist() == ["A_img1", "A_img3"]


def test_a_building_in_two_parts_stays_one(tmp_path):
    two = np.array([PIXELS[0], shapely.MultiPolygon([shapely.box(30, 2, 40, 9), shapely.box(42, 2, 50, 9)])], object)
    for suffix in (".gpkg", ".parquet", ".csv"):
        path = write_footprints(Footprints.of(two, None), tmp_path / f"houses{suffix}", GRID, Provenance("img"))
        assert len(read_back(path, GRID)) == 2
    document = orjson.loads(write_footprints(Footprints.of(two, None), tmp_path / "a.geojson", GRID).read_bytes())
    assert [feature["geometry"]["type"] for feature in document["features"]] == ["Polygon", "MultiPolygon"]


def attribution_of(path):
    if path.suffix == ".geojson":
        return orjson.loads(path.read_bytes())["attribution"]
    if path.suffix == ".parquet":
        return orjson.loads(pq.read_schema(path).metadata[b"PANDAS_ATTRS"])["attribution"]
    return pyogrio.read_info(path)["dataset_metadata"]["attribution"]


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".parquet"])
def test_hostile_attribution_stays_data(tmp_path, suffix):
    path = write_footprints(made_up(GRID), tmp_path / f"houses{suffix}", GRID, Provenance(licence=HOSTILE))
    assert attribution_of(path) == HOSTILE
    assert len(read_back(path, GRID)) == 2


def test_a_hostile_image_name_stays_one_cell(tmp_path):
    path = write_footprints(made_up(GRID), tmp_path / "houses.csv", GRID, Provenance(HOSTILE))
    assert pd.read_csv(path)["ImageId"].tolist() == [HOSTILE, HOSTILE]


def test_geojson_follows_rfc_7946(tmp_path):
    document = orjson.loads(write_footprints(made_up(GRID), tmp_path / "houses.geojson", GRID).read_bytes())
    assert set(document) == {"type", "attribution", "features"}
    for feature in document["features"]:
        outer, *holes = feature["geometry"]["coordinates"]
        assert shapely.is_ccw(shapely.linearrings(outer))
        assert not any(shapely.is_ccw(shapely.linearrings(hole)) for hole in holes)
        assert np.array_equal(np.round(outer, 7), outer)
        assert np.all(np.abs(np.array(outer) - [-115.2, 36.2]) < 1)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_was_written_scores_like_what_was_predicted(tmp_path, suffix):
    footprints = made_up(GRID)
    path = write_footprints(footprints, tmp_path / f"houses{suffix}", GRID, Provenance("img"))
    found = Footprints.of(reproject(read_back(path, GRID), LONLAT, UTM), UTM)
    assert score(footprints, found).truth.iou.min() > 0.99


@pytest.mark.parametrize("name", ["houses.kml", "houses", "houses.geojson.txt"])
def test_an_unknown_suffix_names_the_known_ones(tmp_path, name):
    with pytest.raises(UnknownFootprintFormat, match=r"\.geojson, \.gpkg, \.parquet, \.fgb, \.shp\.zip, \.csv, \.shp"):
        write_footprints(made_up(GRID), tmp_path / name, GRID)
    assert not list(tmp_path.iterdir())


def test_suffixes_may_be_in_capitals(tmp_path):
    assert len(read_geojson(write_footprints(made_up(GRID), tmp_path / "HOUSES.GEOJSON", GRID))) == 2


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_older_file_is_replaced(tmp_path, suffix):
    path = tmp_path / f"houses{suffix}"
    write_footprints(Footprints.of(PIXELS[:1], None), path, GRID, Provenance("img"))
    write_footprints(made_up(GRID), path, GRID, Provenance("img"))
    assert len(read_back(path, GRID)) == 2
    assert {file.stem for file in tmp_path.iterdir()} == {path.stem}, "nothing half-written beside it"


@contextmanager
def files_end_after(size):
    """As on a full disk: no file of this process may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("size", [0, 500])
def test_a_failed_write_leaves_what_was_there(tmp_path, suffix, size):
    path = write_footprints(made_up(GRID), tmp_path / f"houses{suffix}", GRID, Provenance("img"))
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    many = Footprints.of(np.repeat(PIXELS, 200), None)
    with files_end_after(size), pytest.raises((CannotWrite, DiskFull), match="houses"):
        write_footprints(many, path, GRID, Provenance("img"))
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_geopackage_without_room_for_its_index_is_not_kept(tmp_path):
    path, many = tmp_path / "houses.gpkg", Footprints.of(np.repeat(PIXELS, 200), None)
    size = write_footprints(many, path, GRID).stat().st_size
    path.unlink()
    with files_end_after(size - 1), pytest.raises(CannotWrite, match="spatial index"):
        write_footprints(many, path, GRID)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path, suffix):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="choose another folder"):
        write_footprints(made_up(GRID), tmp_path / "file" / f"houses{suffix}", GRID, Provenance("img"))


ORIGIN = Provenance("AOI_2_Vegas_img1", "run 7", "unet", "2016-10-04", "Somebody, CC BY-SA 4.0 é")


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != ".csv"])
def test_every_footprint_says_where_it_comes_from(tmp_path, suffix):
    found = properties(write_footprints(made_up(GRID), tmp_path / f"houses{suffix}", GRID, ORIGIN))
    short = suffix.startswith(".shp")
    assert found["date" if short else "imagery_date"].astype(str).str[:10].tolist() == ["2016-10-04"] * 2
    for name, value in (("tile", ORIGIN.tile), ("run", "run 7"), ("model", "unet"), ("licence", ORIGIN.licence)):
        assert found[name].tolist() == [value, value]
    walls = [2 * (17.75 + 13.5) / 2, (4 * 30 + 2 * (10 + 10.125)) / 2]
    assert found["perim_m" if short else "perimeter_m"].tolist() == pytest.approx(walls, rel=1e-3)


def test_a_shapefile_is_several_files_and_none_when_it_fails(tmp_path, monkeypatch):
    path = write_footprints(made_up(GRID), tmp_path / "houses.shp", GRID)
    assert {file.suffix for file in tmp_path.iterdir()} == {".shp", ".shx", ".dbf", ".prj", ".cpg"}
    assert len(gpd.read_file(path)) == 2
    monkeypatch.setattr(pyogrio, "write_dataframe", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_footprints(made_up(GRID), tmp_path / "other" / "houses.shp", GRID)
    assert list((tmp_path / "other").iterdir()) == []
