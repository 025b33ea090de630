"""Crops to train on and crops to check on, from ground that never overlaps.

core/datasets/spatial_split.py decides the role of each tile before a pixel is read. Where it leaves one
piece of ground to be divided by a line, crops across the line are left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from core.catalog.tile import Tile
from core.datasets.chips import Chips
from core.datasets.config import Recipe
from core.datasets.normalization import Scaling
from core.datasets.samples import Scene, read_scene
from core.datasets.spatial_split import SHARE, Split, split
from core.errors import DiskFull, GroundplanError, NoTrainingGround, TooFewTiles, UnreadableTiles
from core.geo.grid import LONLAT
from core.progress import Report, silent
from core.settings import settings
from core.types import Where

#: Pixels that crops on both sides of the dividing line may share through rounding.
HAIR_PX = 0.05
#: Crops become no smaller than that, however little ground there is.
SMALLEST = 32
#: A tile so many times longer than the recipe's picture loses what a person can see in it.
SQUEEZED = 2.0
#: What a refit adds to what is told of the split.
_REFIT = "Once thresholds are found there, the rest of the training learns from all of this ground."


@dataclass(frozen=True)
class Dataset:
    """What a network is fed."""

    train: Chips
    validation: Chips
    whole: Chips  #: both, and for a refit what lies between them
    scaling: Scaling
    bands: int  #: 3, or 4 with WorldView's eighth band
    between: tuple[str, ...] = ()  #: ids of the tiles between both sides
    notes: tuple[str, ...] = ()  #: what was left out and why, and what may harm, one sentence each

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


def read_dataset(
    tiles: Sequence[Tile],
    recipe: Recipe,
    seed: int,
    report: Report = silent,
    scaling: Scaling | None = None,
    cache: Path | None = None,
    targets: tuple[str, ...] = ("inner",),
    refit: bool = False,
) -> Dataset:
    """The crops of the labelled ones of these tiles, scaled and divided as `split` says; the same for the same seed.

    Tiles are decoded once: into memory, or into memory-mapped files in the folder `cache` where memory is too small.
    The target has these layers (models.registry.TARGETS). `scaling` is that of a run that goes on. Only for a
    `refit` is what lies between both sides read. Tiles that cannot be read are left out and told; if that empties a
    side, the rest is split anew. Raises TooFewTiles, UnreadableTiles, NoTrainingGround, CannotWrite, DiskFull.
    """
    usable = list({tile.id: tile for tile in tiles if tile.is_labelled}.values())
    if not usable:
        raise TooFewTiles
    planned = split(usable, seed)
    used = [tile for tile in usable if refit or tile.id not in planned.between]
    wanted, recipe = recipe, _for_little_ground(recipe, [tile for tile in used if tile.id in planned.divided])
    bands = recipe.bands or (4 if all(tile.eight_bands for tile in used) else 3)
    scenes, problems = _read(used, recipe, bands, targets, report, cache if _is_large(used, recipe, bands) else None)
    chips = Chips.of([*scenes.values()], recipe, targets)
    parted = _of_what_is_there(planned, used, chips, seed)
    train, validation = divide(chips, parted)
    scaling = scaling or _scaling(recipe, [train.scenes[n] for n in np.unique(train.where[:, 0])])
    for scene in train.scenes:
        scene.scale(scaling)
    crops = sum(_crops(scene, recipe) for scene in chips.scenes if scene.tile not in parted.between)
    left_out = _left_out(tiles, usable, used, recipe.bands or bands == 4, crops - len(train) - len(validation))
    smaller = [f"Crops have {recipe.chip} pixels: the ground is small."] if recipe != wanted else []
    notes = (
        *problems,
        *smaller,
        *left_out,
        *_may_harm([tile for tile in used if tile.id in scenes], recipe),
        *parted.notes,
        *([_REFIT] if refit else []),
    )
    return Dataset(train, validation, chips, scaling, bands, parted.between, notes)


def _of_what_is_there(planned: Split, used: Sequence[Tile], chips: Chips, seed: int) -> Split:
    """The planned split without the tiles that have no crops; the rest split anew where that empties a side."""
    shown = _tiles_of(chips)
    parted = planned.only((*shown, *planned.between))
    return parted if parted.has_both_sides else split([tile for tile in used if tile.id in shown], seed)


def _for_little_ground(recipe: Recipe, divided: Sequence[Tile]) -> Recipe:
    """With crops so small that at least two lie beside each other in every tile that a line divides."""
    if not recipe.gsd_m or not divided:
        return recipe
    shortest = min(min(tile.width, tile.height) * tile.gsd_m / recipe.gsd_m for tile in divided)
    chip = int(max(SMALLEST, min(recipe.chip, shortest // 2 // SMALLEST * SMALLEST)))
    return recipe if chip == recipe.chip else replace(recipe, chip=chip, step=chip // 2)


def _is_large(tiles: Sequence[Tile], recipe: Recipe, bands: int) -> bool:
    """Whether their decoded pixels have no room in memory."""
    shrink = [tile.gsd_m / recipe.gsd_m if recipe.gsd_m else 1.0 for tile in tiles]
    sizes = [
        tile.width * tile.height * by**2 if recipe.gsd_m else recipe.size**2
        for tile, by in zip(tiles, shrink, strict=True)
    ]
    return sum(sizes) * bands * 4 > settings().max_scene_bytes


def _crops(scene: Scene, recipe: Recipe) -> int:
    """How many crops the grid cuts from a scene, shown or not."""
    down, across = (len(recipe.offsets(side)) for side in scene.grid.shape)
    return down * across


def _read(
    tiles: Sequence[Tile], recipe: Recipe, bands: int, targets: tuple[str, ...], report: Report, cache: Path | None
) -> tuple[dict[str, Scene], list[str]]:
    """The scenes by the tiles' ids, and a sentence for each tile that cannot be read; raises UnreadableTiles."""
    scenes, problems = {}, []
    for n, tile in enumerate(tiles):
        report(n / len(tiles), f"reading {tile.id}, tile {n + 1} of {len(tiles)}")
        try:
            scene = read_scene(tile, recipe, bands, targets)
            scenes[tile.id] = scene.on_disk(cache / f"{n}.npy") if cache else scene
        except DiskFull:
            raise
        except GroundplanError as error:
            problems.append(f"{tile.id} was left out: {error}")
    if not scenes:
        raise UnreadableTiles(problem=problems[0])
    return scenes, problems


def _scaling(recipe: Recipe, scenes: Sequence[Scene]) -> Scaling:
    if recipe.scaling == "thesis":
        return Scaling.thesis(scenes[0].full_scale)
    return Scaling.percentiles(scenes)


def _left_out(
    tiles: Sequence[Tile], usable: Sequence[Tile], used: Sequence[Tile], as_wished: int, crops: int
) -> list[str]:
    notes = []
    unlabelled = len({tile.id for tile in tiles}) - len(usable)
    with_eight = sum(tile.eight_bands is not None for tile in used)
    if unlabelled:
        notes.append(f"{unlabelled} tiles without labels or image were left out.")
    if with_eight and not as_wished:
        notes.append(f"Only {with_eight} of {len(used)} tiles have eight bands: all are used with three channels.")
    if crops:
        notes.append(f"{crops} crops were left out: without a picture, or across the line between train and check.")
    return notes


def _may_harm(read: Sequence[Tile], recipe: Recipe) -> Iterator[str]:
    """A sentence about tiles squeezed into far fewer pixels, and one about pixels of several kinds."""
    squeezed = SQUEEZED * recipe.size if not recipe.gsd_m else np.inf
    large = [tile for tile in read if max(tile.width, tile.height) > squeezed]
    if large:
        most = max(large, key=lambda tile: max(tile.width, tile.height))
        across, down = (most.gsd_m * side / recipe.size for side in (most.width, most.height))
        others = f", and {len(large) - 1} more tiles likewise" if len(large) > 1 else ""
        yield (
            f"{most.title} was squeezed from {most.width} × {most.height} to {recipe.size} × {recipe.size} pixels of "
            f"{across:.3g} × {down:.3g} m{others}. Cut such images into tiles to keep their detail."
        )
    kinds = sorted({tile.dtype for tile in read})
    if len(kinds) > 1:
        yield (
            f"Pixels of {' and '.join(kinds)} are scaled alike, so that some tiles may show next to nothing. "
            "Train on tiles of one kind."
        )


def divide(chips: Chips, parted: Split) -> tuple[Chips, Chips]:
    """Train crops and validation crops, as the split of their tiles says; raises NoTrainingGround."""
    if len(chips) == 0:
        raise NoTrainingGround(detail="no pixel of them shows a picture")
    # Tiles that show nothing have no crops and no role any more.
    roles = np.array([parted.roles.get(scene.tile, "between") for scene in chips.scenes])[chips.where[:, 0]]
    trained, checked = roles == "train", roles == "validation"
    divided = np.flatnonzero(roles == "divided")
    if len(divided):
        trained[divided], checked[divided] = _beside_a_line(chips.only(divided))
    return chips.only(trained), chips.only(checked)


def _beside_a_line(chips: Chips) -> tuple[Where, Where]:
    """Which crops lie before a line and train, and which behind it and validate; those across it do neither.

    The line runs along the columns or the rows of the first tile, so that it parts the crops of a single tile cleanly,
    with buildings on both sides if it can be. Raises NoTrainingGround.
    """
    left, top, right, bottom = shapely.bounds(chips.scenes[0].grid.to_pixels(chips.ground, LONLAT)).T
    ways = [(*_best_line(low, high, chips.built), low, high) for low, high in ((left, right), (top, bottom))]
    miss, line, low, high = min(ways, key=lambda way: way[0])
    if miss == np.inf:
        raise NoTrainingGround(detail="every crop overlaps every other")
    return high <= line + HAIR_PX, low >= line - HAIR_PX


def _best_line(low: NDArray[np.float64], high: NDArray[np.float64], built: Where) -> tuple[float, float]:
    """How far from the share a line keeps crops for the check, 1 more where a side has no buildings; and that line."""
    lines = np.unique(low)
    crops, houses = (_on_both_sides(lines, low[part], high[part]) for part in (slice(None), built))
    share = crops[1] / np.maximum(sum(crops), 1)
    miss = np.where(np.all(crops, axis=0), np.abs(share - SHARE) + ~np.all(houses, axis=0), np.inf)
    return float(miss.min()), float(lines[miss.argmin()])


def _on_both_sides(
    lines: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """How many crops lie before each line, and how many behind it."""
    before = np.searchsorted(np.sort(high), lines + HAIR_PX, side="right")
    return before, len(low) - np.searchsorted(np.sort(low), lines - HAIR_PX)
