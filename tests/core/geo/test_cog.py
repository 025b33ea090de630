"""Any GeoTIFF becomes a COG with the same pixels, on the same ground, or nothing is left."""

import resource
import signal
import struct
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.shutil import copy as gdal_copy

from core.errors import CannotWrite, DiskFull, RasterWithoutCRS, TruncatedRaster, UnsupportedRaster
from core.geo import cog, raster
from core.geo.cog import make_cog, nodata_share, row_bands
from core.geo.grid import LONLAT, WEB_MERCATOR, Grid
from tests.core.geotiff import pixels_of, write_geotiff
from tests.core.tile_factory import UTM, grid_at


def made(folder: Path, pixels, grid=None, **profile) -> Path:
    return make_cog(write_geotiff(folder / "source.tif", pixels, grid, **profile), folder / "out" / "image.tif")


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float32", "float64"])
def test_the_pixels_stay_the_same(tmp_path, dtype):
    pixels = pixels_of(dtype)
    path = made(tmp_path, pixels)
    found = raster.read(path)
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.grid == grid_at()
    assert left_in(path.parent) == ["image.tif"]


@pytest.mark.parametrize("bands", range(1, 17))
def test_any_number_of_bands_comes_through(tmp_path, bands):
    pixels = pixels_of("uint8", bands)
    with raster.open_raster(made(tmp_path, pixels, photometric="minisblack", alpha="no")) as dataset:
        np.testing.assert_array_equal(dataset.read(), pixels)
        assert ColorInterp.alpha not in dataset.colorinterp


@pytest.mark.parametrize(
    "grid",
    [
        Grid(64, 64, Affine(2.7e-6, 0, -115.3, 0, -2.7e-6, 36.1), LONLAT),
        Grid(64, 64, Affine(0.3, 0, 9_400_000, 0, -0.3, 3_200_000), WEB_MERCATOR),
        Grid(64, 64, Affine.translation(660_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5), UTM),
        Grid(64, 64, Affine(0.5, 0, 600_000, 0, -0.5, 200_000), pyproj.CRS.from_epsg(2056)),
        Grid(64, 64, Affine(0.5, 0, 1000, 0, -0.5, 2000), pyproj.CRS.from_proj4("+proj=laea +lat_0=50 +lon_0=8")),
    ],
    ids=["degrees", "web mercator", "rotated", "swiss", "own projection"],
)  # fmt: skip
def test_the_ground_stays_the_same(tmp_path, grid):
    found = raster.read_info(made(tmp_path, pixels_of(), grid)).grid
    assert found.transform.almost_equals(grid.transform, 1e-9)
    assert found.bounds == pytest.approx(grid.bounds, abs=1e-9)


def test_it_is_a_cog_with_averaged_copies(tmp_path):
    pixels = pixels_of("uint16", 3, (600, 1100))
    path = made(tmp_path, pixels)
    with raster.open_raster(path) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.overviews(1) == [2, 4]
        assert set(dataset.block_shapes) == {(512, 512)}
        assert dataset.profile["compress"] == "deflate"
        half = dataset.read(1, out_shape=(300, 550))
    blocks = pixels[0].reshape(300, 2, 550, 2).mean(axis=(1, 3))
    assert np.abs(half - blocks).max() <= 0.5


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (512, 512), (513, 512), (1, 2000)])
def test_any_size_comes_through(tmp_path, shape):
    pixels = pixels_of("uint8", 1, shape)
    np.testing.assert_array_equal(raster.read(made(tmp_path, pixels)).pixels, pixels)


@pytest.mark.parametrize("profile", [
    {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "lzw"}, {"interleave": "band"},
    {"compress": "deflate", "blockysize": 64}, {"bigtiff": "yes"}, {"endianness": "big"},
], ids=["tiles", "planes", "one strip", "BigTIFF", "big-endian"])  # fmt: skip
def test_the_layout_of_the_source_does_not_matter(tmp_path, profile):
    pixels = pixels_of("uint16")
    np.testing.assert_array_equal(raster.read(made(tmp_path, pixels, **profile)).pixels, pixels)


def test_a_wide_image_is_read_in_pieces_that_fit_together(tmp_path, monkeypatch):
    monkeypatch.setattr(cog, "_BAND_BYTES", 3 * 2 * 512 * 600)
    pixels = pixels_of("uint16", 3, (1100, 1300))
    source = write_geotiff(tmp_path / "source.tif", pixels)
    boxes = [stripe.window.flatten() for stripe in row_bands(source)]
    assert boxes[:4] == [(0, 0, 512, 512), (512, 0, 512, 512), (1024, 0, 276, 512), (0, 512, 512, 512)]
    np.testing.assert_array_equal(raster.read(make_cog(source, tmp_path / "cog.tif")).pixels, pixels)


def test_progress_goes_up_to_the_end(tmp_path):
    source, seen = write_geotiff(tmp_path / "source.tif", pixels_of("uint16", 3, (1100, 1300))), []
    make_cog(source, tmp_path / "cog.tif", report=lambda share, doing: seen.append((share, doing)))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert {doing for _, doing in seen} == {"Copying pixels", "Building overviews (COG)"}


# No-data


@pytest.mark.parametrize(("dtype", "declared"), [("uint8", 255), ("int16", -32768), ("float32", -9999.0)])
def test_a_declared_no_data_value_is_kept(tmp_path, dtype, declared):
    assert raster.read_info(made(tmp_path, pixels_of(dtype), nodata=declared)).nodata == declared


@pytest.mark.parametrize("tag", ["-9999", "1000000", " nan", "77.5"])
def test_a_no_data_value_no_pixel_can_have_is_left_out(tmp_path, tag):
    """rasterio refuses to write such files, other programs do not: the tag is put in by hand."""
    source = write_geotiff(tmp_path / "source.tif", np.full((1, 64, 64), 9, np.uint8), nodata=11)
    whole = source.read_bytes()
    place = whole.index(struct.pack("<HH", 42113, 2))
    text, end = tag.encode() + b"\0", len(whole) + len(whole) % 2
    entry = struct.pack("<HHII", 42113, 2, len(text), end)
    source.write_bytes((whole[:place] + entry + whole[place + 12 :]).ljust(end, b"\0") + text)
    found = raster.read(make_cog(source, tmp_path / "cog.tif"))
    assert (found.nodata, found.pixels.min(), found.pixels.max()) == (None, 9, 9)


def test_the_share_without_picture_is_counted_over_all_pixels(tmp_path):
    pixels = np.full((3, 700, 600), 9, np.uint8)
    pixels[:, :100] = 0
    pixels[0, 100:200] = 0  # one band alone is no gap
    assert nodata_share(write_geotiff(tmp_path / "a.tif", pixels)) == pytest.approx(1 / 7)
    assert nodata_share(write_geotiff(tmp_path / "b.tif", pixels, nodata=9)) == pytest.approx(5 / 7)


def test_what_an_alpha_band_hides_is_no_data(tmp_path):
    pixels = np.full((4, 64, 64), 200, np.uint8)
    pixels[3] = 255
    pixels[3, :16] = 0
    source = write_geotiff(tmp_path / "rgba.tif", pixels, photometric="rgb", alpha="yes")
    assert nodata_share(source) == 0.25
    found = raster.read(make_cog(source, tmp_path / "cog.tif"))
    assert found.pixels.shape == (3, 64, 64)
    assert not found.pixels[:, :16].any()
    assert (found.pixels[:, 16:] == 200).all()


def test_what_a_mask_hides_is_no_data(tmp_path):
    source = write_geotiff(tmp_path / "source.tif", np.full((3, 64, 64), 200, np.uint8), nodata=7)
    shown = np.full((64, 64), 255, np.uint8)
    shown[:, :32] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(source, "r+") as dataset:
        dataset.write_mask(shown)
    found = raster.read(make_cog(source, tmp_path / "cog.tif"))
    assert (found.pixels[:, :, :32] == 7).all()
    assert nodata_share(source) == 0.5


def test_the_fourth_band_of_bytes_is_a_colour_unless_it_says_otherwise(tmp_path):
    pixels = pixels_of("uint8", 4)
    source = write_geotiff(tmp_path / "source.tif", pixels, photometric="rgb", alpha="no")
    np.testing.assert_array_equal(raster.read(make_cog(source, tmp_path / "cog.tif")).pixels, pixels)


# What goes wrong


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_place_given_by_hand_replaces_the_files_own(tmp_path):
    source = write_geotiff(tmp_path / "source.tif", pixels_of(), bare=True)
    with pytest.raises(RasterWithoutCRS):
        make_cog(source, tmp_path / "cog.tif")
    assert left_in(tmp_path) == ["source.tif"]
    assert raster.read_info(make_cog(source, tmp_path / "cog.tif", grid_at(column=9))).grid == grid_at(column=9)


def test_a_source_that_ends_too_early_is_named_and_leaves_nothing(tmp_path):
    source = write_geotiff(tmp_path / "source.tif", pixels_of("uint16", 3, (600, 600)))
    source.write_bytes(source.read_bytes()[:100_000])
    with pytest.raises(TruncatedRaster, match="source"):
        make_cog(source, tmp_path / "cog.tif")
    assert left_in(tmp_path) == ["source.tif"]


def test_another_format_is_refused(tmp_path):
    (tmp_path / "photo.tif").write_bytes(b"\xff\xd8\xff\xe0 and so on")
    with pytest.raises(UnsupportedRaster, match="a JPEG"):
        make_cog(tmp_path / "photo.tif", tmp_path / "cog.tif")


@pytest.mark.parametrize("limit", [100_000, 2_400_000])
def test_a_disk_that_is_full_in_either_pass_leaves_nothing(tmp_path, limit):
    """The limit on a file's size stands in for the disk: GDAL meets the same failed write."""
    source = write_geotiff(tmp_path / "source.tif", pixels_of("uint16", 3, (600, 600)))
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises((CannotWrite, DiskFull)):
            make_cog(source, tmp_path / "cog.tif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, kept)
    assert left_in(tmp_path) == ["source.tif"]


@pytest.mark.parametrize("after", [0.05, 0.2])
def test_whoever_stops_it_in_either_pass_leaves_nothing(tmp_path, after):
    source = write_geotiff(tmp_path / "source.tif", pixels_of("uint16", 3, (600, 600)))

    def stop(share: float, doing: str) -> None:
        if share >= after and doing.startswith("Building overviews" if after == 0.2 else "Copying"):
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        make_cog(source, tmp_path / "cog.tif", report=stop)
    assert left_in(tmp_path) == ["source.tif"]


def test_a_cog_of_the_real_tile_has_its_pixels(tmp_path, shared):
    [source] = (shared / "spacenet").rglob("RGB-PanSharpen_AOI_2_Vegas_img225.tif")
    found = raster.read(make_cog(source, tmp_path / "cog.tif"))
    np.testing.assert_array_equal(found.pixels, raster.read(source).pixels)
    assert found.grid == raster.read_info(source).grid


def test_no_driver_but_that_of_geotiff_is_asked(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        cog, "gdal_copy", lambda *args, **more: asked.append(more["driver"]) or gdal_copy(*args, **more)
    )
    made(tmp_path, pixels_of())
    assert asked == ["COG"]
