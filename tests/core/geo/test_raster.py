"""The only door for rasters: GeoTIFF comes in, everything else is one sentence; files are whole or not there."""

import errno
import io
import os
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from PIL import Image
from shapely import box

from core.errors import (
    BlocksTooLarge,
    CannotRead,
    CannotWrite,
    DiskFull,
    MissingBand,
    NoSuchPath,
    OutsideWebMercator,
    RasterTooLarge,
    RasterWithoutCRS,
    TruncatedRaster,
    UnsupportedDtype,
    UnsupportedRaster,
)
from core.geo import raster as rasters
from core.geo.grid import LONLAT, WEB_MERCATOR, Grid
from core.geo.raster import Raster, read, read_info, read_window, to_web_mercator, write, writer
from core.geo.windows import PixelWindow
from core.settings import settings
from tests.core.tile_factory import UTM, grid_at

PIXELS = np.random.default_rng(0).integers(1, 2000, (3, 64, 64)).astype(np.uint16)


@pytest.fixture
def tile(tmp_path):
    return write(tmp_path / "tile.tif", Raster(PIXELS, grid_at()))


@pytest.fixture
def limit(monkeypatch):
    def limit(size):
        monkeypatch.setenv("GROUNDPLAN_MAX_RASTER_BYTES", str(size))
        settings.cache_clear()

    yield limit
    settings.cache_clear()


def names(folder):
    return [path.name for path in folder.iterdir()]


# Round trip


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("nodata", [None, 0, 255])
def test_what_was_written_is_read(tmp_path, dtype, nodata):
    raster = Raster(PIXELS.astype(dtype), grid_at(), nodata)
    found = read(write(tmp_path / "tile.tif", raster))
    assert np.array_equal(found.pixels, raster.pixels)
    assert found.pixels.dtype == dtype
    assert (found.grid, found.nodata) == (raster.grid, nodata)


@pytest.mark.parametrize("crs", [LONLAT, WEB_MERCATOR, UTM, pyproj.CRS.from_proj4("+proj=laea +lat_0=36 +lon_0=-115")])
def test_the_crs_comes_back(tmp_path, crs):
    x, y = pyproj.Transformer.from_crs(LONLAT, crs, always_xy=True).transform(-115.2, 36.2)
    side = 1e-6 if crs == LONLAT else 0.5
    found = read_info(write(tmp_path / "a.tif", Raster(PIXELS, Grid(64, 64, Affine(side, 0, x, 0, -side, y), crs))))
    assert found.grid.crs.to_epsg() == crs.to_epsg()
    assert found.grid.bounds[:2] == pytest.approx((-115.2, 36.2), abs=1e-3)


def test_the_header_is_told_without_reading_pixels(tile):
    found = read_info(tile)
    assert (found.grid, found.bands, found.dtype, found.nodata) == (grid_at(), 3, "uint16", None)


@pytest.mark.parametrize(
    ("said", "day"), [("2015-10-22 18:31:01", "2015-10-22"), ("yesterday", ""), ("<b>", ""), ("", "")]
)
def test_the_day_of_a_picture_is_known_where_the_metadata_of_satellites_has_it(tmp_path, said, day):
    path = write(tmp_path / "a.tif", Raster(np.zeros((1, 64, 64), np.uint8), grid_at()))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="IMAGERY", ACQUISITIONDATETIME=said)
        dataset.update_tags(TIFFTAG_DATETIME="2020:01:01 00:00:00")
    assert read_info(path).acquired == day


def test_files_are_lzw_and_everyone_may_read_them(tile):
    with rasterio.open(tile) as dataset:
        assert dataset.compression.name == "lzw"
    assert tile.stat().st_mode & 0o777 == 0o644


def test_large_files_are_tiled(tmp_path):
    path = write(
        tmp_path / "a.tif", Raster(np.zeros((1, 16, 2049), np.uint8), Grid(2049, 16, grid_at().transform, UTM))
    )
    with rasterio.open(path) as dataset:
        assert dataset.block_shapes == [(512, 512)]


def test_bands_are_counted_from_one_and_come_in_the_order_asked_for(tile):
    assert np.array_equal(read(tile, (3, 1)).pixels, PIXELS[[2, 0]])
    with pytest.raises(MissingBand, match=r"tile\.tif has 3 bands, but band 8 was requested"):
        read(tile, (1, 8))


def test_another_shape_covers_the_same_ground(tile):
    found = read(tile, shape=(32, 16))
    assert found.pixels.shape == (3, 32, 16)
    assert found.grid == grid_at().resized(16, 32)


def test_a_window_of_an_open_file_is_read(tile):
    with rasters.open_raster(tile) as dataset:
        assert np.array_equal(read_window(dataset, PixelWindow(4, 40, 16, 8)), PIXELS[:, 40:48, 4:20])


# What does not come in


def vrt_of(path):
    return (
        f'<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32611</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform>\
<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>{path}</SourceFilename></SimpleSource>\
</VRTRasterBand></VRTDataset>'.encode()
    )


def picture(kind):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (vrt_of("/etc/passwd"), "a VRT"),
        (picture("JPEG"), "a JPEG"),
        (picture("PNG"), "a PNG"),
        (b"PK\x03\x04zip", "a ZIP archive"),
        (b"", "an empty file"),
        (b"hello, world", "an unknown format"),
        (b"\n" + vrt_of("/etc/passwd"), "an unknown format"),
    ],
    ids=["vrt", "jpeg", "png", "zip", "empty", "text", "vrt-after-newline"],
)
def test_only_geotiff_opens_whatever_the_name_says(tmp_path, content, found):
    path = tmp_path / "tile.tif"
    path.write_bytes(content)
    for door in (read_info, read):
        with pytest.raises(UnsupportedRaster, match=rf"^tile\.tif is not a GeoTIFF \({found}\)"):
            door(path)


def test_a_vrt_of_a_real_tile_does_not_open_either(tile):
    path = tile.with_name("other.tif")
    path.write_bytes(vrt_of(tile))
    with pytest.raises(UnsupportedRaster):
        read(path)


@pytest.mark.parametrize("name", ["nothing.tif", "folder.tif"])
def test_missing_files_and_folders_are_named(tmp_path, name):
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(NoSuchPath, match=name):
        read_info(tmp_path / name)


def test_a_dangling_link_is_missing(tmp_path):
    (tmp_path / "tile.tif").symlink_to(tmp_path / "gone.tif")
    with pytest.raises(NoSuchPath, match=r"tile\.tif"):
        read_info(tmp_path / "tile.tif")


def test_a_file_one_may_not_read_is_named(tile, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CannotRead, match=r"tile\.tif cannot be read \(Permission denied\)"):
        read_info(tile)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_truncated_file_is_named(tile, share):
    whole = tile.read_bytes()
    tile.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(TruncatedRaster, match=r"tile\.tif is damaged or truncated"):
        read(tile)


def test_junk_behind_a_tiff_header_is_named(tmp_path):
    (tmp_path / "tile.tif").write_bytes(b"II*\0" + b"\xff" * 400)
    with pytest.raises(TruncatedRaster, match=r"tile\.tif"):
        read_info(tmp_path / "tile.tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (None, grid_at().transform),
        ("EPSG:32611", None),
        ("EPSG:4326", grid_at().transform),
        ("EPSG:32611", Affine(1e6, 0, 1e12, 0, -1e6, 1e12)),
        ('LOCAL_CS["here",UNIT["metre",1]]', grid_at().transform),
    ],
    ids=["no-crs", "no-transform", "metres-as-degrees", "beyond", "local"],
)
def test_a_raster_that_lies_nowhere_is_named(tmp_path, crs, transform):
    path, shape = tmp_path / "tile.tif", {"width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **shape) as dataset:
        dataset.write(np.ones((1, 8, 8), np.uint8))
    for door in (read_info, read):
        with pytest.raises(RasterWithoutCRS, match=r"tile\.tif has no coordinate reference system"):
            door(path)


def test_a_neighbour_s_overviews_are_not_looked_at(tile):
    read(tile)
    tile.with_name("tile.tif.ovr").write_bytes(vrt_of("/etc/passwd"))
    tile.with_name("tile.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:3857</SRS></PAMDataset>")
    assert np.array_equal(read(tile).pixels, PIXELS)
    assert read_info(tile).grid.crs == UTM


def test_the_limit_of_size_holds_for_what_is_asked_for(tile, limit):
    limit(PIXELS.nbytes)
    assert read(tile).pixels.nbytes == PIXELS.nbytes
    limit(PIXELS.nbytes - 1)
    with pytest.raises(RasterTooLarge, match=r"tile\.tif has .* raise GROUNDPLAN_MAX_RASTER_BYTES"):
        read(tile)
    assert read(tile, (1,)).pixels.shape == (1, 64, 64)
    assert read(tile, shape=(32, 32)).pixels.shape == (3, 32, 32)


def test_a_small_file_that_declares_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "bomb.tif"
    huge = {"width": 100_000, "height": 100_000, "count": 1, "dtype": "uint8"}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32611", transform=grid_at().transform, sparse_ok=True, **huge
    ):
        pass
    assert path.stat().st_size < 3_000_000
    with pytest.raises(RasterTooLarge, match=r"bomb\.tif has 10\.0 GB of pixels, above the limit of 8\.0 GB"):
        read(path)


def test_complex_numbers_are_no_pixels(tmp_path):
    shape = {"width": 8, "height": 8, "count": 1, "dtype": "complex64"}
    where = {"crs": "EPSG:32611", "transform": grid_at().transform}
    with rasterio.open(tmp_path / "radar.tif", "w", driver="GTiff", **shape, **where):
        pass
    with pytest.raises(UnsupportedDtype, match=r"radar\.tif has complex numbers"):
        read_info(tmp_path / "radar.tif")


def test_a_large_block_is_read_where_the_file_is_large_as_well(tmp_path, monkeypatch):
    """Some programs write the whole picture as one block; it is refused only where it was packed to burst."""
    noise = np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype(np.uint8)
    shape = {"width": 64, "height": 64, "count": 1, "dtype": "uint8", "compress": "lzw"}
    where = {"crs": "EPSG:32611", "transform": grid_at().transform}
    for name, pixels in (("noise", noise), ("zeros", np.zeros_like(noise))):
        blocks = {"tiled": True, "blockxsize": 64, "blockysize": 64}
        with rasterio.open(tmp_path / f"{name}.tif", "w", driver="GTiff", **shape, **where, **blocks) as dataset:
            dataset.write(pixels)
    monkeypatch.setattr(rasters, "MAX_BLOCK_BYTES", 1000)
    assert read_info(tmp_path / "noise.tif").bands == 1
    with pytest.raises(BlocksTooLarge, match=r"zeros\.tif has blocks of 0 MB"):
        read_info(tmp_path / "zeros.tif")


# Where there is a picture


@pytest.mark.parametrize(
    ("dtype", "nodata", "empty"),
    [
        ("uint8", None, 0), ("uint8", 0, 0), ("uint8", 255, 255), ("uint16", 65535, 65535), ("float32", -9999.0, -9999),
        ("float32", float("nan"), np.nan), ("float32", None, np.nan), ("float32", -9999.0, np.nan),
        ("float32", -3.4028234663852886e38, np.finfo(np.float32).min),
    ],
)  # fmt: skip
def test_no_data_is_where_all_bands_say_so(tmp_path, dtype, nodata, empty):
    pixels = np.full((2, 4, 4), 7, dtype)
    pixels[:, 0] = empty
    pixels[0, 1] = empty
    valid = read(write(tmp_path / "a.tif", Raster(pixels, grid_at(size=4), nodata))).valid
    assert not valid[0].any()
    assert valid[1:].all()


def test_zeros_are_a_picture_where_another_value_is_declared():
    assert Raster(np.zeros((1, 4, 4), np.uint8), grid_at(size=4), 255).valid.all()


# Web Mercator


@pytest.mark.parametrize(
    "grid",
    [
        Grid(64, 64, Affine(10, 0, 660_000, 0, -10, 4_000_000), UTM),
        Grid(64, 64, Affine(1e-4, 0, -43.7, 0, -1e-4, -22.9), LONLAT),
        Grid(64, 64, Affine.translation(660_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10), UTM),
    ],
    ids=["utm", "degrees", "turned"],
)
def test_the_warp_lands_where_it_should(grid):
    pixels = np.zeros((1, 64, 64), np.uint8)
    pixels[0, 40:46, 10:16] = 200
    found = to_web_mercator(Raster(pixels, grid))
    assert found.grid.crs == WEB_MERCATOR
    rows, columns = np.nonzero(found.pixels[0])
    there = found.grid.transform @ (columns.mean() + 0.5, rows.mean() + 0.5)
    here = pyproj.Transformer.from_crs(grid.crs, 3857, always_xy=True).transform(*(grid.transform @ (13, 43)))
    assert there == pytest.approx(here, abs=max(found.grid.transform.a, 1))
    west, south, east, north = found.grid.bounds
    assert box(west, south, east, north).buffer(1e-6).contains(grid.footprint)


TURNED_MERCATOR = {
    "south up": Affine(10, 0, 9_000_000, 0, 10, 3_000_000),
    "mirrored": Affine(-10, 0, 9_000_000, 0, -10, 3_000_000),
    "turned by 90°": Affine(0, 10, 9_000_000, 10, 0, 3_000_000),
    "turned by 30°": Affine.translation(9_000_000, 3_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10),
}


@pytest.mark.parametrize("transform", TURNED_MERCATOR.values(), ids=TURNED_MERCATOR)
def test_a_raster_in_web_mercator_is_drawn_north_up(transform):
    grid = Grid(64, 48, transform, WEB_MERCATOR)
    pixels = np.zeros((1, 48, 64), np.uint8)
    pixels[0, 40:46, 10:16] = 200
    found = to_web_mercator(Raster(pixels, grid))
    pixel = found.grid.transform
    assert (pixel.b, pixel.d) == (0, 0)
    assert pixel.a > 0 > pixel.e
    rows, columns = np.nonzero(found.pixels[0])
    assert pixel @ (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(transform @ (13, 43), abs=10)


@pytest.mark.parametrize(
    ("x", "y", "epsg", "half"), [(0, 0, 3031, 1_000_000), (819_000, 8_120_000, 32760, 600)], ids=["pole", "date line"]
)
def test_what_no_web_map_shows_is_refused_in_words(tmp_path, x, y, epsg, half):
    transform = Affine(half / 32, 0, x - half, 0, -half / 32, y + half)
    path = write(tmp_path / "tile.tif", Raster(PIXELS, Grid(64, 64, transform, pyproj.CRS.from_epsg(epsg))))
    with pytest.raises(OutsideWebMercator, match=r"tile\.tif crosses the antimeridian or extends beyond 85 degrees"):
        read_info(path)


def test_infinite_pixels_are_no_picture():
    pixels = np.ones((2, 4, 4), np.float32)
    pixels[:, 0], pixels[0, 1], pixels[:, 2] = np.inf, -np.inf, np.nan
    assert Raster(pixels, grid_at(size=4)).valid.all(axis=1).tolist() == [False, True, False, True]


def test_a_raster_in_web_mercator_stays_as_it_is():
    raster = Raster(PIXELS, Grid(64, 64, Affine(0.5, 0, 9_000_000, 0, -0.5, 3_000_000), WEB_MERCATOR))
    assert to_web_mercator(raster) is raster


# Whole or not there


@contextmanager
def files_end_after(size):
    """As on a full disk: no file of this process may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("stage", ["fsync", "close"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch, stage):
    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, stage, full)
    with pytest.raises(DiskFull, match=r"not enough disk space to write tile\.tif"):
        write(tmp_path / "tile.tif", Raster(PIXELS, grid_at()))
    if stage == "fsync":
        assert names(tmp_path) == []


def test_a_write_that_failed_without_saying_why_is_a_full_disk_where_the_disk_is_full(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    with files_end_after(5000), pytest.raises(DiskFull):
        write(tmp_path / "tile.tif", Raster(PIXELS, grid_at()))
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [0, 300, 5000, 20_000])
@pytest.mark.parametrize("side", [64, 1000])
def test_a_geotiff_that_ended_too_early_is_not_kept(tmp_path, size, side):
    """GDAL holds small files back until it closes them, and says nothing when that fails."""
    path = write(tmp_path / "tile.tif", Raster(PIXELS, grid_at()))
    before = path.read_bytes()
    many = np.random.default_rng(0).integers(0, 65535, (3, side, side)).astype(np.uint16)
    with files_end_after(size), pytest.raises(CannotWrite, match=r"tile\.tif cannot be written") as raised:
        write(path, Raster(many, grid_at(size=side)))
    assert path.read_bytes() == before
    assert names(tmp_path) == ["tile.tif"]
    assert str(tmp_path) not in str(raised.value)


def test_space_in_a_name_is_no_full_disk(tmp_path):
    (tmp_path / "spacenet").write_text("a file")
    with pytest.raises(CannotWrite, match=r"tile\.tif cannot be written"):
        write(tmp_path / "spacenet" / "tile.tif", Raster(PIXELS, grid_at()))


def test_what_cannot_be_read_while_writing_keeps_its_name(tmp_path):
    source = tmp_path / "source.tif"

    def copy():
        with writer(tmp_path / "out.tif", grid_at(), 3, "uint16") as dataset:
            dataset.write(read(source).pixels)

    with pytest.raises(NoSuchPath, match=r"source\.tif"):
        copy()
    source.write_bytes(b"II*\0")
    with pytest.raises(TruncatedRaster, match=r"source\.tif"):
        copy()
    assert names(tmp_path) == ["source.tif"]


def test_a_raster_written_by_windows_appears_at_the_end(tmp_path):
    with writer(tmp_path / "out.tif", grid_at(), 1, "uint16") as dataset:
        for row in range(0, 64, 16):
            dataset.write(PIXELS[:1, row : row + 16], window=rasterio.windows.Window(0, row, 64, 16))
        assert not (tmp_path / "out.tif").exists()
    assert np.array_equal(read(tmp_path / "out.tif").pixels, PIXELS[:1])


# Real tiles


def test_vegas_is_eleven_bit_in_degrees(shared):
    paths = sorted((shared / "spacenet/SN2_buildings/AOI_2_Vegas_Train/RGB-PanSharpen").glob("*.tif"))
    assert len(paths) == 7
    tiles = [read(path) for path in paths]
    assert {(tile.pixels.shape, str(tile.pixels.dtype)) for tile in tiles} == {((3, 650, 650), "uint16")}
    assert {tile.grid.crs.to_epsg() for tile in tiles} == {4326}
    assert [tile.grid.transform.a for tile in tiles] == pytest.approx([2.7e-6] * 7, rel=1e-3)
    assert (min(tile.pixels.min() for tile in tiles), max(tile.pixels.max() for tile in tiles)) == (1, 1912)


def test_rio_is_mostly_no_data(shared):
    folder = shared / "spacenet/SN1_buildings/AOI_1_Rio"
    tiles = [read(path) for path in sorted((folder / "3band").glob("*.tif"))]
    assert [tile.pixels.shape for tile in tiles] == [(3, 406, 439)] * 8
    empty = [1 - tile.valid.mean() for tile in tiles]
    assert (round(min(empty), 2), round(max(empty), 2)) == (0.69, 0.89)
    eight = [read_info(path) for path in (folder / "8band").glob("*.tif")]
    assert {(info.bands, info.dtype, info.grid.shape) for info in eight} == {(8, "uint16", (102, 110))}


def test_banepa_chips_lie_side_by_side_in_web_mercator(shared):
    paths = (shared / "open-cities/AOI_20_Banepa_Train/RGB-PanSharpen").glob("*.tif")
    infos = [read_info(path) for path in paths]
    assert {(info.grid.crs.to_epsg(), info.grid.shape, info.dtype) for info in infos} == {(3857, (512, 512), "uint8")}
    assert [info.grid.gsd_m for info in infos] == pytest.approx([0.132] * 32, rel=2e-3)
    corners = {(round(info.grid.transform.c / 76.437), round(info.grid.transform.f / 76.437)) for info in infos}
    assert len(corners) == 32
    assert np.ptp(sorted(corners), axis=0).tolist() == [3, 7]
