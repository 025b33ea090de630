"""Outlines, mask, signed distance, boundary and contact: equal to the references, true on the ground."""

from dataclasses import replace

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt
from shapely import box

from core.catalog import tile_labels
from core.catalog.tile_labels import read_tile_labels
from core.errors import NoImage, NoLabels
from core.geo import raster
from core.geo.grid import LONLAT, WEB_MERCATOR, Grid, reproject
from core.geo.vector import Footprints, read_csv, read_footprints
from core.labels.labels import CLIP_M, Labels, signed_distance
from tests.core.tile_factory import HOUSES, UTM, grid_at, make_tile, write_labels

RIO = "spacenet/SN1_buildings/AOI_1_Rio"
IMAGES = [1, 2, 3, 4, 5, 6, 7, 9]


def labels_of(*houses, grid=None):
    return Labels.of(grid or grid_at(), Footprints.of(np.array(houses, dtype=object), None))


def by_scipy(mask, pixel_m):
    """Signed distance the plain way: one transform a side, less half a pixel."""
    across, down = pixel_m
    inside, outside = (distance_transform_edt(side, sampling=(down, across)) for side in (mask != 0, mask == 0))
    half = (across + down) / 4
    return np.clip(np.where(mask != 0, inside - half, half - outside), -CLIP_M, CLIP_M)


# Outlines


@pytest.mark.parametrize("kind", ["3band", "8band"])
@pytest.mark.parametrize("number", IMAGES)
def test_outlines_are_the_official_ones(shared, kind, number):
    folder, name = shared / RIO, f"AOI_1_RIO_img{number}"
    official = read_csv(folder / f"vectordata/summarydata/AOI_1_RIO_polygons_solution_{kind}.csv").of_image(name)
    footprints = read_footprints(folder / f"vectordata/geojson/Geo_{name}.geojson")
    found = Labels.of(raster.read_info(folder / kind / f"{kind}_{name}.tif").grid, footprints).pixels
    assert len(found) == len(official)
    assert shapely.equals_exact(found, official.geometries, tolerance=1e-6, normalize=True).all()


def test_the_official_tables_name_all_eight_images(shared):
    table = read_csv(shared / RIO / "vectordata/summarydata/AOI_1_RIO_polygons_solution_3band.csv")
    assert set(table.images) == {f"AOI_1_RIO_img{number}" for number in IMAGES}
    assert len(table) == 64


@pytest.mark.parametrize("crs", [UTM, LONLAT, WEB_MERCATOR])
def test_outlines_reach_the_grid_from_any_crs(crs):
    ground = reproject(grid_at().to_map(np.array(HOUSES)), UTM, crs)
    found = Labels.of(grid_at(), Footprints.of(ground, crs))
    assert shapely.hausdorff_distance(found.pixels, np.array(HOUSES)).max() < 1e-5
    assert shapely.hausdorff_distance(found.map_footprints, grid_at().to_map(found.pixels)).max() < 1e-6


def test_pixel_footprints_are_taken_as_they_are():
    found = labels_of(*HOUSES)
    assert shapely.equals(found.pixels, HOUSES).all()
    assert found.area_m2 == pytest.approx([16 * 16 / 4, 20 * 20 / 4], rel=2e-3)
    assert found.outlines("img1").images == ("img1",)
    assert found.outlines("img1").crs is None


def test_a_footprint_the_projection_does_not_reach_is_left_out():
    here = reproject(grid_at().to_map(np.array(HOUSES)), UTM, LONLAT)[0]
    found = Labels.of(grid_at(), Footprints.of(np.array([box(-27, -0.01, -26.99, 0.01), here]), LONLAT))
    assert len(found) == 1
    assert found.area_m2 == pytest.approx([64], rel=2e-3)
    assert np.count_nonzero(found.mask) == 256


# Mask


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_mask_equals_the_reference_pixel_for_pixel(shared):
    with raster.open_raster(shared / "rasterise/sample_fp_mask.tif") as dataset:
        reference = dataset.read(1)
    mask = Labels.of(grid_at(size=900), read_csv(shared / "rasterise/sample.csv")).mask
    assert np.count_nonzero((mask > 0) != (reference > 0)) == 0
    assert 0.01 < (mask > 0).mean() < 0.9


def test_the_mask_holds_the_pixels_whose_centre_lies_inside():
    mask = labels_of(box(8.4, 8.6, 24.4, 24.6)).mask
    assert (mask.dtype, set(np.unique(mask).tolist())) == (np.uint8, {0, 255})
    rows, columns = np.nonzero(mask)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (8, 23, 9, 24)


def test_courtyards_are_no_building():
    yard = box(8, 8, 40, 40) - box(20, 20, 28, 28)
    mask = labels_of(yard).mask
    assert np.count_nonzero(mask) == 32 * 32 - 8 * 8
    assert not mask[20:28, 20:28].any()


def test_buildings_beyond_the_tile_end_at_its_rim():
    found = labels_of(box(-20, -20, 10, 10), box(100, 100, 120, 120))
    assert np.count_nonzero(found.mask) == 100
    assert found.built_share == 100 / 64**2


def test_the_mask_is_that_of_rasterio_on_real_tiles(shared):
    folder = shared / "spacenet/SN2_buildings/AOI_2_Vegas_Train"
    grid = raster.read_info(folder / "RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_img225.tif").grid
    footprints = read_footprints(folder / "geojson/buildings/buildings_AOI_2_Vegas_img225.geojson")
    expected = rasterize(footprints.geometries, grid.shape, transform=grid.transform, default_value=255)
    assert np.count_nonzero(Labels.of(grid, footprints).mask != expected) == 0


# Signed distance


@pytest.mark.parametrize("pixel_m", [(0.5, 0.5), (0.462, 0.498), (0.3, 0.8), (2.0, 1.1)])
@hypothesis_settings(max_examples=40, deadline=None)
@given(mask=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)))
def test_the_distance_is_exact_on_any_mask(pixel_m, mask):
    found = signed_distance(mask.astype(np.uint8) * 255, pixel_m)
    assert (found.dtype, found.shape) == (np.float32, mask.shape)
    if mask.any() and not mask.all():
        assert np.abs(found - by_scipy(mask, pixel_m)).max() < 1e-3
    assert (found[mask] > 0).all()
    assert (found[~mask] < 0).all()


@pytest.mark.parametrize("number", [225, 1385, 2144])
def test_the_distance_is_exact_on_vegas(shared, number):
    folder = shared / "spacenet/SN2_buildings/AOI_2_Vegas_Train"
    grid = raster.read_info(folder / f"RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_img{number}.tif").grid
    labels = Labels.of(grid, read_footprints(folder / f"geojson/buildings/buildings_AOI_2_Vegas_img{number}.geojson"))
    assert np.abs(labels.distance - by_scipy(labels.mask, grid.pixel_m)).max() < 1e-3


def test_the_distance_is_exact_on_rio_where_degrees_are_not_square(shared):
    folder = shared / RIO
    grid = raster.read_info(folder / "3band/3band_AOI_1_RIO_img9.tif").grid
    assert grid.pixel_m == pytest.approx((0.459, 0.498), abs=0.005)
    labels = Labels.of(grid, read_footprints(folder / "vectordata/geojson/Geo_AOI_1_RIO_img9.geojson"))
    assert np.abs(labels.distance - by_scipy(labels.mask, grid.pixel_m)).max() < 1e-3
    square = (grid.gsd_m, grid.gsd_m)
    assert np.abs(labels.distance - signed_distance(labels.mask, square)).max() > 0.5


def test_a_wall_lies_between_two_pixels_on_both_sides_alike():
    distance = labels_of(box(8, 8, 24, 24)).distance
    assert distance[16, 8:11] == pytest.approx([0.25, 0.75, 1.25], rel=1e-3)
    assert distance[16, 5:8] == pytest.approx([-1.25, -0.75, -0.25], rel=1e-3)


def test_the_distance_ends_at_64_metres():
    wide = grid_at(size=400, pixel_m=1.0)
    assert labels_of(box(200, 0, 400, 400), grid=wide).distance[200, [0, 100, 136, 150, 263, 300]] == pytest.approx(
        [-64, -64, -63.5, -49.5, 63.5, 64], rel=1e-3
    )


def test_an_empty_and_a_full_tile_are_at_the_ends():
    assert (labels_of().distance == -64).all()
    assert (labels_of(box(-5, -5, 70, 70)).distance == 64).all()
    for labels in (labels_of(), labels_of(box(500, 500, 510, 510))):
        assert (len(np.unique(labels.mask)), labels.built_share) == (1, 0)
        assert not labels.boundary_mask.any()
        assert not labels.contact_mask.any()


@pytest.mark.parametrize("lat", [0.5, 36.1, 60.0])
def test_utm_degrees_and_web_mercator_see_the_same_distances(lat):
    """One house at one place on grids of about a quarter of a metre: compared at the same points on the ground."""
    centre = np.array([[-117.0, lat]])
    utm = pyproj.CRS.from_epsg(32611)
    x, y = pyproj.Transformer.from_crs(LONLAT, utm, always_xy=True).transform(*centre[0])
    house = np.array([box(x - 12, y - 8, x + 12, y + 8)])
    seen = {}
    for name, crs in {"utm": utm, "degrees": LONLAT, "mercator": WEB_MERCATOR}.items():
        grid = _around(reproject(np.array([box(x - 40, y - 40, x + 40, y + 40)]), utm, crs)[0], crs, 400)
        labels = Labels.of(grid, Footprints.of(house, utm))
        steps = np.arange(-36, 37, 3.0)
        points = np.array([shapely.Point(x + dx, y + dy) for dx in steps for dy in steps], dtype=object)
        columns, rows = shapely.get_coordinates(grid.to_pixels(points, utm)).astype(int).T
        seen[name] = labels.distance[rows, columns]
        assert grid.pixel_m == pytest.approx((0.2, 0.2), rel=0.02)
    # A pixel's centre may lie half a pixel beside the point, and a wall half a pixel beside its own.
    assert np.abs(seen["utm"] - seen["degrees"]).max() < 0.3
    assert np.abs(seen["utm"] - seen["mercator"]).max() < 0.3


def _around(area, crs, pixels):
    west, south, east, north = area.bounds
    transform = Affine((east - west) / pixels, 0, west, 0, -(north - south) / pixels, north)
    return Grid(pixels, pixels, transform, crs)


# Boundary and contact


@pytest.mark.parametrize(("gap_m", "near"), [(0.0, True), (2.0, True), (5.0, False)])
def test_contact_is_where_two_houses_nearly_touch(gap_m, near):
    gap = gap_m / 0.5
    labels = labels_of(box(8, 8, 24, 40), box(24 + gap, 8, 24 + gap + 16, 40))
    assert labels.contact_mask.any() == near
    assert set(np.unique(labels.contact_mask)) <= {0, 255}
    if near:
        rows, columns = np.nonzero(labels.contact_mask)
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((24 + gap / 2, 24), abs=0.6)
        assert np.ptp(columns) + 1 == pytest.approx((3.0 - gap_m) / 0.5, abs=1)


def test_one_house_alone_is_in_contact_with_nothing():
    assert not labels_of(box(8, 8, 24, 40)).contact_mask.any()


def test_houses_corner_to_corner_nearly_touch_by_their_true_distance():
    """2.5 m to the right and 2.5 m down is 3.5 m apart."""
    assert not labels_of(box(8, 8, 24, 24), box(29, 29, 45, 45)).contact_mask.any()
    assert labels_of(box(8, 8, 24, 24), box(27, 27, 45, 45)).contact_mask.any()


def test_the_boundary_is_a_line_of_a_metre_and_a_half_also_along_shared_walls():
    boundary = labels_of(box(8, 8, 24, 40), box(24, 8, 40, 40)).boundary_mask
    assert np.nonzero(boundary[24])[0].tolist() == [7, 8, 23, 24, 39, 40] or boundary[24].sum() == 9 * 255
    assert boundary[24, 23:25].all()
    assert not boundary[24, 12:20].any()


def test_the_tile_s_rim_is_no_wall():
    boundary = labels_of(box(-10, 20, 30, 40)).boundary_mask
    assert not boundary[26:34, :4].any()
    assert boundary[20, :4].all()
    assert boundary[30, 29:31].all()


def test_lines_are_as_wide_on_the_ground_where_pixels_are_not_square():
    grid = Grid(200, 200, Affine(4e-6, 0, 10, 0, -4e-6, 60), LONLAT)
    across, down = grid.pixel_m
    assert down > 1.9 * across
    boundary = labels_of(box(60, 60, 140, 140), grid=grid).boundary_mask > 0
    assert boundary[100].sum() / 2 * across == pytest.approx(1.5, abs=across)
    assert boundary[:, 100].sum() / 2 * down == pytest.approx(1.5, abs=down)


# Tiles


def test_a_tile_gives_its_labels(tmp_path):
    labels = read_tile_labels(make_tile(tmp_path))
    assert len(labels) == 2
    assert shapely.hausdorff_distance(labels.pixels, np.array(HOUSES)).max() < 1e-3
    assert labels.built_share == (16 * 16 + 20 * 20) / 64**2


def test_a_tile_without_labels_or_image_says_so(tmp_path):
    tile = make_tile(tmp_path)
    with pytest.raises(NoLabels, match="img1 has no building footprints"):
        read_tile_labels(replace(tile, footprints=None))
    with pytest.raises(NoImage, match="img1 has no image"):
        read_tile_labels(replace(tile, products={}))


@pytest.fixture
def reads(monkeypatch):
    """The files that were parsed."""
    done = []
    monkeypatch.setattr(tile_labels, "read_footprints", lambda path: done.append(path) or read_footprints(path))
    return done


def test_a_tiles_labels_are_parsed_once_until_a_file_changes(tmp_path, reads):
    tile = make_tile(tmp_path)
    read_tile_labels(tile)
    assert len(read_tile_labels(tile)) == 2
    assert len(reads) == 1
    write_labels(tile.labels, grid_at(), HOUSES[:1])
    assert len(read_tile_labels(tile)) == 1
    read_tile_labels(replace(tile, offset_m=(1.0, 0.0)))
    assert len(reads) == 3


def test_what_is_drawn_of_labels_does_not_stay_in_memory_and_their_shapes_are_nobodys_to_change(tmp_path):
    tile = make_tile(tmp_path)
    labels = read_tile_labels(tile)
    assert labels.distance.any()
    assert "distance" not in vars(read_tile_labels(tile))
    for shapes in (labels.pixels, labels.map_footprints):
        with pytest.raises(ValueError, match="read-only"):
            shapes[0] = None


def test_labels_on_a_smaller_grid_are_the_same_buildings():
    labels = labels_of(*HOUSES)
    assert labels.at_most(64) is labels
    small = replace(labels, grid=labels.grid).at_most(32)
    assert small.grid.shape == (32, 32)
    assert small.area_m2 == pytest.approx(labels.area_m2)
    assert small.built_share == pytest.approx(labels.built_share, rel=0.1)


def test_building_sizes_are_counted_in_classes():
    labels = labels_of(box(0, 0, 8, 8), box(8, 8, 40, 40))
    assert [*labels.area_counts().values()] == [1, 0, 0, 0, 1, 0, 0]  # 16 m² and 256 m²
    assert [*labels.area_counts()][:2] == ["< 25", "25–50"]
    assert sum(labels_of().area_counts().values()) == 0


# Moved by metres

PLACES = {
    "utm": grid_at(),
    "degrees": Grid(64, 64, Affine(2.7e-6, 0, -115.3, 0, -2.7e-6, 36.1), LONLAT),
    "web mercator in the north": Grid(64, 64, Affine(0.5, 0, 1_000_000, 0, -0.5, 8_900_000), WEB_MERCATOR),
    "south of the equator": Grid(64, 64, Affine(0.5, 0, 300_000, 0, -0.5, 6_200_000), pyproj.CRS.from_epsg(32756)),
    "at the edge of its zone": Grid(64, 64, Affine(0.5, 0, 760_000, 0, -0.5, 6_900_000), UTM),
}
METRES = st.floats(-100, 100)
#: Further off, meridians that draw together make millimetres: 100 m east and 100 m west again end 3 mm beside.
NEAR = st.floats(-20, 20)


def lonlat_of(labels):
    return shapely.get_coordinates(reproject(labels.map_footprints, labels.grid.crs, LONLAT))


@pytest.mark.parametrize("place", PLACES)
@hypothesis_settings(max_examples=60, deadline=None)
@given(east=NEAR, north=NEAR)
def test_there_and_back_is_where_it_was(place, east, north):
    before = labels_of(*HOUSES, grid=PLACES[place])
    after = before.with_offset(east, north).with_offset(-east, -north)
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(*lonlat_of(before).T, *lonlat_of(after).T)
    assert np.abs(metres).max() < 1e-3


@pytest.mark.parametrize("place", PLACES)
@hypothesis_settings(max_examples=60, deadline=None)
@given(east=METRES, north=METRES)
def test_labels_move_by_metres_on_the_ground(place, east, north):
    before = labels_of(*HOUSES, grid=PLACES[place])
    after = before.with_offset(east, north)
    azimuth, _, metres = pyproj.Geod(ellps="WGS84").inv(*lonlat_of(before).T, *lonlat_of(after).T)
    went = np.column_stack([np.sin(np.radians(azimuth)) * metres, np.cos(np.radians(azimuth)) * metres])
    assert np.abs(went - (east, north)).max() < 5e-3
    assert after.area_m2 == pytest.approx(before.area_m2, rel=1e-4)
    assert shapely.hausdorff_distance(after.pixels, after.grid.to_pixels(after.map_footprints)).max() < 1e-6


def test_a_building_far_beside_the_image_does_not_change_the_step():
    grid = PLACES["web mercator in the north"]
    alone = labels_of(*HOUSES, grid=grid)
    beside = labels_of(*HOUSES, box(0, 4_000_000, 20, 4_000_020), grid=grid)
    expected, found = (shapely.get_coordinates(labels.with_offset(30, 40).pixels[:2]) for labels in (alone, beside))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_labels_that_are_not_moved_are_the_same():
    labels = labels_of(*HOUSES)
    assert labels.with_offset(0, 0) is labels
    assert len(labels_of().with_offset(3, 4)) == 0


def test_a_tiles_labels_are_moved_as_a_person_wished(tmp_path):
    tile = make_tile(tmp_path)
    before, after = read_tile_labels(tile), read_tile_labels(replace(tile, offset_m=(1.5, -0.5)))
    shift = shapely.get_coordinates(after.pixels) - shapely.get_coordinates(before.pixels)
    across, down = tile_grid_north(before.grid)
    assert shift.mean(axis=0) == pytest.approx(1.5 * across - 0.5 * down, abs=0.01)


def tile_grid_north(grid):
    """Pixels (column, row) that one metre east and one metre north are worth, seen from the middle of a grid."""
    here = grid.footprint.centroid
    geod = pyproj.Geod(ellps="WGS84")
    ends = [shapely.Point(*geod.fwd(here.x, here.y, azimuth, 1)[:2]) for azimuth in (90, 0)]
    points = shapely.get_coordinates(grid.to_pixels(np.array([here, *ends]), LONLAT))
    return points[1] - points[0], points[2] - points[0]
