"""Training and validation dataset: crops of tiles, from areas that never overlap.

core/datasets/spatial_split.py decides the role of each tile before a pixel is read. Where it leaves one area to be
divided by a line, crops across the line are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from core.catalog.tile import Tile
from core.datasets.chips import Chips
from core.datasets.config import DatasetConfig
from core.datasets.normalization import Normalization
from core.datasets.samples import Sample, read_sample
from core.datasets.spatial_split import VALIDATION_SHARE, Split, split
from core.errors import DiskFull, GroundplanError, SplitImpossible, TooFewTiles, UnreadableTiles
from core.formatting import counted
from core.geo.grid import LONLAT
from core.progress import Report, silent
from core.settings import settings
from core.types import BoolMask

#: Overlap of crops on both sides of the dividing line that is allowed as a rounding error [px].
ROUNDING_PX = 0.05
#: Smallest side of a crop, however small the area is [px].
MIN_CHIP = 32
#: A tile is squeezed too much if its longer side exceeds the resampled size this many times.
MAX_ASPECT_CHANGE = 2.0
#: Note on the split that a refit adds.
_REFIT_NOTE = "After threshold tuning, training continues on training and validation tiles (refit)."


@dataclass(frozen=True)
class Dataset:
    """Crops for training and validation."""

    train: Chips
    validation: Chips
    whole: Chips  #: both, and for a refit the buffer between them
    normalization: Normalization
    bands: int  #: 3, or 4 with WorldView's band 8 (NIR2)
    buffer_tiles: tuple[str, ...] = ()  #: ids of the tiles between both areas
    notes: tuple[str, ...] = ()  #: what was left out and why, and warnings, one sentence each

    @property
    def train_tiles(self) -> tuple[str, ...]:
        """Ids of the tiles with training crops."""
        return _tiles_of(self.train)

    @property
    def validation_tiles(self) -> tuple[str, ...]:
        """Ids of the tiles with validation crops."""
        return _tiles_of(self.validation)


def _tiles_of(chips: Chips) -> tuple[str, ...]:
    return tuple(chips.samples[n].tile for n in np.unique(chips.origins[:, 0]))


def read_dataset(
    tiles: Sequence[Tile],
    config: DatasetConfig,
    seed: int,
    report: Report = silent,
    normalization: Normalization | None = None,
    cache: Path | None = None,
    targets: tuple[str, ...] = ("inner",),
    refit: bool = False,
) -> Dataset:
    """Read labelled tiles, split them spatially into training and validation, and normalize them.

    Tiles are decoded once. Those that cannot be read are left out, with a note; if that leaves no training or no
    validation tile, the remaining ones are split again. The result is the same for the same seed.

    Args:
        tiles: Candidate tiles; those without labels are left out.
        config: Settings of resampling, normalization and crops.
        seed: Random seed of the split.
        report: Receives the progress.
        normalization: That of the run that is resumed or continued; None fits it to the training tiles.
        cache: Folder for memory-mapped pixels, if they are too large for memory.
        targets: Layers of the target, see models.registry.TARGETS.
        refit: Read the buffer tiles as well.

    Raises:
        TooFewTiles: No tile is labelled.
        UnreadableTiles: No tile can be read.
        SplitImpossible: There are no crops for one of both sides.
        CannotWrite: The cache cannot be written.
        DiskFull: The disk is full.
    """
    usable = list({tile.id: tile for tile in tiles if tile.is_labeled}.values())
    if not usable:
        raise TooFewTiles
    planned = split(usable, seed)
    used = [tile for tile in usable if refit or tile.id not in planned.buffer]
    full_chip, config = config.chip, _shrink_chips(config, [tile for tile in used if tile.id in planned.divided])
    bands = config.bands or (4 if all(tile.eight_bands for tile in used) else 3)
    samples, problems = _read(used, config, bands, targets, report, cache if _is_large(used, config, bands) else None)
    chips = Chips.of([*samples.values()], config, targets)
    tile_split = _split_readable(planned, used, chips, seed)
    train, validation = divide(chips, tile_split)
    normalization = normalization or _fit_normalization(config, train)
    for sample in train.samples:
        sample.normalize(normalization)
    crops = sum(_grid_size(sample, config) for sample in chips.samples if sample.tile not in tile_split.buffer)
    skipped = _skipped_notes(tiles, usable, used, config.bands or bands == 4, crops - len(train) - len(validation))
    smaller = [f"Crop size reduced to {config.chip} px, because the area is small."] if config.chip != full_chip else []
    notes = (
        *problems,
        *smaller,
        *skipped,
        *_data_warnings([tile for tile in used if tile.id in samples], config),
        *tile_split.notes,
        *([_REFIT_NOTE] if refit else []),
    )
    return Dataset(train, validation, chips, normalization, bands, tile_split.buffer, notes)


def _split_readable(planned: Split, used: Sequence[Tile], chips: Chips, seed: int) -> Split:
    """Remove tiles without crops from the planned split; if that leaves a side empty, split the others again."""
    readable = _tiles_of(chips)
    tile_split = planned.only((*readable, *planned.buffer))
    return tile_split if tile_split.has_both_sides else split([tile for tile in used if tile.id in readable], seed)


def _shrink_chips(config: DatasetConfig, divided: Sequence[Tile]) -> DatasetConfig:
    """Shrink the crops until at least two lie side by side in every tile that a line divides."""
    if not config.gsd_m or not divided:
        return config
    shortest = min(min(tile.width, tile.height) * tile.gsd_m / config.gsd_m for tile in divided)
    chip = int(max(MIN_CHIP, min(config.chip, shortest // 2 // MIN_CHIP * MIN_CHIP)))
    return config if chip == config.chip else replace(config, chip=chip, step=chip // 2)


def _is_large(tiles: Sequence[Tile], config: DatasetConfig, bands: int) -> bool:
    """Tell if the resampled pixels of the tiles exceed the limit on memory."""
    pixels = [
        tile.width * tile.height * (tile.gsd_m / config.gsd_m) ** 2 if config.gsd_m else config.size**2
        for tile in tiles
    ]
    return sum(pixels) * bands * 4 > settings().max_scene_bytes


def _grid_size(sample: Sample, config: DatasetConfig) -> int:
    """Number of crops in the grid of a sample, with and without data."""
    rows, columns = (len(config.offsets(side)) for side in sample.grid.shape)
    return rows * columns


def _read(
    tiles: Sequence[Tile],
    config: DatasetConfig,
    bands: int,
    targets: tuple[str, ...],
    report: Report,
    cache: Path | None,
) -> tuple[dict[str, Sample], list[str]]:
    """Read samples by the ids of their tiles, and note the tiles that cannot be read; raises UnreadableTiles."""
    samples, problems = {}, []
    for n, tile in enumerate(tiles):
        report(n / len(tiles), f"Loading {tile.id}, tile {n + 1} of {len(tiles)}")
        try:
            sample = read_sample(tile, config, bands, targets)
            samples[tile.id] = sample.on_disk(cache / f"{n}.npy") if cache else sample
        except DiskFull:
            raise
        except GroundplanError as error:
            problems.append(f"{tile.id} was skipped: {error}")
    if not samples:
        raise UnreadableTiles(problem=problems[0])
    return samples, problems


def _fit_normalization(config: DatasetConfig, train: Chips) -> Normalization:
    samples = [train.samples[n] for n in np.unique(train.origins[:, 0])]
    if config.normalization == "thesis":
        return Normalization.divide_by_max(samples[0].full_scale)
    return Normalization.from_percentiles(samples)


def _skipped_notes(
    tiles: Sequence[Tile], usable: Sequence[Tile], used: Sequence[Tile], as_configured: int, crops: int
) -> list[str]:
    notes = []
    unlabelled = len({tile.id for tile in tiles}) - len(usable)
    eight_band = sum(tile.eight_bands is not None for tile in used)
    if unlabelled:
        notes.append(f"Skipped {counted(unlabelled, 'tile')} without labels or image.")
    if eight_band and not as_configured:
        notes.append(f"Only {eight_band} of {len(used)} tiles have 8 bands, so that all are used as RGB (3 channels).")
    if crops:
        notes.append(f"{counted(crops, 'crop')} skipped (no data, or on the train/validation border).")
    return notes


def _data_warnings(tiles: Sequence[Tile], config: DatasetConfig) -> Iterator[str]:
    """Warn of tiles squeezed into far fewer pixels, and of mixed data types."""
    longest = MAX_ASPECT_CHANGE * config.size if not config.gsd_m else np.inf
    large = [tile for tile in tiles if max(tile.width, tile.height) > longest]
    if large:
        largest = max(large, key=lambda tile: max(tile.width, tile.height))
        width_m, height_m = (largest.gsd_m * side / config.size for side in (largest.width, largest.height))
        more_tiles = f", and {counted(len(large) - 1, 'more tile')} too" if len(large) > 1 else ""
        yield (
            f"{largest.title} was downsampled from {largest.width} × {largest.height} to {config.size} × {config.size} "
            f"px of {width_m:.3g} × {height_m:.3g} m{more_tiles}. Split such images into tiles."
        )
    dtypes = sorted({tile.dtype for tile in tiles})
    if len(dtypes) > 1:
        yield (
            f"Pixels of {' and '.join(dtypes)} are normalized together, so that some tiles may have very low contrast. "
            "Train on tiles of one data type."
        )


def divide(chips: Chips, tile_split: Split) -> tuple[Chips, Chips]:
    """Divide crops into training and validation crops by the roles of their tiles; raises SplitImpossible."""
    if len(chips) == 0:
        raise SplitImpossible(detail="they contain only no-data pixels")
    # Tiles without valid data have no crops, and the split no longer has a role for them.
    roles = np.array([tile_split.roles.get(sample.tile, "buffer") for sample in chips.samples])[chips.origins[:, 0]]
    train, validation = roles == "train", roles == "validation"
    divided = np.flatnonzero(roles == "divided")
    if len(divided):
        train[divided], validation[divided] = _split_by_line(chips.only(divided))
    return chips.only(train), chips.only(validation)


def _split_by_line(chips: Chips) -> tuple[BoolMask, BoolMask]:
    """Select the crops before a line for training and those behind it for validation; those across it are left out.

    The line runs along the columns or the rows of the first tile, so that it separates the crops of a single tile
    cleanly, with buildings on both sides if possible. Raises SplitImpossible.
    """
    left, top, right, bottom = shapely.bounds(chips.samples[0].grid.to_pixels(chips.outlines, LONLAT)).T
    sides = ((left, right), (top, bottom))
    lines = [(*_best_line(low, high, chips.has_building), low, high) for low, high in sides]
    cost, line, low, high = min(lines, key=lambda candidate: candidate[0])
    if cost == np.inf:
        raise SplitImpossible(detail="all crops overlap each other")
    return high <= line + ROUNDING_PX, low >= line - ROUNDING_PX


def _best_line(low: NDArray[np.float64], high: NDArray[np.float64], built: BoolMask) -> tuple[float, float]:
    """Cost and place of the best line: deviation from the validation share, 1 more where a side has no buildings."""
    lines = np.unique(low)
    crops, built_crops = (_count_sides(lines, low[chosen], high[chosen]) for chosen in (slice(None), built))
    share = crops[1] / np.maximum(sum(crops), 1)
    cost = np.where(np.all(crops, axis=0), np.abs(share - VALIDATION_SHARE) + ~np.all(built_crops, axis=0), np.inf)
    return float(cost.min()), float(lines[cost.argmin()])


def _count_sides(
    lines: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count the crops before each line, and those behind it."""
    before = np.searchsorted(np.sort(high), lines + ROUNDING_PX, side="right")
    return before, len(low) - np.searchsorted(np.sort(low), lines - ROUNDING_PX)
