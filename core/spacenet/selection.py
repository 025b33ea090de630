"""Which files of which tiles of SpaceNet's somebody wants, and how people write and read numbers of tiles."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.catalog.store import Catalog
from core.catalog.tile import COLOUR, EIGHT_BANDS, Tile
from core.errors import NotTileNumbers
from core.spacenet.bucket import Area, Product, area_named

#: No area has as many tiles.
MOST_TILES = 20_000


@dataclass(frozen=True)
class Request:
    """Which files of which tiles of an area."""

    aoi: str
    numbers: tuple[int, ...]  #: of the tiles, ascending
    products: tuple[str, ...]  #: as the bucket calls them

    @classmethod
    def of(cls, aoi: str, numbers: Sequence[int], products: Sequence[str] = ()) -> "Request":
        """Checked and put in order; the usual products where none are named. Raises UnknownArea, UnknownProduct."""
        area = area_named(aoi)
        names = tuple(area.product(name).name for name in dict.fromkeys(products)) or area.usual
        return cls(aoi, tuple(sorted(set(numbers))), names)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> "Request":
        """As a job carries it; raises what `of` does."""
        return cls.of(str(params["aoi"]), [int(number) for number in params["numbers"]], params["products"])

    @property
    def area(self) -> Area:
        """The area itself."""
        return area_named(self.aoi)

    @property
    def kinds(self) -> tuple[Product, ...]:
        """The products themselves."""
        return tuple(self.area.product(name) for name in self.products)

    @property
    def tiles(self) -> tuple[str, ...]:
        """Ids of the tiles, as the catalogue has them."""
        return tuple(f"{self.aoi}_img{number}" for number in self.numbers)

    @property
    def typical_bytes(self) -> int:
        """About how much it is, without asking the bucket."""
        return len(self.numbers) * sum(product.typical_bytes for product in self.kinds)

    @property
    def title(self) -> str:
        """For people."""
        return f"Get {len(self.numbers)} {'tile' if len(self.numbers) == 1 else 'tiles'} of {self.area.city}"

    def lacking(self, catalog: Catalog) -> "Request":
        """Only its tiles of which some product is not on this machine."""
        here = {tile.id for tile in catalog.named(self.tiles) if all(_has(tile, name) for name in self.products)}
        return replace(
            self, numbers=tuple(n for n, tile in zip(self.numbers, self.tiles, strict=True) if tile not in here)
        )

    def params(self) -> dict[str, object]:
        """As a job carries it."""
        return {"aoi": self.aoi, "numbers": list(self.numbers), "products": list(self.products)}


def _has(tile: Tile, product: str) -> bool:
    """Whether a tile has a product, or the same in another of SpaceNet's layouts, and its file is still there."""
    if product in COLOUR:
        file = next((tile.products[name] for name in COLOUR if name in tile.products), None)
    else:
        file = tile.eight_bands if product in EIGHT_BANDS else tile.footprints
    return file is not None and file.is_file()


def parse_numbers(text: str) -> tuple[int, ...]:
    """Ascending numbers from text like "1-20, 225"; raises NotTileNumbers, also for more than MOST_TILES."""
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,6})\s*(?:[-–]\s*([0-9]{1,6})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        numbers.update(range(first, last + 1))
        if last < first or len(numbers) > MOST_TILES:
            raise NotTileNumbers(text=text[:60])
    return tuple(sorted(numbers))


def spell_numbers(numbers: Sequence[int]) -> str:
    """The shortest such text."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def number_of(tile: str) -> int:
    """Of a tile id such as AOI_2_Vegas_img225: 225; raises NotTileNumbers."""
    digits = tile.rpartition("_img")[2]
    if not digits.isdecimal():
        raise NotTileNumbers(text=tile)
    return int(digits)
