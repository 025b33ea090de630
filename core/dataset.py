"""Crops to train on and crops to check on, from ground that never overlaps.

Neighbouring tiles and neighbouring crops show the same houses. Were they dealt out at random, the check would measure
what the network remembers instead of what it has learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from core.catalog.tile import Tile
from core.chips import Chips, Recipe, Scaling, Scene, read_scene
from core.errors import GroundplanError, NoTrainingGround, TooFewTiles, UnreadableTiles
from core.grids import LONLAT
from core.progress import Report, silent
from core.types import Where

#: Degrees, a third of a usual pixel: ground is shrunk by so much, so that tiles that merely share a rim are apart.
HAIR = 1e-6
#: Pixels that crops on both sides of the dividing line may share through rounding.
HAIR_PX = 0.05
#: About so much of the ground is kept for the check.
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Dataset:
    """What a network is fed."""

    train: Chips
    validation: Chips
    scaling: Scaling
    bands: int  #: 3, or 4 with WorldView's eighth band
    notes: tuple[str, ...] = ()  #: what was left out and why, one sentence each

    @property
    def train_tiles(self) -> tuple[str, ...]:
        """Ids of the tiles with crops to train on."""
        return _tiles_of(self.train)

    @property
    def validation_tiles(self) -> tuple[str, ...]:
        """Ids of the tiles with crops to check on."""
        return _tiles_of(self.validation)


def _tiles_of(chips: Chips) -> tuple[str, ...]:
    return tuple(chips.scenes[n].tile for n in np.unique(chips.where[:, 0]))


def read_dataset(tiles: Sequence[Tile], recipe: Recipe, seed: int, report: Report = silent) -> Dataset:
    """The crops of the labelled ones of these tiles, scaled and divided; the same for the same seed.

    Tiles that cannot be read are left out and told. Raises TooFewTiles, UnreadableTiles, NoTrainingGround.
    """
    usable = list({tile.id: tile for tile in tiles if tile.is_labelled}.values())
    if not usable:
        raise TooFewTiles
    bands = 4 if all(tile.eight_bands for tile in usable) else 3
    scenes, problems = _read(usable, recipe, bands, report)
    shown = [tile for tile in usable if tile.id in scenes]
    train, validation, notes = divide(Chips.of([*scenes.values()], recipe), shown, seed)
    scaling = _scaling(recipe, [train.scenes[n] for n in np.unique(train.where[:, 0])])
    for scene in train.scenes:
        scene.scale(scaling)
    left_out = _left_out(tiles, usable, bands, len(shown) * len(recipe.offsets) ** 2 - len(train) - len(validation))
    return Dataset(train, validation, scaling, bands, (*problems, *left_out, *notes))


def _read(tiles: Sequence[Tile], recipe: Recipe, bands: int, report: Report) -> tuple[dict[str, Scene], list[str]]:
    """The scenes by the tiles' ids, and a sentence for each tile that cannot be read; raises UnreadableTiles."""
    scenes, problems = {}, []
    for n, tile in enumerate(tiles):
        report(n / len(tiles), f"reading {tile.id}, tile {n + 1} of {len(tiles)}")
        try:
            scenes[tile.id] = read_scene(tile, recipe, bands)
        except GroundplanError as error:
            problems.append(f"{tile.id} was left out: {error}")
    if not scenes:
        raise UnreadableTiles(problem=problems[0])
    return scenes, problems


def _scaling(recipe: Recipe, scenes: Sequence[Scene]) -> Scaling:
    if recipe.scaling == "thesis":
        return Scaling.thesis(scenes[0].full_scale)
    return Scaling.percentiles(scenes)


def _left_out(tiles: Sequence[Tile], usable: Sequence[Tile], bands: int, crops: int) -> list[str]:
    notes = []
    unlabelled = len({tile.id for tile in tiles}) - len(usable)
    with_eight = sum(tile.eight_bands is not None for tile in usable)
    if unlabelled:
        notes.append(f"{unlabelled} tiles without labels or image were left out.")
    if bands == 3 and with_eight:
        notes.append(f"Only {with_eight} of {len(usable)} tiles have eight bands: all are used with three channels.")
    if crops:
        notes.append(f"{crops} crops were left out: without a picture, or across the line between train and check.")
    return notes


def divide(chips: Chips, tiles: Sequence[Tile], seed: int) -> tuple[Chips, Chips, tuple[str, ...]]:
    """Train crops, validation crops and how they were divided; `tiles` are those of `chips.scenes`, in order.

    Tiles whose ground overlaps stay on one side. If all hang together, a line divides them.
    Raises NoTrainingGround.
    """
    shown = np.unique(chips.where[:, 0])
    group = overlapping_groups(tiles)[shown]
    if len(np.unique(group)) > 1:
        built = np.array([chips.scenes[n].target.any() for n in shown])
        checked = shown[_choose_groups(group, built, seed)]
        of_validation = np.isin(chips.where[:, 0], checked)
        note = f"{len(checked)} of {len(shown)} tiles are kept for the check."
        return chips.only(~of_validation), chips.only(of_validation), (note,)
    train, validation = _divide_by_line(chips)
    return (
        train,
        validation,
        ("The right-hand side of the ground is kept for the check: there is only one connected piece.",),
    )


def overlapping_groups(tiles: Sequence[Tile]) -> NDArray[np.intp]:
    """A number for each tile, the same where ground overlaps, directly or through other tiles."""
    ground = shapely.buffer(np.array([tile.footprint for tile in tiles], dtype=object), -HAIR)
    a, b = shapely.STRtree(ground).query(ground, predicate="intersects")
    links = coo_array((np.ones(len(a), bool), (a, b)), shape=(len(tiles), len(tiles)))
    return np.asarray(connected_components(links, directed=False)[1], np.intp)


def _choose_groups(group: NDArray[np.intp], built: Where, seed: int) -> Where:
    """Which tiles validate: a share of the groups with buildings, at least one of several, and of those without."""
    random = np.random.default_rng(seed)
    with_building = np.isin(group, group[built])
    chosen = _share_of(group[with_building], random), _share_of(group[~with_building], random)
    names = np.concatenate(chosen)
    return np.isin(group, names if len(names) else group[~with_building][:1])


def _share_of(group: NDArray[np.intp], random: np.random.Generator) -> NDArray[np.intp]:
    """Names of random groups that together hold no more than the share; the smallest one of several if none does."""
    names, sizes = np.unique(group, return_counts=True)
    order = random.permutation(len(names))
    order = order[np.argsort(sizes[order], kind="stable")]
    enough = int((np.cumsum(sizes[order]) <= VALIDATION_SHARE * len(group)).sum())
    return names[order[: max(enough, int(len(names) > 1))]]


def _divide_by_line(chips: Chips) -> tuple[Chips, Chips]:
    """Crops left of a line train, crops right of it validate, those across it do neither.

    The line runs along the columns of the first tile, so that it parts the crops of a single tile cleanly.
    """
    if len(chips) == 0:
        raise NoTrainingGround(detail="no pixel of them shows a picture")
    left, _, right, _ = shapely.bounds(chips.scenes[0].grid.to_pixels(chips.ground, LONLAT)).T
    lines = np.unique(left)
    kept = len(chips) - np.searchsorted(np.sort(left), lines - HAIR_PX)
    trained = np.searchsorted(np.sort(right), lines + HAIR_PX, side="right")
    possible = (kept > 0) & (trained > 0)
    if not possible.any():
        raise NoTrainingGround(detail="every crop overlaps every other")
    share = np.where(possible, kept / np.maximum(kept + trained, 1), np.inf)
    line = lines[np.argmin(np.abs(share - VALIDATION_SHARE))]
    return chips.only(right <= line + HAIR_PX), chips.only(left >= line - HAIR_PX)
