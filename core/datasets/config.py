"""Settings of a dataset: how tiles become samples and chips."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidSetting
from core.geo.grid import Grid

#: Smallest GSD of a network [m], and largest side of a crop [px].
MIN_GSD_M, MAX_CHIP = 0.05, 1024

#: Crops for finer tiles have a side that is a multiple of this [px].
_CHIP_MULTIPLE = 32


def band_count(infrared: bool) -> int:
    """Value of `DatasetConfig.bands` for red, green and blue, with or without near infrared."""
    return 0 if infrared else 3


@dataclass(frozen=True)
class DatasetConfig:
    """Settings of resampling, normalization and crops.

    The defaults are those of the original thesis, except for the normalization: `normalization="thesis"` is its own.
    """

    size: int = 512  #: rows and columns of the resampled tile [px]
    chip: int = 128  #: side of a crop [px]
    step: int = 64  #: from one crop of the grid to the next [px]
    border_px: float = 2.0  #: taken out of the building class along every boundary [px]
    normalization: Literal["percentile", "thesis"] = "percentile"
    gsd_m: float = 0.0  #: GSD of the network [m]; 0: every tile becomes size × size, as in the thesis
    finest_m: float = 0.0  #: above 0, finer tiles keep their GSD, down to this [m]; see `for_gsd`
    crops: Literal["grid", "drawn"] = "grid"  #: from the grid of `step`, or sampled in each epoch
    background_share: float = 0.25  #: share of the sampled crops placed at random, not on a building
    bands: int = 0  #: 3: RGB; 0: with WorldView's band 8 (NIR2), if all tiles have it

    @property
    def infrared(self) -> bool:
        """True if near infrared is used if available."""
        return self.bands == band_count(infrared=True)

    def __post_init__(self) -> None:
        """Validate the settings; raises InvalidSetting."""
        for name, is_valid, detail in (
            ("size", self.size >= 8, "must be at least 8 pixels"),
            (
                "chip",
                8 <= self.chip <= MAX_CHIP and self.chip % 8 == 0 and (self.gsd_m or self.chip <= self.size),
                "must be a multiple of 8 and at most size",
            ),
            ("step", 1 <= self.step <= self.chip, "must be between 1 and chip"),
            ("border_px", 0 <= self.border_px <= 16, "must be between 0 and 16 pixels"),
            ("gsd_m", self.gsd_m == 0 or MIN_GSD_M <= self.gsd_m <= 10, f"must be 0 or {MIN_GSD_M} to 10 m"),
            ("finest_m", self.finest_m == 0 or MIN_GSD_M <= self.finest_m <= self.gsd_m, "must be at most gsd_m"),
            ("crops", self.crops in ("grid", "drawn"), "must be grid or drawn"),
            ("bands", self.bands in (0, 3), "must be 0 or 3"),
            ("background_share", 0 <= self.background_share <= 1, "must be between 0 and 1"),
            ("normalization", self.normalization in ("percentile", "thesis"), "must be percentile or thesis"),
        ):
            if not is_valid:
                raise InvalidSetting(setting=name, value=getattr(self, name), detail=detail)

    def for_gsd(self, gsd_m: float) -> "DatasetConfig":
        """Adapt to the GSD of the tiles [m]: finer tiles keep theirs, down to `finest_m`, in crops of the same area."""
        if not self.finest_m:
            return self
        gsd_m = round(min(self.gsd_m, max(self.finest_m, gsd_m)), 2)
        chip = min(round(self.chip * self.gsd_m / gsd_m / _CHIP_MULTIPLE) * _CHIP_MULTIPLE, MAX_CHIP)
        return replace(self, gsd_m=gsd_m, finest_m=0.0, chip=chip, step=chip // 2)

    def offsets(self, side: int) -> NDArray[np.intp]:
        """First pixels of the crops along a side of a tile; with a GSD, the last crop ends where the side ends.

        Args:
            side: Length of the side [px].

        Returns:
            (n,) integers, ascending.
        """
        first = np.arange(0, side - self.chip + 1, self.step, dtype=np.intp)
        return np.unique(np.append(first, side - self.chip)) if self.gsd_m else first

    def shape(self, grid: Grid) -> tuple[int, int]:
        """Shape of the resampled tile, (rows, columns)."""
        return grid.at_gsd((self.gsd_m, self.gsd_m)).shape if self.gsd_m else (self.size, self.size)
