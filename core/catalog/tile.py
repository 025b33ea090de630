"""Tile of the catalog: an image, its label file and their metadata."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from shapely import Polygon

from core.errors import NoImage, NoLabels
from core.types import Bounds

#: Products with red, green and blue as the first bands, in order of preference.
RGB_PRODUCT = ("RGB-PanSharpen", "PS-RGB", "3band")
#: Products with WorldView's eight bands, in order of preference; the thesis preset uses 8band.
MULTISPECTRAL_PRODUCT = ("8band", "MUL", "MS", "MUL-PanSharpen", "PS-MS")


@dataclass(frozen=True)
class Tile:
    """Image tile with its files and labels; counts and shares are None where they do not apply."""

    id: str  #: such as AOI_2_Vegas_img225
    aoi: str  #: such as AOI_2_Vegas
    products: Mapping[str, Path]  #: files by SpaceNet's product name
    footprints: Path | None  #: label file
    footprint: Polygon  #: extent in longitude and latitude
    width: int
    height: int
    bands: int  #: of the image
    dtype: str
    crs: str
    gsd_m: float  #: ground sampling distance [m], mean of both axes
    buildings: int | None
    built_share: float | None  #: share of the valid area, 0 to 1
    nodata_share: float | None
    repairs: str = ""  #: repairs made to the labels, as text
    attribution: str = ""
    name: str = ""  #: name given by a person; uploads only
    offset_m: tuple[float, float] = (0.0, 0.0)  #: label offset to the east and north [m]

    @classmethod
    def listed(cls, tile_id: str, aoi: str, footprint: Polygon, attribution: str = "") -> "Tile":
        """Build a tile that is known by its footprint only: its files are not on this machine.

        Args:
            tile_id: Id of the tile.
            aoi: Name of its area.
            footprint: Extent in longitude and latitude.
            attribution: Credit of the image.
        """
        return cls(
            id=tile_id, aoi=aoi, products={}, footprints=None, footprint=footprint, width=0, height=0, bands=0,
            dtype="", crs="", gsd_m=0.0, buildings=None, built_share=None, nodata_share=None, attribution=attribution,
        )  # fmt: skip

    def with_offset_of(self, previous: "Tile") -> "Tile":
        """Take over the label offset, and the counts made with it, of an earlier row with the same label file."""
        files = {file and file.resolve() for file in (self.footprints, previous.footprints)}
        if len(files) > 1 or previous.offset_m == (0.0, 0.0):
            return self
        return replace(self, offset_m=previous.offset_m, buildings=previous.buildings, built_share=previous.built_share)

    @property
    def title(self) -> str:
        """Display name: the given name, else the id."""
        return self.name or self.id

    @property
    def is_downloaded(self) -> bool:
        """Tell whether the image is on this machine; otherwise the tile is only listed."""
        return bool(self.products)

    @property
    def is_readable(self) -> bool:
        """Tell whether the image file still exists: files may be moved or deleted outside of Groundplan."""
        return self.is_downloaded and self.image.is_file()

    @property
    def image(self) -> Path:
        """File to show and to train on; raises NoImage."""
        for product in (*RGB_PRODUCT, *MULTISPECTRAL_PRODUCT, *self.products):
            if product in self.products:
                return self.products[product]
        raise NoImage(tile=self.id)

    @property
    def eight_bands(self) -> Path | None:
        """File with WorldView's eight bands, if any."""
        return next((self.products[product] for product in MULTISPECTRAL_PRODUCT if product in self.products), None)

    @property
    def labels(self) -> Path:
        """Footprint file; raises NoLabels."""
        if self.footprints is None:
            raise NoLabels(tile=self.id)
        return self.footprints

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north [degrees]."""
        west, south, east, north = self.footprint.bounds
        return west, south, east, north

    @property
    def is_labeled(self) -> bool:
        """Tell whether the tile has an image and a label file."""
        return self.footprints is not None and self.is_downloaded

    @property
    def short_id(self) -> str:
        """Id without its area, such as img225; of an upload its name."""
        return self.name or self.id.removeprefix(self.aoi).strip("_") or self.id


def attributions(tiles: Iterable[Tile]) -> list[str]:
    """List the distinct attributions of tiles, in their order."""
    return list(dict.fromkeys(tile.attribution for tile in tiles if tile.attribution))
