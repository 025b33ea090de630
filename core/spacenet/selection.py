"""Tile selection for a SpaceNet download: area, tile numbers and products, and parsing of number ranges."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.catalog.store import Catalog
from core.catalog.tile import MULTISPECTRAL_PRODUCT, RGB_PRODUCT, Tile
from core.errors import NotTileNumbers
from core.formatting import counted
from core.spacenet.bucket import Area, Product, area_named

#: More tiles than any area has.
MAX_TILES = 20_000


@dataclass(frozen=True)
class TileSelection:
    """Tiles and products of an area to download."""

    aoi: str
    numbers: tuple[int, ...]  #: tile numbers, ascending
    products: tuple[str, ...]  #: product names of the bucket

    @classmethod
    def of(cls, aoi: str, numbers: Sequence[int], products: Sequence[str] = ()) -> "TileSelection":
        """Build a checked selection in ascending order.

        Args:
            aoi: Name of the area.
            numbers: Tile numbers.
            products: Product names; the area's default products if empty.

        Raises:
            UnknownArea: The bucket has no such area.
            UnknownProduct: The area has no such product.
        """
        area = area_named(aoi)
        names = tuple(area.product(name).name for name in dict.fromkeys(products)) or area.default_products
        return cls(aoi, tuple(sorted(set(numbers))), names)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "TileSelection":
        """Build a selection from job parameters; raises what `of` raises."""
        return cls.of(str(params["aoi"]), [int(number) for number in params["numbers"]], params["products"])

    @property
    def area(self) -> Area:
        """Area of the selection."""
        return area_named(self.aoi)

    @property
    def product_list(self) -> tuple[Product, ...]:
        """Products of the selection."""
        return tuple(self.area.product(name) for name in self.products)

    @property
    def tiles(self) -> tuple[str, ...]:
        """Tile ids as used in the catalog."""
        return tuple(f"{self.aoi}_img{number}" for number in self.numbers)

    @property
    def typical_bytes(self) -> int:
        """Approximate download size, without a request to the bucket."""
        return len(self.numbers) * sum(product.typical_bytes for product in self.product_list)

    @property
    def title(self) -> str:
        """Job title for display."""
        return f"Download {counted(len(self.numbers), 'tile')} of {self.area.city}"

    def missing(self, catalog: Catalog) -> "TileSelection":
        """Select the tiles with a product that is not on this machine."""
        complete = {
            tile.id for tile in catalog.named(self.tiles) if all(_has_product(tile, name) for name in self.products)
        }
        by_number = zip(self.numbers, self.tiles, strict=True)
        return replace(self, numbers=tuple(number for number, tile in by_number if tile not in complete))

    def params(self) -> dict[str, object]:
        """Job parameters of the selection."""
        return {"aoi": self.aoi, "numbers": list(self.numbers), "products": list(self.products)}


def _has_product(tile: Tile, product: str) -> bool:
    """Tell whether a tile has a product, or its equivalent in another layout, and the file exists."""
    if product in RGB_PRODUCT:
        file = next((tile.products[name] for name in RGB_PRODUCT if name in tile.products), None)
    else:
        file = tile.eight_bands if product in MULTISPECTRAL_PRODUCT else tile.footprints
    return file is not None and file.is_file()


def parse_numbers(text: str) -> tuple[int, ...]:
    """Parse tile numbers such as "1-20, 225"; raises NotTileNumbers, also for more than MAX_TILES."""
    numbers: set[int] = set()
    for item in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,6})\s*(?:[-–]\s*([0-9]{1,6})\s*)?", item)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        numbers.update(range(first, last + 1))
        if last < first or len(numbers) > MAX_TILES:
            raise NotTileNumbers(text=text[:60])
    return tuple(sorted(numbers))


def format_numbers(numbers: Sequence[int]) -> str:
    """Format tile numbers as the shortest text that `parse_numbers` reads."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def tile_number(tile: str) -> int:
    """Extract the number of a tile id: 225 of AOI_2_Vegas_img225; raises NotTileNumbers."""
    digits = tile.rpartition("_img")[2]
    if not digits.isdecimal():
        raise NotTileNumbers(text=tile)
    return int(digits)
