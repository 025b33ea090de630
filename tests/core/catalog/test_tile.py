"""Which file of a tile is shown, trained on and asked for."""

from pathlib import Path

import pytest
from shapely import box

from core.catalog.tile import Tile
from core.errors import NoImage, NoLabels


def tile(*products, footprints=None):
    return Tile(
        id="AOI_2_Vegas_img225", aoi="AOI_2_Vegas", products={name: Path(f"{name}.tif") for name in products},
        footprints=footprints, footprint=box(-115.2, 36.1, -115.1, 36.2), width=650, height=650, bands=3,
        dtype="uint16", crs="EPSG:4326", gsd_m=0.27, buildings=None, built_share=None, nodata_share=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("products", "image", "eight"),
    [
        (("PAN", "MUL", "RGB-PanSharpen"), "RGB-PanSharpen", "MUL"),
        (("MS", "PS-MS", "PS-RGB"), "PS-RGB", "MS"),
        (("8band", "3band"), "3band", "8band"),
        (("PAN", "MUL-PanSharpen"), "MUL-PanSharpen", "MUL-PanSharpen"),
        (("PAN",), "PAN", None),
    ],
)
def test_the_best_product_is_shown(products, image, eight):
    found = tile(*products)
    assert found.image == Path(f"{image}.tif")
    assert found.eight_bands == (Path(f"{eight}.tif") if eight else None)


def test_what_is_missing_is_named():
    with pytest.raises(NoImage, match="AOI_2_Vegas_img225 has no image"):
        _ = tile().image
    with pytest.raises(NoLabels, match="AOI_2_Vegas_img225 has no building footprints"):
        _ = tile("PAN").labels


def test_a_tile_is_labelled_with_image_and_labels_only():
    labels = Path("a.geojson")
    assert tile("PAN", footprints=labels).is_labeled
    assert tile("PAN", footprints=labels).labels == labels
    assert not tile("PAN").is_labeled
    assert not tile(footprints=labels).is_labeled


def test_its_name_is_short_inside_its_area():
    assert tile("PAN").short_id == "img225"
    assert tile("PAN").bounds == (-115.2, 36.1, -115.1, 36.2)
