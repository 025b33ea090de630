"""Settings of a dataset: how tiles become samples and chips."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidSetting
from core.geo.grid import Grid

#: No network looks at smaller pixels than this, nor at larger crops.
FINEST_M, MOST_CHIP = 0.05, 1024


#: Sides of crops for finer tiles are multiples of it.
_ROUND = 32


def bands_of(infrared: bool) -> int:
    """`Recipe.bands`: red, green and blue, with near infrared or without."""
    return 0 if infrared else 3


@dataclass(frozen=True)
class Recipe:
    """How tiles become crops. The defaults are the thesis's, but for the scaling; `scaling="thesis"` is its own."""

    size: int = 512  #: rows and columns of the resampled tile
    chip: int = 128  #: rows and columns of a crop
    step: int = 64  #: pixels from one crop to the next
    border_px: float = 2.0  #: taken out of the building class along every wall
    scaling: Literal["percentile", "thesis"] = "percentile"
    gsd_m: float = 0.0  #: metres a pixel of the network; 0: every tile becomes size × size, as the thesis has it
    finest_m: float = 0.0  #: above 0, finer tiles are seen as fine as they are, down to this; see `seeing`
    crops: Literal["grid", "drawn"] = "grid"  #: from the grid of `step`, or drawn anew where buildings are
    empty: float = 0.25  #: share of the drawn crops that lie anywhere
    bands: int = 0  #: 3: red, green and blue; 0: with WorldView's eighth band, where all tiles have it

    @property
    def infrared(self) -> bool:
        """Whether near infrared is seen, too."""
        return self.bands == bands_of(infrared=True)

    def __post_init__(self) -> None:
        """Raises InvalidSetting."""
        for name, right, detail in (
            ("size", self.size >= 8, "it is at least 8 pixels"),
            (
                "chip",
                8 <= self.chip <= MOST_CHIP and self.chip % 8 == 0 and (self.gsd_m or self.chip <= self.size),
                "it is a multiple of 8 no larger than size",
            ),
            ("step", 1 <= self.step <= self.chip, "it is between 1 and chip"),
            ("border_px", 0 <= self.border_px <= 16, "it is between 0 and 16 pixels"),
            ("gsd_m", self.gsd_m == 0 or FINEST_M <= self.gsd_m <= 10, f"it is 0, or between {FINEST_M} and 10 metres"),
            ("finest_m", self.finest_m == 0 or FINEST_M <= self.finest_m <= self.gsd_m, "it is 0, or at most gsd_m"),
            ("crops", self.crops in ("grid", "drawn"), "it is grid or drawn"),
            ("bands", self.bands in (0, 3), "it is 0 or 3"),
            ("empty", 0 <= self.empty <= 1, "it is between 0 and 1"),
            ("scaling", self.scaling in ("percentile", "thesis"), "it is percentile or thesis"),
        ):
            if not right:
                raise InvalidSetting(setting=name, value=getattr(self, name), detail=detail)

    def seeing(self, gsd_m: float) -> "Recipe":
        """For tiles of that resolution: where they are finer than the network needs, it looks at them as they are, no
        finer than `finest_m`, in crops of as much ground.
        """
        if not self.finest_m:
            return self
        finer = round(min(self.gsd_m, max(self.finest_m, gsd_m)), 2)
        chip = min(round(self.chip * self.gsd_m / finer / _ROUND) * _ROUND, MOST_CHIP)
        return replace(self, gsd_m=finer, finest_m=0.0, chip=chip, step=chip // 2)

    def offsets(self, side: int) -> NDArray[np.intp]:
        """First pixels of the crops along a side of so many pixels; with a ground sample distance up to its end."""
        first = np.arange(0, side - self.chip + 1, self.step, dtype=np.intp)
        return np.unique(np.append(first, side - self.chip)) if self.gsd_m else first

    def shape(self, grid: Grid) -> tuple[int, int]:
        """(rows, columns) that a tile of this grid becomes."""
        return grid.at_gsd((self.gsd_m, self.gsd_m)).shape if self.gsd_m else (self.size, self.size)
