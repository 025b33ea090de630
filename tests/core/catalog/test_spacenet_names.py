"""What a file's name says, in all three layouts."""

from pathlib import Path

import pytest

from core.catalog import spacenet_names
from core.catalog.spacenet_names import LABELS, ParsedName, attribution, is_summary, parse

VEGAS = ("AOI_2_Vegas", "AOI_2_Vegas_img225")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("3band_AOI_1_RIO_img1.tif", ParsedName("AOI_1_RIO", "AOI_1_RIO_img1", "3band")),
        ("8band_AOI_1_RIO_img6940.tif", ParsedName("AOI_1_RIO", "AOI_1_RIO_img6940", "8band")),
        ("Geo_AOI_1_RIO_img1.geojson", ParsedName("AOI_1_RIO", "AOI_1_RIO_img1", LABELS)),
        ("PAN_AOI_2_Vegas_img225.tif", ParsedName(*VEGAS, "PAN")),
        ("MUL_AOI_2_Vegas_img225.tif", ParsedName(*VEGAS, "MUL")),
        ("MUL-PanSharpen_AOI_2_Vegas_img225.tif", ParsedName(*VEGAS, "MUL-PanSharpen")),
        ("RGB-PanSharpen_AOI_2_Vegas_img225.tif", ParsedName(*VEGAS, "RGB-PanSharpen")),
        ("buildings_AOI_2_Vegas_img225.geojson", ParsedName(*VEGAS, LABELS)),
        ("SN2_buildings_train_AOI_2_Vegas_PS-RGB_img225.tif", ParsedName(*VEGAS, "PS-RGB")),
        ("SN2_buildings_train_AOI_2_Vegas_MS_img225.tif", ParsedName(*VEGAS, "MS")),
        ("SN2_buildings_train_AOI_2_Vegas_PS-MS_img225.tif", ParsedName(*VEGAS, "PS-MS")),
        ("SN2_buildings_train_AOI_2_Vegas_PAN_img225.tif", ParsedName(*VEGAS, "PAN")),
        ("SN2_buildings_test_AOI_2_Vegas_PS-RGB_img225.tif", ParsedName(*VEGAS, "PS-RGB")),
        ("SN2_buildings_train_AOI_2_Vegas_geojson_buildings_img225.geojson", ParsedName(*VEGAS, LABELS)),
        (
            "RGB-PanSharpen_AOI_20_Banepa_img9041.TIF",
            ParsedName("AOI_20_Banepa", "AOI_20_Banepa_img9041", "RGB-PanSharpen"),
        ),
    ],
)  # fmt: skip
def test_a_name_tells_tile_and_product(name, expected):
    assert parse(Path("anywhere") / name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "tile.tif", "RGB-PanSharpen_AOI_2_Vegas_img225.jpg", "RGB-PanSharpen_AOI_2_Vegas.tif",
        "RGB-PanSharpen_AOI_2_Vegas_img.tif", "RGB-PanSharpen_AOI_2_Vegas_img2.tif.aux.xml",
        "buildings_AOI_2_Vegas_img225.tif", "RGB-PanSharpen_AOI_2_Vegas_img225.geojson", "img225.tif",
        "._RGB-PanSharpen_AOI_2_Vegas_img225.tif", "",
    ],
)  # fmt: skip
def test_other_names_tell_nothing(name):
    assert parse(Path(name)) is None


def test_only_the_table_of_the_colour_image_is_a_summary():
    folder = Path("AOI_1_Rio/vectordata/summarydata")
    assert is_summary(folder / "AOI_1_RIO_polygons_solution_3band.csv")
    assert is_summary(Path("AOI_2_Vegas_Train/summaryData/AOI_2_Vegas_Train_Building_Solutions.csv"))
    assert not is_summary(folder / "AOI_1_RIO_polygons_solution_8band.csv")
    assert not is_summary(folder / "notes.txt")
    assert not is_summary(Path("anywhere/proposals.csv"))


@pytest.mark.parametrize(
    ("aoi", "who"),
    [
        ("AOI_1_RIO", spacenet_names.SPACENET),
        ("AOI_5_Khartoum", spacenet_names.SPACENET),
        ("AOI_0_Sample", spacenet_names.SAMPLE),
        ("AOI_20_Banepa", ""),
        ("elsewhere", ""),
    ],
)
def test_whose_pictures_they_are(aoi, who):
    assert attribution(aoi) == who


@pytest.mark.parametrize(
    ("name", "bands", "expected"),
    [
        ("8band_AOI_1_RIO_img1.tif", 8, (5, 3, 2)),
        ("MUL-PanSharpen_AOI_2_Vegas_img1.tif", 8, (5, 3, 2)),
        ("scene.tif", 8, (5, 3, 2)),
        ("3band_AOI_1_RIO_img1.tif", 3, (1, 2, 3)),
        ("SN2_buildings_train_AOI_2_Vegas_PS-RGB_img1.tif", 8, (1, 2, 3)),
        ("scene.tif", 4, (1, 2, 3)),
    ],
)
def test_where_the_colours_are_is_told_by_bands_and_name(name, bands, expected):
    assert spacenet_names.color_bands(Path(name), bands) == expected
