"""What an image must be, in the order in which it is asked; each refusal is a sentence with a way out."""

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from core.errors import (
    EmptyImage,
    InvalidBoundingBox,
    MissingCRS,
    MissingGeoreference,
    OutOfBounds,
    OutsideWebMercator,
    RasterError,
    RasterTooLarge,
    TruncatedRaster,
    UnknownEPSG,
    UnsupportedDtype,
    UnsupportedRaster,
)
from core.geo.grid import LONLAT, Grid
from core.settings import settings
from core.uploads import validation
from core.uploads.validation import Georeference, validate_image
from tests.core.geotiff import pixels_of, write_geotiff
from tests.core.tile_factory import UTM, grid_at

pytestmark = [
    pytest.mark.usefixtures("data"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]


def tif(folder, pixels=None, grid=None, **profile):
    return write_geotiff(folder / "roofs.tif", pixels_of() if pixels is None else pixels, grid, **profile)


def test_a_good_image_is_described(tmp_path):
    found = validate_image(tif(tmp_path, pixels_of("uint16", 4), photometric="minisblack"))
    assert (found.width, found.height, found.bands, found.dtype) == (64, 64, 4, "uint16")
    assert found.crs == "EPSG:32611"
    assert found.gsd_m == pytest.approx(0.5, rel=1e-2)
    assert found.nodata_share == 0
    assert found.size == (tmp_path / "roofs.tif").stat().st_size
    assert found.notes == ()


# Refused


@pytest.mark.parametrize(("head", "said"), [
    (b"\xff\xd8\xff\xe0 JFIF", "a JPEG"), (b"\x89PNG\r\n", "a PNG"), (b"<VRTDataset>", "a VRT"),
    (b"PK\x03\x04", "a ZIP archive"), (b"", "an empty file"), (b"hello", "an unknown format"),
])  # fmt: skip
def test_another_format_named_tif_is_said_so(tmp_path, head, said):
    (tmp_path / "roofs.tif").write_bytes(head)
    with pytest.raises(UnsupportedRaster, match=rf"roofs.tif is not a GeoTIFF \({said}\)"):
        validate_image(tmp_path / "roofs.tif")


def test_a_broken_tiff_is_said_so(tmp_path):
    path = tif(tmp_path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(TruncatedRaster):
        validate_image(path)


def test_what_a_header_declares_is_limited_before_anything_is_read(tmp_path, monkeypatch):
    path = tif(tmp_path, pixels_of("uint16", 3))
    monkeypatch.setenv("GROUNDPLAN_MAX_DECLARED_BYTES", str(64 * 64 * 3 * 2))
    settings.cache_clear()
    validate_image(path)
    monkeypatch.setenv("GROUNDPLAN_MAX_DECLARED_BYTES", str(64 * 64 * 3 * 2 - 1))
    settings.cache_clear()
    with pytest.raises(RasterTooLarge, match="GROUNDPLAN_MAX_DECLARED_BYTES"):
        validate_image(path)


@pytest.mark.parametrize("dtype", ["uint32", "int32", "uint64"])
def test_other_numbers_than_8_or_16_bit_are_refused(tmp_path, dtype):
    with pytest.raises(UnsupportedDtype, match=f"pixels of type {dtype}"):
        validate_image(tif(tmp_path, np.ones((1, 64, 64), dtype)))


@pytest.mark.parametrize("bands", [1, 2, 16, 17])
def test_one_to_sixteen_bands_are_taken(tmp_path, bands):
    path = tif(tmp_path, pixels_of("uint8", bands), photometric="minisblack", alpha="no")
    if bands <= 16:
        assert validate_image(path).bands == bands
    else:
        with pytest.raises(UnsupportedDtype, match="17 bands"):
            validate_image(path)


@pytest.mark.parametrize("dtype", validation.DTYPES)
def test_8_and_16_bit_and_real_numbers_are_taken(tmp_path, dtype):
    assert validate_image(tif(tmp_path, pixels_of(dtype))).dtype == dtype


def test_an_image_without_a_place_asks_for_one(tmp_path):
    with pytest.raises(MissingGeoreference, match="Enter the EPSG code of its coordinates"):
        validate_image(tif(tmp_path, bare=True))


def test_a_place_nowhere_on_earth_asks_for_another(tmp_path):
    with pytest.raises(MissingGeoreference):
        validate_image(tif(tmp_path, grid=Grid(64, 64, Affine(1, 0, 500, 0, -1, 500), LONLAT)))


def test_what_a_web_map_cannot_show_is_refused_whoever_placed_it(tmp_path):
    path = tif(tmp_path, grid=Grid(64, 64, Affine(30_000, 0, -960_000, 0, -30_000, 960_000), CRS.from_epsg(3031)))
    for place in (None, Georeference("3031"), Georeference(edges=(10.0, 86.0, 10.001, 86.001))):
        with pytest.raises(OutsideWebMercator, match=r"roofs\.tif crosses the antimeridian or extends beyond"):
            validate_image(path, place)


@pytest.mark.parametrize("blank", [0, 7])
def test_an_image_that_shows_nothing_is_refused(tmp_path, blank):
    profile = {"nodata": 7} if blank else {}
    with pytest.raises(EmptyImage, match="only no-data pixels"):
        validate_image(tif(tmp_path, np.full((3, 64, 64), blank, np.uint8), **profile))


def test_the_order_of_the_questions(tmp_path, monkeypatch):
    """An image with every fault: as one is mended, the next is told."""
    blank = np.zeros((17, 64, 64), np.uint8)
    path = tif(tmp_path, blank, bare=True, photometric="minisblack", alpha="no")
    monkeypatch.setenv("GROUNDPLAN_MAX_DECLARED_BYTES", "1000")
    settings.cache_clear()
    told = []
    for mend in (
        lambda: monkeypatch.delenv("GROUNDPLAN_MAX_DECLARED_BYTES"),
        lambda: tif(tmp_path, blank[:3], bare=True),
        lambda: tif(tmp_path, blank[:3]),
        lambda: tif(tmp_path, blank[:3] + 1),
    ):
        with pytest.raises(RasterError) as error:
            validate_image(path)
        told.append(type(error.value))
        mend()
        settings.cache_clear()
    assert told == [RasterTooLarge, UnsupportedDtype, MissingGeoreference, EmptyImage]
    assert validate_image(path).nodata_share == 0


# A place given by hand


def test_an_epsg_code_is_enough_where_there_are_coordinates(tmp_path):
    path = write_geotiff(tmp_path / "a.tif", pixels_of(), bare=True, transform=grid_at().transform)
    assert validate_image(path, Georeference("32611")).crs == "EPSG:32611"
    assert validate_image(path, Georeference("EPSG:32612")).crs == "EPSG:32612"


def test_an_epsg_code_is_not_enough_without_coordinates(tmp_path):
    with pytest.raises(MissingCRS, match="bounding box"):
        validate_image(tif(tmp_path, bare=True), Georeference("32611"))


def test_edges_in_degrees_place_any_image(tmp_path):
    found = validate_image(tif(tmp_path, bare=True), Georeference(edges=(8.0, 50.0, 8.001, 50.001)))
    assert found.crs == "EPSG:4326"
    assert found.gsd_m == pytest.approx((0.001**2 / 64**2 * 111_230 * 71_700) ** 0.5, rel=0.01)


@pytest.mark.parametrize("epsg", ["", "0", "99999", "5773", "4978", "WGS84", "/etc/passwd", "+proj=utm", "1" * 400])
def test_only_the_number_of_a_map_projection_is_a_code(epsg):
    if epsg:
        with pytest.raises(UnknownEPSG, match="Unknown EPSG code"):
            _ = Georeference(epsg).crs
    else:
        assert not Georeference(epsg)


@pytest.mark.parametrize("edges", [
    (8, 50, 8, 51), (9, 50, 8, 51), (8, 51, 9, 50), (8, 50, 181, 51), (8, -91, 9, 50), (float("nan"),) * 4,
])  # fmt: skip
def test_edges_that_enclose_no_ground_are_refused(tmp_path, edges):
    with pytest.raises(InvalidBoundingBox, match="west less than east"):
        validate_image(tif(tmp_path), Georeference(edges=edges))


@pytest.mark.parametrize("typed", ["1,2,3", "a,b,c,d", "1,2,3,4,5", ",,,"])
def test_edges_are_typed_as_four_numbers(typed):
    with pytest.raises(InvalidBoundingBox, match="Invalid bounding box"):
        Georeference.of("", typed)
    assert Georeference.of("", " 1, 2,3,4 ").edges == (1, 2, 3, 4)


def test_a_code_that_does_not_fit_the_coordinates_is_refused(tmp_path):
    path = write_geotiff(tmp_path / "a.tif", pixels_of(), bare=True, transform=grid_at().transform)
    with pytest.raises(OutOfBounds, match="EPSG:4326"):
        validate_image(path, Georeference("4326"))


# Notes


@pytest.mark.parametrize(("pixel_m", "word"), [(0.05, "finer"), (0.3, None), (0.9, None), (10, "coarser")])
def test_an_unusual_resolution_is_a_note_and_no_refusal(tmp_path, pixel_m, word):
    notes = validate_image(tif(tmp_path, grid=grid_at(pixel_m=pixel_m))).notes
    assert [word in note and "0.2–1 m" in note for note in notes] == ([True] if word else [])


def test_the_resolution_is_compared_with_what_the_runs_here_know(tmp_path):
    [note] = validate_image(tif(tmp_path, grid=grid_at(pixel_m=0.5)), trained_gsd=(1.0, 4.0)).notes
    assert "finer than models are trained for (1–4 m)" in note


def test_what_may_surprise_is_told(tmp_path):
    def notes(pixels, **profile):
        return " ".join(validate_image(tif(tmp_path, pixels, **profile)).notes)

    pixels = pixels_of("uint8", 4)
    assert "Transparent" in notes(pixels, photometric="rgb", alpha="yes")
    assert "color table" in notes(pixels[:1], photometric="palette")
    assert "three bands" in notes(pixels[:2], photometric="minisblack", alpha="no")
    assert "WorldView order" in notes(pixels_of("uint16", 8), photometric="minisblack", alpha="no")
    mostly = np.zeros((3, 64, 64), np.uint8)
    mostly[:, 0] = 9
    assert "98% of the image is no-data" in notes(mostly)


def test_rotated_images_are_taken(tmp_path):
    turned = Affine.translation(660_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
    assert validate_image(tif(tmp_path, grid=Grid(64, 64, turned, UTM))).gsd_m == pytest.approx(0.5, rel=0.01)
