"""A file brings itself and nothing else: no other file of this machine, no address on the network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest
import rasterio

from core.catalog.scan import scan
from core.errors import ExternalReference, GroundplanError, NoSuchPath, NotFootprintsCSV, NotGeoJSON, UnsupportedRaster
from core.geo import raster
from core.geo.raster import Raster
from core.geo.vector import read_footprints
from tests.core.tile_factory import HOUSES, grid_at, write_labels
from tests.security.child import DOORS, RASTER_DOORS

#: The value of every pixel of the canary file, and a word in it.
SECRET, WORD = 77, b"canary-7f3a"
OWN = 33


@pytest.fixture
def secret(tmp_path) -> Path:
    """A raster that a hostile file would like to be read."""
    path = raster.write(tmp_path / "secret.tif", Raster(np.full((1, 64, 64), SECRET, np.uint8), grid_at()))
    path.write_bytes(path.read_bytes() + WORD)
    return path


@pytest.fixture
def own(tmp_path) -> Path:
    """A harmless tile beside which hostile files are put."""
    folder = tmp_path / "own"
    return raster.write(folder / "3band_AOI_0_Made_img1.tif", Raster(np.full((1, 64, 64), OWN, np.uint8), grid_at()))


def vrt(source: object) -> bytes:
    place = ",".join(map(str, grid_at().transform.to_gdal()))
    return (
        f'<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32611</SRS><GeoTransform>{place}</GeoTransform>'
        f'<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>{source}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    ).encode()


def ogr_vrt(source: object) -> bytes:
    return (
        f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{source}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    ).encode()


def baits(secret: Path, url: str) -> list[str]:
    """Names under which GDAL would find the canary."""
    return [str(secret), f"{url}/a.tif", f"/vsicurl/{url}/a.tif", f"/vsicurl_streaming/{url}/a.tif"]


_WITHOUT_GUARD = """
import sys, rasterio
try:
    print(rasterio.open(sys.argv[1]).read().max())
except rasterio.errors.RasterioIOError:
    print("failed")
"""


def test_the_baits_are_taken_where_nothing_guards(tmp_path, secret, canary):
    """Or the tests below would show nothing."""
    free = {name: value for name, value in os.environ.items() if not name.startswith(("GDAL_", "CPL_"))}
    said = []
    for bait in (secret, f"/vsicurl/{canary.url}/a.tif"):
        (tmp_path / "tile.tif").write_bytes(vrt(bait))
        command = [sys.executable, "-c", _WITHOUT_GUARD, str(tmp_path / "tile.tif")]
        said.append(subprocess.run(command, env=free, check=True, capture_output=True, text=True).stdout.strip())
    assert said == [str(SECRET), "failed"]
    assert canary.asked


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n", b"<?xml version='1.0'?>", b"II*\0"])
def test_a_vrt_named_tif_reads_nothing(tmp_path, secret, canary, number, before):
    path = tmp_path / "RGB-PanSharpen_AOI_2_Vegas_img1.tif"
    path.write_bytes(before + vrt(baits(secret, canary.url)[number]))
    for door in RASTER_DOORS:
        with pytest.raises(GroundplanError) as refused:
            DOORS[door](path)
        assert WORD.decode() not in str(refused.value)
    assert scan(path).tiles == ()
    assert canary.asked == []


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    ("name", "error"), [("a.geojson", NotGeoJSON), ("a.json", NotGeoJSON), ("a.csv", NotFootprintsCSV)]
)
def test_an_ogr_vrt_named_geojson_or_csv_reads_nothing(tmp_path, secret, canary, number, name, error):
    for make in (ogr_vrt, vrt):
        (tmp_path / name).write_bytes(make(baits(secret, canary.url)[number]))
        with pytest.raises(error) as refused:
            read_footprints(tmp_path / name)
        assert WORD.decode() not in str(refused.value)
    assert canary.asked == []


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    "suffix",
    [".ovr", ".tif.ovr", ".tif.aux.xml", ".aux.xml", ".tif.msk", ".msk", ".tfw", ".tif.vrt", ".tif.xml", ".RPB"],
)
def test_what_lies_beside_a_tile_is_not_looked_at(own, secret, canary, number, suffix):
    beside = own.with_name(own.stem + suffix)
    for content in (vrt(baits(secret, canary.url)[number]), secret.read_bytes()):
        beside.write_bytes(content)
        assert np.unique(raster.read(own).pixels).tolist() == [OWN]
        assert np.unique(raster.read(own, shape=(8, 8)).pixels).tolist() == [OWN]
        assert raster.read_info(own).grid == grid_at()
        DOORS["thumbnail"](own)
        [tile] = scan(own).tiles
        assert tile.nodata_share == 0
    assert canary.asked == []


def test_addresses_in_the_tags_of_a_tiff_are_words(own, secret, canary):
    for bait in baits(secret, canary.url):
        with rasterio.open(own, "r+") as dataset:
            dataset.update_tags(TIFFTAG_IMAGEDESCRIPTION=bait, OVERVIEW_FILE=bait, SOURCE=f"<SourceFilename>{bait}")
            dataset.update_tags(ns="SUBDATASETS", SUBDATASET_1_NAME=bait)
            dataset.update_tags(ns="RPC", RPC_DEM=bait)
            dataset.update_tags(1, ns="OVERVIEWS", OVERVIEW_FILE=bait)
        assert bait.encode() in own.read_bytes()
        for door in RASTER_DOORS:
            DOORS[door](own)
        assert np.unique(raster.read(own, shape=(8, 8)).pixels).tolist() == [OWN]
    assert canary.asked == []


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    ("domain", "tag"),
    [
        ("OVERVIEWS", "OVERVIEW_FILE"),
        ("overviews", "overview_file"),
        ("ProxyOverviewRequest", "FILENAME"),
        ("GEOLOCATION", "X_DATASET"),
    ],
)
def test_a_tag_that_gdal_would_follow_is_refused(own, secret, canary, number, domain, tag):
    """OVERVIEW_FILE returned the pixels of another file of the server, whatever else was guarded."""
    bait = baits(secret, canary.url)[number]
    with rasterio.open(own, "r+") as dataset:
        dataset.update_tags(ns=domain, **{tag: bait})
    assert bait.encode() in own.read_bytes()
    for door in RASTER_DOORS:
        with pytest.raises(ExternalReference, match="refers to other files in its metadata"):
            DOORS[door](own)
    assert canary.asked == []


@pytest.mark.parametrize(
    "scheme", ["", "/vsicurl/", "/vsizip/", "/vsizip//vsicurl/", "GTIFF_DIR:1:", "vrt://", "zip://"]
)
def test_an_address_is_no_path(canary, scheme):
    for door in RASTER_DOORS:
        with pytest.raises((NoSuchPath, UnsupportedRaster)):
            DOORS[door](Path(f"{scheme}{canary.url}/a.tif"))
    with pytest.raises(NoSuchPath):
        scan(Path(f"{scheme}{canary.url}"))
    assert canary.asked == []


def test_a_tiff_inside_a_zip_stays_there(tmp_path, secret):
    shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path, "secret.tif")
    with pytest.raises(NoSuchPath):
        raster.read_info(Path(f"/vsizip/{tmp_path}/a.zip/secret.tif"))


# CRS: PROJ reads grids from any path it is given


def crs_baits(secret: object, url: str) -> list[object]:
    return [
        f"+proj=utm +zone=11 +ellps=clrk66 +nadgrids={secret}",
        f"+proj=merc +a=6378137 +nadgrids=@null,{secret} +wktext +type=crs",
        f"+proj=utm +zone=11 +ellps=clrk66 +nadgrids={url}/grid.tif",
        f"+proj=longlat +ellps=WGS84 +geoidgrids={secret}",
        f"+init={secret}:x",
        f'PROJCS["x",GEOGCS["x",DATUM["x",SPHEROID["x",6378137,298],EXTENSION["PROJ4_GRIDS","{secret}"]],'
        'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],UNIT["metre",1]]',
        f"{url}/crs",
        {"href": f"{url}/crs", "type": "proj4"},
    ]


_READ_WITH_CRS = """
import sys
from pathlib import Path
from core.errors import GroundplanError
from core.geo.vector import read_footprints
try:
    print(len(read_footprints(Path(sys.argv[1]))))
except GroundplanError as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("number", range(8))
def test_a_crs_member_reads_no_grid(tmp_path, canary, number):
    """A pipe nobody writes to holds up whoever opens it: the child would hang."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = write_labels(tmp_path / "a.geojson", grid_at(), HOUSES)
    document = orjson.loads(path.read_bytes())
    bait = crs_baits(pipe, canary.url)[number]
    for member in ({"properties": {"name": bait}}, {"type": "link", "properties": bait}):
        path.write_bytes(orjson.dumps({**document, "crs": member}))
        command = [sys.executable, "-c", _READ_WITH_CRS, str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == "FootprintsWithoutCRS"
    assert canary.asked == []
