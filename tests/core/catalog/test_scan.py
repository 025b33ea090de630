"""From a folder to tiles, in all three layouts; one bad file never stops the rest, and its sentence names it."""

import errno
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from rasterio.transform import from_bounds
from shapely import box

from core.catalog.scan import read_index, scan
from core.catalog.spacenet_names import SPACENET
from core.catalog.tile_labels import read_tile_labels
from core.errors import NoSuchPath, NotATileIndex, UnknownLayout
from core.geo import raster
from core.geo.grid import LONLAT, WEB_MERCATOR, Grid
from core.geo.raster import Raster
from core.geo.vector import Repairs
from tests.core.tile_factory import HOUSES, grid_at, write_labels


def image(path, grid=None, bands=3, value=100, dtype="uint8"):
    """A picture without noise."""
    grid = grid or grid_at()
    return raster.write(path, Raster(np.full((bands, *grid.shape), value, dtype), grid))


def labels(path, grid=None, houses=HOUSES):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_labels(path, grid or grid_at(), houses)


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["ImageId", "BuildingId", "PolygonWKT_Pix"]).to_csv(path, index=False)


def small(grid):
    return grid.resized(16, 16)


def spacenet_1(root):
    image(root / "3band/3band_AOI_1_RIO_img1.tif")
    image(root / "8band/8band_AOI_1_RIO_img1.tif", small(grid_at()), 8, dtype="uint16")
    labels(root / "vectordata/geojson/Geo_AOI_1_RIO_img1.geojson")
    return "AOI_1_RIO_img1", {"3band", "8band"}


def spacenet_2_tarball(root):
    for product, bands in (("RGB-PanSharpen", 3), ("PAN", 1), ("MUL", 8), ("MUL-PanSharpen", 8)):
        grid = small(grid_at()) if product == "MUL" else grid_at()
        image(root / product / f"{product}_AOI_2_Vegas_img1.tif", grid, bands, dtype="uint16")
    labels(root / "geojson/buildings/buildings_AOI_2_Vegas_img1.geojson")
    return "AOI_2_Vegas_img1", {"RGB-PanSharpen", "PAN", "MUL", "MUL-PanSharpen"}


def spacenet_2_on_s3(root):
    prefix = "SN2_buildings_train_AOI_2_Vegas"
    for product, bands in (("PS-RGB", 3), ("PAN", 1), ("MS", 8), ("PS-MS", 8)):
        image(root / product / f"{prefix}_{product}_img1.tif", small(grid_at()) if product == "MS" else None, bands)
    labels(root / "geojson_buildings" / f"{prefix}_geojson_buildings_img1.geojson")
    return "AOI_2_Vegas_img1", {"PS-RGB", "PAN", "MS", "PS-MS"}


LAYOUTS = [spacenet_1, spacenet_2_tarball, spacenet_2_on_s3]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_one_tile_with_all_its_files(tmp_path, layout):
    name, products = layout(tmp_path)
    found = scan(tmp_path)
    (tile,) = found.tiles
    assert (tile.id, set(tile.products), found.problems) == (name, products, ())
    assert (tile.width, tile.height, tile.bands, tile.crs) == (64, 64, 3, "EPSG:32611")
    assert tile.gsd_m == pytest.approx(0.5, rel=1e-3)
    assert (tile.buildings, tile.nodata_share) == (2, 0)
    assert tile.built_share == pytest.approx((16 * 16 + 20 * 20) / 64**2)
    assert tile.attribution == SPACENET
    assert tile.footprint.equals(grid_at().footprint)
    assert len(read_tile_labels(tile)) == 2


def test_the_layouts_may_lie_in_one_folder(tmp_path):
    for layout in LAYOUTS[:2]:
        layout(tmp_path / layout.__name__)
    found = scan(tmp_path)
    assert [tile.id for tile in found.tiles] == ["AOI_1_RIO_img1", "AOI_2_Vegas_img1"]
    assert found.summary() == "2 tiles in 2 areas, all labeled, 4 buildings"


def test_tiles_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 100):
        image(tmp_path / f"3band_AOI_1_RIO_img{number}.tif")
    assert [tile.short_id for tile in scan(tmp_path).tiles] == ["img9", "img10", "img100"]


def test_a_single_file_may_be_named(tmp_path):
    path = image(tmp_path / "3band_AOI_1_RIO_img1.tif")
    (tile,) = scan(path, attribution="me").tiles
    assert (tile.image, tile.attribution, tile.is_labeled, tile.buildings) == (path, "me", False, None)


def test_any_crs_and_any_size(tmp_path):
    x, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(85.5, 27.6)
    grids = [
        grid_at(),
        Grid(40, 90, Affine(2.7e-6, 0, -115.2, 0, -2.7e-6, 36.2), LONLAT),
        Grid(33, 64, Affine(0.15, 0, x, 0, -0.15, y), WEB_MERCATOR),
    ]
    for n, grid in enumerate(grids):
        image(tmp_path / f"3band_AOI_9_Any_img{n}.tif", grid)
        labels(tmp_path / f"Geo_AOI_9_Any_img{n}.geojson", grid, (box(8, 8, 24, 24),))
    found = scan(tmp_path)
    assert [(tile.width, tile.height) for tile in found.tiles] == [(64, 64), (40, 90), (33, 64)]
    assert [tile.crs for tile in found.tiles] == ["EPSG:32611", "EPSG:4326", "EPSG:3857"]
    assert [tile.gsd_m for tile in found.tiles] == pytest.approx([0.5, 0.27, 0.133], rel=0.02)
    for tile in found.tiles:
        assert tile.built_share == pytest.approx(256 / tile.width / tile.height)


def test_no_data_is_counted_and_building_is_a_share_of_the_rest(tmp_path):
    pixels = np.full((3, 64, 64), 100, np.uint8)
    pixels[:, :, 32:] = 0
    raster.write(tmp_path / "3band_AOI_1_RIO_img1.tif", Raster(pixels, grid_at()))
    labels(tmp_path / "Geo_AOI_1_RIO_img1.geojson", houses=(box(0, 0, 16, 64),))
    (tile,) = scan(tmp_path).tiles
    assert (tile.nodata_share, tile.built_share) == (0.5, 0.5)


def test_a_black_tile_has_no_built_share_to_speak_of(tmp_path):
    image(tmp_path / "3band_AOI_1_RIO_img1.tif", value=0)
    labels(tmp_path / "Geo_AOI_1_RIO_img1.geojson")
    (tile,) = scan(tmp_path).tiles
    assert (tile.nodata_share, tile.built_share, tile.buildings) == (1, 0, 2)


# What real files hold


def test_odd_geometries_are_repaired_counted_and_reported(tmp_path):
    ring = [[-115.2, 36.1, 7.0], [-115.1999, 36.1, 7.0], [-115.1999, 36.1001, 7.0], [-115.2, 36.1, 7.0]]
    bow_tie = [ring[0], ring[2], ring[1], [-115.2, 36.1001, 7.0], ring[0]]
    geometries = [
        {"type": "Polygon", "coordinates": [ring]},
        {"type": "Polygon", "coordinates": [bow_tie]},
        {"type": "MultiPolygon", "coordinates": [[ring], [ring], [ring]]},
        {"type": "Point", "coordinates": ring[0]},
        None,
    ]
    features = [{"type": "Feature", "geometry": geometry} for geometry in geometries]
    here = Grid(64, 64, from_bounds(-115.2, 36.1, -115.1999, 36.1001, 64, 64), LONLAT)
    image(tmp_path / "3band_AOI_1_RIO_img1.tif", here)
    (tmp_path / "Geo_AOI_1_RIO_img1.geojson").write_bytes(orjson.dumps({"features": features}))
    found = scan(tmp_path)
    (tile,) = found.tiles
    assert found.repairs == Repairs(repaired=1, dropped=1, skipped=1, multipart=1)
    assert tile.repairs == (
        "1 invalid polygon repaired, 1 unusable shape dropped, 1 non-polygon skipped, 1 multipart polygon split"
    )
    assert tile.repairs in found.summary()
    assert tile.buildings == 1 + 2 + 3
    assert found.problems == ()


@pytest.mark.parametrize("text", [b"", b'{"features": []}'])
def test_an_empty_label_file_means_no_building(tmp_path, text):
    image(tmp_path / "3band_AOI_1_RIO_img1.tif")
    (tmp_path / "Geo_AOI_1_RIO_img1.geojson").write_bytes(text)
    (tile,) = scan(tmp_path).tiles
    assert (tile.is_labeled, tile.buildings, tile.built_share) == (True, 0, 0)


def test_tiles_without_labels_are_unlabelled(tmp_path):
    image(tmp_path / "3band_AOI_1_RIO_img1.tif")
    found = scan(tmp_path)
    (tile,) = found.tiles
    assert (tile.is_labeled, tile.buildings, tile.built_share, found.problems) == (False, None, None, ())


def test_labels_without_a_tile_are_told(tmp_path):
    image(tmp_path / "3band_AOI_1_RIO_img1.tif")
    labels(tmp_path / "Geo_AOI_1_RIO_img2.geojson")
    found = scan(tmp_path)
    assert [tile.id for tile in found.tiles] == ["AOI_1_RIO_img1"]
    assert found.problems == (
        "Geo_AOI_1_RIO_img2.geojson has no matching image. Add the image of AOI_1_RIO_img2 to the folder.",
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"features": [', "is not JSON"),
        ("[]", "no list of features"),
        ('{"features": [], "crs": {"properties": {"name": "nonsense"}}}', "names no CRS"),
    ],
)
def test_unreadable_labels_leave_the_tile_unlabelled(tmp_path, text, why):
    image(tmp_path / "3band_AOI_1_RIO_img1.tif")
    (tmp_path / "Geo_AOI_1_RIO_img1.geojson").write_text(text)
    found = scan(tmp_path)
    (tile,), (problem,) = found.tiles, found.problems
    assert (tile.is_labeled, tile.buildings) == (False, None)
    assert problem.startswith("Geo_AOI_1_RIO_img1.geojson")
    assert why in problem


# One bad file never stops the rest


def truncated(path):
    whole = image(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 3])


def jpeg(path):
    Image.new("RGB", (8, 8)).save(path, "JPEG")


def vrt(path):
    path.write_text('<VRTDataset rasterXSize="1" rasterYSize="1"/>')


def without_crs(path):
    with rasterio.open(path, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8") as dataset:
        dataset.write(np.ones((1, 8, 8), np.uint8))


def nowhere(path):
    grid = {"crs": "EPSG:4326", "transform": Affine(0.5, 0, 660_000, 0, -0.5, 4_000_000)}
    with rasterio.open(path, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8", **grid) as dataset:
        dataset.write(np.ones((1, 8, 8), np.uint8))


def empty(path):
    path.touch()


def folder(path):
    path.mkdir()


def dangling(path):
    path.symlink_to(path.with_name("gone"))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (truncated, "is damaged or truncated"),
        (jpeg, "is not a GeoTIFF (a JPEG)"),
        (vrt, "is not a GeoTIFF (a VRT)"),
        (without_crs, "has no coordinate reference system"),
        (nowhere, "has no coordinate reference system"),
        (empty, "is not a GeoTIFF (an empty file)"),
        (folder, "does not exist"),
        (dangling, "does not exist"),
    ],
)
def test_a_bad_image_is_told_by_name_and_the_rest_comes_in(tmp_path, spoil, why):
    bad = tmp_path / "3band_AOI_1_RIO_img2.tif"
    for number in (1, 3):
        image(tmp_path / f"3band_AOI_1_RIO_img{number}.tif")
    spoil(bad)
    labels(tmp_path / "Geo_AOI_1_RIO_img2.geojson")
    found = scan(tmp_path)
    assert [tile.short_id for tile in found.tiles] == ["img1", "img3"]
    (problem,) = found.problems
    assert why in problem
    assert bad.name in problem


def test_an_image_one_may_not_read_does_not_stop_the_rest(tmp_path, monkeypatch):
    for number in (1, 2):
        image(tmp_path / f"3band_AOI_1_RIO_img{number}.tif")
    really = Path.open

    def refuse(path, *args, **kwargs):
        if "img1" in path.name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return really(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    found = scan(tmp_path)
    assert [tile.short_id for tile in found.tiles] == ["img2"]
    assert found.problems[0].startswith("3band_AOI_1_RIO_img1.tif cannot be read")


def test_images_with_names_in_no_layout_are_told(tmp_path):
    image(tmp_path / "3band_AOI_1_RIO_img1.tif")
    image(tmp_path / "holiday.tif")
    (tmp_path / "readme.txt").touch()
    found = scan(tmp_path)
    assert len(found.tiles) == 1
    assert found.problems == ("holiday.tif is not named in a SpaceNet layout. Rename it, or leave it out.",)


@pytest.mark.parametrize("name", ["holiday.tif", "readme.txt"])
def test_a_folder_in_no_layout_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(UnknownLayout, match=f"^{path.name} contains no tiles in a SpaceNet layout"):
            scan(path)


def test_links_count_by_their_own_name(tmp_path):
    store = tmp_path / "store"
    image(store / "1.blob")
    labels(store / "2.blob")
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles/3band_AOI_1_RIO_img1.tif").symlink_to(store / "1.blob")
    (tmp_path / "tiles/Geo_AOI_1_RIO_img1.geojson").symlink_to(store / "2.blob")
    found = scan(tmp_path / "tiles")
    assert (found.tiles[0].buildings, found.problems) == (2, ())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(NoSuchPath, match="nowhere does not exist"):
        scan(tmp_path / "nowhere")


def test_progress_names_each_tile_and_ends_at_one(tmp_path):
    for number in (1, 2):
        image(tmp_path / f"3band_AOI_1_RIO_img{number}.tif")
    said = []
    scan(tmp_path, report=lambda *progress: said.append(progress))
    assert said == [(0.5, "Reading AOI_1_RIO_img1"), (1.0, "Reading AOI_1_RIO_img2")]


# Tables of a whole AOI

SUMMARY = "summaryData/AOI_2_Vegas_Train_Building_Solutions.csv"


def test_a_table_gives_labels_to_tiles_without_geojson(tmp_path):
    for number in (1, 2, 3, 4):
        image(tmp_path / f"RGB-PanSharpen_AOI_2_Vegas_img{number}.tif")
    labels(tmp_path / "buildings_AOI_2_Vegas_img1.geojson")
    rows = [
        ("AOI_2_Vegas_img1", 1, box(0, 0, 9, 9).wkt),
        ("AOI_2_Vegas_img2", 1, box(0, 0, 32, 64).wkt),
        ("AOI_2_Vegas_img2", 2, "POLYGON ((40 40, 44 44, 44 40, 40 44, 40 40))"),
        ("AOI_2_Vegas_img3", -1, "POLYGON EMPTY"),
    ]
    table(tmp_path / SUMMARY, rows)
    found = scan(tmp_path)
    assert [tile.buildings for tile in found.tiles] == [2, 2, 0, None]
    assert found.tiles[1].built_share == pytest.approx(0.5, abs=0.01)
    assert found.tiles[0].labels.suffix == ".geojson"
    assert (found.repairs, found.problems) == (Repairs(repaired=1), ())
    assert len(read_tile_labels(found.tiles[1])) == 2


def test_a_broken_table_is_told(tmp_path):
    image(tmp_path / "RGB-PanSharpen_AOI_2_Vegas_img1.tif")
    (tmp_path / "summaryData").mkdir()
    (tmp_path / SUMMARY).write_text("a,b\n1,2\n")
    found = scan(tmp_path)
    assert not found.tiles[0].is_labeled
    assert found.problems[0].startswith("AOI_2_Vegas_Train_Building_Solutions.csv is not a SpaceNet CSV")


def test_a_table_in_pixels_of_the_colour_image_is_not_laid_over_another(tmp_path):
    image(tmp_path / "MUL_AOI_2_Vegas_img1.tif", small(grid_at()), 8)
    table(tmp_path / SUMMARY, [("AOI_2_Vegas_img1", 1, box(0, 0, 32, 64).wkt)])
    assert not scan(tmp_path).tiles[0].is_labeled


# Real tiles


def test_the_real_tiles_come_in_as_the_readme_says(shared):
    found = scan(shared / "spacenet")
    by_aoi = {}
    for tile in found.tiles:
        by_aoi.setdefault(tile.aoi, []).append(tile)
    assert found.problems == ()
    assert found.repairs == Repairs(multipart=3)
    assert {aoi: len(tiles) for aoi, tiles in by_aoi.items()} == {"AOI_1_RIO": 8, "AOI_2_Vegas": 7, "AOI_3_Paris": 1}
    assert sum(tile.buildings for tile in by_aoi["AOI_2_Vegas"]) == 146
    assert sum(tile.buildings for tile in by_aoi["AOI_1_RIO"]) == 64
    assert all(set(tile.products) == {"3band", "8band"} for tile in by_aoi["AOI_1_RIO"])
    shares = [round(100 * tile.nodata_share) for tile in by_aoi["AOI_1_RIO"]]
    assert (min(shares), max(shares)) == (69, 89)
    (paris,) = by_aoi["AOI_3_Paris"]
    assert (paris.is_labeled, paris.buildings) == (False, None)
    assert {tile.attribution for tile in found.tiles} == {SPACENET}


def test_banepa_comes_in_as_the_readme_says(shared):
    found = scan(shared / "open-cities", attribution="OpenAerialMap, OpenStreetMap contributors")
    assert (len(found.tiles), sum(tile.buildings for tile in found.tiles)) == (32, 1210)
    assert (found.repairs, found.problems) == (Repairs(multipart=7), ())
    assert {tile.attribution for tile in found.tiles} == {"OpenAerialMap, OpenStreetMap contributors"}


def test_the_official_table_gives_the_same_buildings_as_the_geojson(shared, tmp_path):
    folder = shared / "spacenet/SN1_buildings/AOI_1_Rio"
    for part in ("3band", "vectordata/summarydata"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / part).mkdir()
        for path in (folder / part).iterdir():
            (tmp_path / part / path.name).symlink_to(path)
    by_table, by_geojson = scan(tmp_path).tiles, scan(folder).tiles
    assert [tile.buildings for tile in by_table] == [tile.buildings for tile in by_geojson]
    assert [tile.built_share for tile in by_table] == [tile.built_share for tile in by_geojson]


# Indexes


def index(path: Path, locations: dict[str, object]) -> Path:
    """What gdaltindex writes."""
    features = [
        {"type": "Feature", "properties": {"location": name}, "geometry": orjson.loads(shapely.to_geojson(ground))}
        for name, ground in locations.items()
    ]
    path.write_bytes(orjson.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_an_index_lists_tiles_that_are_not_here(tmp_path):
    names = [f"AOI_2_Vegas_Train/PAN/PAN_AOI_2_Vegas_img{n}.tif" for n in (10, 9)]
    grounds = (box(0, 0, 1, 1), box(1, 0, 2, 1))
    index(tmp_path / "AOI_2_Vegas_Train_Tindex.geojson", dict(zip(names, grounds, strict=True)))
    found = scan(tmp_path)
    assert [tile.id for tile in found.tiles] == ["AOI_2_Vegas_img9", "AOI_2_Vegas_img10"]
    assert not any(tile.is_downloaded or tile.is_labeled for tile in found.tiles)
    assert found.tiles[0].attribution == SPACENET
    assert "2 not downloaded" in found.summary()


def test_an_index_beside_tiles_gives_both(tmp_path):
    image(tmp_path / "3band_AOI_1_RIO_img1.tif")
    index(tmp_path / "AOI_2_Vegas_Train_Tindex.geojson", {"PAN_AOI_2_Vegas_img1.tif": box(0, 0, 1, 1)})
    assert {tile.id: tile.is_downloaded for tile in scan(tmp_path).tiles} == {
        "AOI_1_RIO_img1": True,
        "AOI_2_Vegas_img1": False,
    }


@pytest.mark.parametrize("text", ["", "[1", '{"type": "FeatureCollection", "features": [1, {"properties": 5}]}'])
def test_what_is_no_index_is_told_by_name(tmp_path, text):
    (tmp_path / "AOI_2_Vegas_Train_Tindex.geojson").write_text(text)
    found = scan(tmp_path)
    assert found.tiles == ()
    [problem] = found.problems
    assert problem.startswith("AOI_2_Vegas_Train_Tindex.geojson is not ")


def test_an_index_without_tiles_says_so(tmp_path):
    with pytest.raises(NotATileIndex, match="no feature names the location of a tile"):
        read_index(index(tmp_path / "x_Tindex.geojson", {"holiday.jpg": box(0, 0, 1, 1)}))


def test_the_four_real_indexes_list_all_training_tiles(shared):
    found = scan(shared / "tile-index")
    counts = Counter(tile.aoi for tile in found.tiles)
    assert counts == {"AOI_2_Vegas": 3851, "AOI_3_Paris": 1148, "AOI_4_Shanghai": 4582, "AOI_5_Khartoum": 1012}
    assert found.problems == ()
    vegas = next(tile for tile in found.tiles if tile.id == "AOI_2_Vegas_img225")
    [real] = [tile for tile in scan(shared / "spacenet/SN2_buildings").tiles if tile.id == vegas.id]
    assert vegas.footprint.symmetric_difference(real.footprint).area < 0.01 * real.footprint.area
