"""The sample city: what lies on disk, that it is what it says, and that nothing half-made is left."""

from pathlib import Path

import numpy as np
import orjson
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from core.errors import CannotWrite
from core.geo import raster as rasters
from core.geo.raster import Raster
from core.geo.vector import Footprints, read_footprints
from core.synthetic_city import make_sample_city, writer
from core.synthetic_city.camera import means
from core.synthetic_city.districts import build_city
from core.synthetic_city.plan import make_plan

TILES, SIZE = (1, 2), 160


def make(folder: Path, seed: int = 3) -> Path:
    return make_sample_city(folder, seed, TILES, SIZE)


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("sample") / "city")


@pytest.fixture(scope="module")
def larger(tmp_path_factory) -> Path:
    return make_sample_city(tmp_path_factory.mktemp("larger") / "city", 1, (1, 2), 440)


def colour(city: Path, n: int) -> Raster:
    return rasters.read(city / "RGB-PanSharpen" / f"RGB-PanSharpen_AOI_0_Sample_img{n}.tif")


def eight_bands(city: Path, n: int) -> Raster:
    return rasters.read(city / "MUL" / f"MUL_AOI_0_Sample_img{n}.tif")


def labels(city: Path, n: int) -> Footprints:
    return read_footprints(city / "geojson" / "buildings" / f"buildings_AOI_0_Sample_img{n}.geojson")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def outlines(raster: Raster, footprints: Footprints) -> np.ndarray:
    """Pixels through which the outline of a roof goes."""
    lines = shapely.boundary(raster.grid.to_pixels(footprints.geometries))
    return rasterize(lines, raster.grid.shape, all_touched=True).astype(bool)


def test_a_city_has_spacenets_layout(city):
    assert city.name == "AOI_0_Sample_Train"
    assert sorted(contents(city)) == [
        "MUL/MUL_AOI_0_Sample_img1.tif",
        "MUL/MUL_AOI_0_Sample_img2.tif",
        "RGB-PanSharpen/RGB-PanSharpen_AOI_0_Sample_img1.tif",
        "RGB-PanSharpen/RGB-PanSharpen_AOI_0_Sample_img2.tif",
        "geojson/buildings/buildings_AOI_0_Sample_img1.geojson",
        "geojson/buildings/buildings_AOI_0_Sample_img2.geojson",
    ]


def test_the_same_seed_gives_the_same_bytes_of_labels_and_the_same_pixels(city, tmp_path):
    again = make(tmp_path / "again")
    for n in (1, 2):
        assert (colour(again, n).pixels == colour(city, n).pixels).all()
        assert (eight_bands(again, n).pixels == eight_bands(city, n).pixels).all()
    geojson = {name: data for name, data in contents(city).items() if name.endswith("geojson")}
    assert geojson.items() <= contents(again).items()


def test_another_seed_gives_another_city(city, tmp_path):
    other = make(tmp_path / "other", seed=4)
    assert (colour(other, 1).pixels != colour(city, 1).pixels).mean() > 0.5
    name = "geojson/buildings/buildings_AOI_0_Sample_img1.geojson"
    assert contents(other)[name] != contents(city)[name]


def test_colour_tiles_are_three_bands_of_eleven_bits_without_no_data(city):
    pixels = colour(city, 1).pixels
    assert pixels.shape == (3, SIZE, SIZE)
    assert pixels.dtype == np.uint16
    assert pixels.min() > 0
    assert pixels.max() < 2048


def test_a_pixel_is_thirty_centimetres_on_the_ground_both_ways(city):
    across, down = colour(city, 2).grid.pixel_m
    assert across == pytest.approx(0.3, rel=1e-3)
    assert down == pytest.approx(0.3, rel=1e-3)


def test_tiles_touch_and_lie_around_the_origin(city):
    first, second = colour(city, 1).grid, colour(city, 2).grid
    assert first.crs.to_epsg() == 4326
    assert first.bounds[2] == pytest.approx(second.bounds[0], abs=1e-12)
    assert first.bounds[1::2] == pytest.approx(second.bounds[1::2], abs=1e-12)
    assert (first.bounds[0] + second.bounds[2], first.bounds[1] + first.bounds[3]) == pytest.approx((0, 0), abs=1e-12)


def test_the_scene_continues_across_a_rim(larger):
    left, right = colour(larger, 1).pixels.astype(float), colour(larger, 2).pixels.astype(float)
    across = np.abs(left[:, :, -1] - right[:, :, 0]).mean()
    inside = np.abs(left[:, :, -2] - left[:, :, -3]).mean()
    assert across < 1.6 * inside


def test_eight_bands_cover_the_same_ground_at_a_quarter_of_the_resolution(city, tmp_path):
    odd = make_sample_city(tmp_path / "odd", 0, (1, 1), 130)
    for folder, side in ((city, 40), (odd, 33)):
        raster = eight_bands(folder, 1)
        assert raster.pixels.shape == (8, side, side)
        assert raster.pixels.dtype == np.uint16
        assert raster.grid.bounds == pytest.approx(colour(folder, 1).grid.bounds, abs=1e-12)


def test_plants_shine_in_the_near_infrared_where_they_look_green(larger):
    pixels = np.concatenate([eight_bands(larger, n).pixels.reshape(8, -1) for n in (1, 2)], axis=1).astype(float)
    red, near_infrared = pixels[4], pixels[6]
    plants = near_infrared > 1.7 * red
    assert plants.mean() > 0.03
    assert np.median(pixels[2][plants] / red[plants]) > np.median(pixels[2][~plants] / red[~plants])


def test_eight_bands_lie_over_the_colour_picture(larger):
    picture = means(colour(larger, 1).pixels[0].astype(np.float32), 110)
    assert np.corrcoef(picture.ravel(), eight_bands(larger, 1).pixels[4].ravel())[0, 1] > 0.97


def test_labels_are_whole_polygons_inside_their_tile(larger):
    for n in (1, 2):
        footprints, grid = labels(larger, n), colour(larger, n).grid
        assert len(footprints) > 0
        assert footprints.repairs == type(footprints.repairs)()
        assert shapely.covers(grid.outline.buffer(1e-9), footprints.geometries).all()


def test_a_label_file_says_how_much_of_a_building_lies_on_the_tile(larger):
    shares: dict[int, float] = {}
    for path in sorted((larger / "geojson" / "buildings").iterdir()):
        for feature in orjson.loads(path.read_bytes())["features"]:
            properties = feature["properties"]
            assert properties["partialBuilding"] == (properties["partialDec"] < 1)
            shares[properties["building"]] = shares.get(properties["building"], 0) + properties["partialDec"]
    assert max(shares.values()) < 1.001
    assert any(share > 0.999 for share in shares.values())


def test_roofs_look_unlike_the_ground(larger):
    for n in (1, 2):
        raster, footprints = colour(larger, n), labels(larger, n)
        roof = rasterize(raster.grid.to_pixels(footprints.geometries), raster.grid.shape).astype(bool)
        red = raster.pixels[0].astype(float)
        assert np.median(red[roof]) > 1.15 * np.median(red[~roof])


def test_outlines_lie_where_the_picture_changes(larger):
    for n in (1, 2):
        raster = colour(larger, n)
        rim = outlines(raster, labels(larger, n))
        change = np.hypot(*np.gradient(raster.pixels.astype(float).mean(axis=0)))
        for shift in ((0, 4), (4, 0), (0, -4), (-4, 0)):
            assert change[rim].mean() > 1.2 * change[np.roll(rim, shift, (0, 1))].mean()


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_buildings_are_valid_in_one_piece_and_overlap_no_other(seed):
    plan_rng, city_rng = np.random.default_rng(seed).spawn(2)
    buildings = build_city(make_plan(plan_rng, 400, 300), city_rng).buildings()
    assert len(buildings) > 0
    assert (shapely.get_type_id(buildings) == shapely.GeometryType.POLYGON).all()
    assert shapely.is_valid(buildings).all()
    one, other = shapely.STRtree(buildings).query(buildings, "intersects")
    pairs = one < other
    shared = shapely.area(shapely.intersection(buildings[one[pairs]], buildings[other[pairs]]))
    assert shared.max(initial=0) < 1e-6


def test_a_city_has_row_houses_that_share_walls_and_courtyards():
    plan_rng, city_rng = np.random.default_rng(0).spawn(2)
    buildings = build_city(make_plan(plan_rng, 800, 600), city_rng).buildings()
    assert (shapely.get_num_interior_rings(buildings) > 0).sum() > 3
    one, other = shapely.STRtree(buildings).query(buildings, "intersects")
    pairs = one < other
    walls = shapely.length(shapely.intersection(buildings[one[pairs]], buildings[other[pairs]]))
    assert (walls > 5).sum() > 100


@given(side=st.integers(4, 60), size=st.integers(1, 20))
def test_means_over_areas_keep_the_total(side, size):
    image = np.random.default_rng(side).uniform(0, 1000, (side, side)).astype(np.float32)
    assert means(image, size).mean() == pytest.approx(image.mean(), rel=1e-4)


def test_a_failure_in_the_middle_leaves_nothing_behind(tmp_path, monkeypatch):
    written = []

    def fail_at_the_third(path, raster):
        written.append(path)
        if len(written) == 3:
            raise CannotWrite(name=path, detail="made up")
        return rasters.Raster

    monkeypatch.setattr(writer.raster, "write", fail_at_the_third)
    with pytest.raises(CannotWrite):
        make(tmp_path / "city")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_city_that_is_there(tmp_path, monkeypatch):
    before = contents(make(tmp_path / "city"))

    def fail(path, raster):
        raise CannotWrite(name=path, detail="made up")

    monkeypatch.setattr(writer.raster, "write", fail)
    with pytest.raises(CannotWrite):
        make(tmp_path / "city", seed=9)
    assert contents(tmp_path / "city" / "AOI_0_Sample_Train") == before


def test_making_it_again_replaces_the_city_that_is_there(tmp_path):
    first = contents(make(tmp_path / "city"))
    second = contents(make(tmp_path / "city", seed=9))
    assert first.keys() == second.keys()
    assert first != second
    assert [path.name for path in tmp_path.iterdir()] == ["city"]


def test_a_folder_that_cannot_be_made_is_told_by_name(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="city"):
        make(tmp_path / "file" / "city")


def test_progress_only_grows_and_ends_at_one(tmp_path):
    shares = []
    make_sample_city(tmp_path / "city", 0, (1, 1), 64, lambda share, _: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1
