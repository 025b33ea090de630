"""SpaceNet's building layouts: what a file's name says. The folders around it do not matter.

SN1 (https://spacenet.ai/spacenet-buildings-dataset-v1/): 3band_AOI_1_RIO_img1.tif, Geo_AOI_1_RIO_img1.geojson.
SN2 tarballs (https://spacenet.ai/spacenet-buildings-dataset-v2/): RGB-PanSharpen_AOI_2_Vegas_img225.tif,
buildings_AOI_2_Vegas_img225.geojson. SN2 on S3: SN2_buildings_train_AOI_2_Vegas_PS-RGB_img225.tif.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from core.catalog.tile import COLOUR, EIGHT_BANDS

SPACENET = "SpaceNet on AWS, Maxar, CosmiQ Works, CC BY-SA 4.0"
SAMPLE = "made by the program"
LABELS = "labels"

_PRODUCT = r"3band|8band|PAN|MUL|MUL-PanSharpen|RGB-PanSharpen|MS|PS-MS|PS-RGB"
_LABEL = r"Geo|buildings|geojson_buildings"
#: Letters of any script, digits, and a few signs between them: an area's name is part of ids, file names and tables,
#: where it must not read as a path, as markup or as a formula.
_AOI = r"\w[\w .()-]*"
_LAYOUTS = (
    re.compile(rf"SN\d_buildings_(?:train|test)_(?P<aoi>{_AOI}?)_(?P<what>{_PRODUCT}|{_LABEL})_img(?P<n>\d+)"),
    re.compile(rf"(?P<what>{_PRODUCT}|{_LABEL})_(?P<aoi>{_AOI})_img(?P<n>\d+)"),
)
_IMAGES = {".tif", ".tiff"}
#: Of a picture with red, green and blue first, and of WorldView's eight bands (counted from 1).
COLOURS, WORLDVIEW_COLOURS = (1, 2, 3), (5, 3, 2)


@dataclass(frozen=True)
class Named:
    """What a file name says: whose tile, and which product (or LABELS)."""

    aoi: str
    tile: str
    product: str


def parse(path: Path) -> Named | None:
    """The meaning of a file's name, None where it is in no known layout."""
    suffix = path.suffix.lower()
    match = next(filter(None, (layout.fullmatch(path.stem) for layout in _LAYOUTS)), None)
    if match is None:
        return None
    is_label = re.fullmatch(_LABEL, match["what"]) is not None
    if is_label != (suffix == ".geojson") or (not is_label and suffix not in _IMAGES):
        return None
    return Named(match["aoi"], f"{match['aoi']}_img{match['n']}", LABELS if is_label else match["what"])


def eight_bands_beside(image: Path) -> Path | None:
    """The 8-band file of the same tile in a neighbouring folder, as SpaceNet's layouts have it."""
    named = parse(image)
    if named is None:
        return None
    for path in sorted(image.resolve().parent.parent.glob(f"*/*{image.stem.rsplit('_', 1)[-1]}{image.suffix}")):
        other = parse(path)
        if other is not None and other.tile == named.tile and other.product in EIGHT_BANDS:
            return path
    return None


def colour_bands(image: Path, bands: int) -> tuple[int, int, int]:
    """Where red, green and blue are in an image of so many bands: WorldView's own order from eight bands on, unless its
    name says that it is a colour picture."""
    named = parse(image)
    is_colour = named is not None and named.product in COLOUR
    return COLOURS if bands < 8 or is_colour else WORLDVIEW_COLOURS


def is_summary(path: Path) -> bool:
    """Whether it is one of SpaceNet's tables with the polygons of a whole AOI (those in pixels of the RGB image)."""
    in_place = path.parent.name.lower() == "summarydata"
    return in_place and path.suffix.lower() == ".csv" and "8band" not in path.name


def is_index(path: Path) -> bool:
    """Whether it is one of SpaceNet's tile indexes (gdaltindex): the ground of every tile of an AOI."""
    return path.suffix.lower() == ".geojson" and path.stem.endswith("_Tindex")


def attribution(aoi: str) -> str:
    """Who made the pictures of an AOI, as its licence wants to be read; empty where the name does not tell."""
    number = re.match(r"AOI_(\d+)_", aoi)
    if number is None:
        return SPACENET if "_Public" in aoi else ""
    return {0: SAMPLE, **dict.fromkeys(range(1, 7), SPACENET)}.get(int(number[1]), "")
