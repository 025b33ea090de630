"""One tile: what its files say about it, and where they lie."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from shapely import Polygon

from core.errors import NoImage, NoLabels
from core.types import Bounds

#: Products with red, green and blue as the first bands, the best one first.
COLOUR = ("RGB-PanSharpen", "PS-RGB", "3band")
#: Products with WorldView's eight bands, the one meant for the thesis recipe first.
EIGHT_BANDS = ("8band", "MUL", "MS", "MUL-PanSharpen", "PS-MS")


@dataclass(frozen=True)
class Tile:
    """A square of ground with its images and labels. Counts and shares are None where there is nothing to count."""

    id: str  #: for example AOI_2_Vegas_img225
    aoi: str  #: for example AOI_2_Vegas
    products: Mapping[str, Path]  #: product name, as SpaceNet calls it, to file
    footprints: Path | None  #: the label file
    footprint: Polygon  #: the ground it covers, longitude and latitude
    width: int
    height: int
    bands: int  #: of the image
    dtype: str
    crs: str
    gsd_m: float  #: metres a pixel, mean of both sides
    buildings: int | None
    built_share: float | None  #: of the ground with a picture
    nodata_share: float | None
    repairs: str = ""  #: what had to be mended in the labels
    attribution: str = ""
    name: str = ""  #: what a person called it, where it is an upload
    offset_m: tuple[float, float] = (0.0, 0.0)  #: metres east and north by which its labels were moved

    @classmethod
    def listed(cls, name: str, aoi: str, footprint: Polygon, attribution: str = "") -> "Tile":
        """A tile that is known by its ground alone: its files are not on this machine."""
        return cls(
            id=name, aoi=aoi, products={}, footprints=None, footprint=footprint, width=0, height=0, bands=0, dtype="",
            crs="", gsd_m=0.0, buildings=None, built_share=None, nodata_share=None, attribution=attribution,
        )  # fmt: skip

    def moved_like(self, known: "Tile") -> "Tile":
        """With its labels where those of a known row of the same label file were moved to, and counted there."""
        files = {file and file.resolve() for file in (self.footprints, known.footprints)}
        if len(files) > 1 or known.offset_m == (0.0, 0.0):
            return self
        return replace(self, offset_m=known.offset_m, buildings=known.buildings, built_share=known.built_share)

    @property
    def title(self) -> str:
        """What to call it before people."""
        return self.name or self.id

    @property
    def is_here(self) -> bool:
        """Whether its image is on this machine; where not, it is only listed."""
        return bool(self.products)

    @property
    def is_readable(self) -> bool:
        """Whether its image is where the catalogue says: files may be moved or deleted behind its back."""
        return self.is_here and self.image.is_file()

    @property
    def image(self) -> Path:
        """The file to show and to train on; raises NoImage."""
        for product in (*COLOUR, *EIGHT_BANDS, *self.products):
            if product in self.products:
                return self.products[product]
        raise NoImage(tile=self.id)

    @property
    def eight_bands(self) -> Path | None:
        """The file with WorldView's eight bands, where there is one."""
        return next((self.products[p] for p in EIGHT_BANDS if p in self.products), None)

    @property
    def labels(self) -> Path:
        """The footprint file; raises NoLabels."""
        if self.footprints is None:
            raise NoLabels(tile=self.id)
        return self.footprints

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north in degrees."""
        west, south, east, north = self.footprint.bounds
        return west, south, east, north

    @property
    def is_labelled(self) -> bool:
        """Whether it has an image and a label file."""
        return self.footprints is not None and self.is_here

    @property
    def short_id(self) -> str:
        """The id without its AOI: img225; of an upload its name."""
        return self.name or self.id.removeprefix(self.aoi).strip("_") or self.id
