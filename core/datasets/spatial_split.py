"""Spatial train/validation split of tiles: no training tile touches a validation tile.

Adjacent tiles show the same streets and often the same buildings. If they were assigned one by one, validation would
measure memorization (spatial leakage). So whole connected components of tiles are assigned; where one component is
nearly everything, it is cut straight through and the tiles along the cut are left out as a buffer.

A pure function of tile outlines, numbers of buildings and a seed, fast enough to color a map by it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from math import inf
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from core.catalog.tile import Tile
from core.formatting import counted, is_or_are
from core.geo.grid import TOUCHING
from core.types import BoolMask

#: Target share of validation tiles, among the tiles with buildings if there are any.
VALIDATION_SHARE = 0.2
#: Smallest and largest share: less makes validation unreliable, more wastes training data.
MIN_SHARE, MAX_SHARE = 0.1, 0.34
#: Smallest share of training tiles that a cut must leave.
MIN_TRAIN_SHARE = 0.5
#: A buffer tile at a cut costs as much as this many tiles too few or too many in the validation set.
BUFFER_COST = 4

Role = Literal["train", "validation", "buffer", "divided"]


@dataclass(frozen=True)
class Split:
    """Ids of tiles by role, each group in order of the ids, each tile in one group."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    buffer: tuple[str, ...] = ()  #: left out, because they touch a validation tile
    divided: tuple[str, ...] = ()  #: a component that cannot be split by tiles, so that a line divides it

    @cached_property
    def roles(self) -> dict[str, Role]:
        """Role of each tile, by id."""
        groups: tuple[Role, ...] = ("train", "validation", "buffer", "divided")
        return {tile: group for group in groups for tile in getattr(self, group)}

    @property
    def has_both_sides(self) -> bool:
        """True if there are training and validation tiles, or a divided area."""
        return bool(self.divided or (self.train and self.validation))

    def only(self, ids: Iterable[str]) -> "Split":
        """Select tiles by their ids."""
        chosen = set(ids)
        groups = {group: tuple(n for n in getattr(self, group) if n in chosen) for group in self.__dataclass_fields__}
        return replace(self, **groups)

    @property
    def notes(self) -> tuple[str, ...]:
        """Summary of the split, one sentence each."""
        notes = []
        if self.validation:
            held_out, total = len(self.validation), counted(len(self.roles), "tile")
            notes.append(f"{held_out:,} of {total} {is_or_are(held_out)} held out for validation.")
        if self.buffer:
            excluded = len(self.buffer)
            notes.append(f"{counted(excluded, 'adjacent tile')} {is_or_are(excluded)} excluded to avoid leakage.")
        if self.divided:
            area = self.divided[0] if len(self.divided) == 1 else f"{len(self.divided)} connected tiles"
            verb = is_or_are(len(self.divided))
            notes.append(f"{area} {verb} split along a line into a training and a validation part.")
        return tuple(notes)


def split(tiles: Sequence[Tile], seed: int) -> Split:
    """Split tiles spatially; the result is the same for the same tiles in any order and the same seed.

    No training tile touches a validation tile. Components of connected tiles are assigned whole if that gives a fair
    share; else the component that loses least is cut; else the smallest of several components validates; else the tiles
    are `divided` by a line. 4,000 tiles take less than 0.1 s.
    """
    if not tiles:
        return Split()
    graph = _TileGraph.of(tiles, seed)
    validation = graph.whole_components(graph.weight)
    if graph.share(validation) < MIN_SHARE:
        validation = validation | graph.best_cut(validation)
    if not validation.any():
        validation = graph.smallest_component()
    divided = graph.built_area() if not validation.any() else np.zeros_like(validation)
    validation = validation | graph.whole_components((~graph.built_area()).astype(float))
    buffer = graph.touches(validation) & ~validation
    train = ~(validation | buffer | divided)
    return Split(*(tuple(graph.ids[group]) for group in (train, validation, buffer, divided)))


@dataclass(frozen=True)
class _TileGraph:
    """Graph of adjacent tiles, as arrays in order of the n ids."""

    ids: NDArray[np.object_]
    centers: NDArray[np.float64]  #: (n, 2) [degrees], scaled to the same length in meters along both axes
    weight: NDArray[np.float64]  #: 1 for tiles with buildings, or for all where none has any; else 0
    draw: NDArray[np.float64]  #: pseudorandom number of id and seed, 0 to 1: another tile leaves those of the others
    links: tuple[NDArray[np.intp], NDArray[np.intp]]  #: pairs of adjacent tiles, in both directions and with themselves
    component: NDArray[np.intp]  #: number of the connected component

    @classmethod
    def of(cls, tiles: Sequence[Tile], seed: int) -> "_TileGraph":
        ordered = sorted({tile.id: tile for tile in tiles}.values(), key=lambda tile: tile.id)
        footprints = np.array([tile.footprint for tile in ordered], dtype=object)
        a, b = shapely.STRtree(footprints).query(footprints, predicate="dwithin", distance=TOUCHING)
        matrix = coo_array((np.ones(len(a), bool), (a, b)), shape=(len(ordered), len(ordered)))
        west, south, east, north = shapely.bounds(footprints).T
        scale = np.cos(np.radians((south.min() + north.max()) / 2))
        built = np.array([bool(tile.buildings) for tile in ordered])
        return cls(
            ids=np.array([tile.id for tile in ordered], dtype=object),
            centers=np.stack([(west + east) / 2 * scale, (south + north) / 2], axis=1),
            weight=built.astype(float) if built.any() else np.ones(len(ordered)),
            draw=np.array([_draw(tile.id, seed) for tile in ordered]),
            links=(a, b),
            component=np.asarray(connected_components(matrix, directed=False)[1], np.intp),
        )

    def share(self, chosen: BoolMask) -> float:
        """Compute the share of the weight that tiles have.

        Args:
            chosen: Mask of the tiles, (n,).
        """
        return float(self.weight[chosen].sum() / self.weight.sum())

    def touches(self, chosen: BoolMask) -> BoolMask:
        """Add the adjacent tiles to a mask of tiles.

        Args:
            chosen: Mask of the tiles, (n,).

        Returns:
            The mask with all adjacent tiles, (n,).
        """
        a, b = self.links
        touched = np.zeros_like(chosen)
        touched[b[chosen[a]]] = True
        return touched

    def built_area(self) -> BoolMask:
        """Select the tiles of components with weight.

        Returns:
            Mask of the tiles, (n,).
        """
        return self._sizes(self.weight)[self.component] > 0

    def _sizes(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(self.component, weight), np.float64)

    def _component_draws(self) -> NDArray[np.float64]:
        """Smallest draw of each component, which orders them at random, (components,)."""
        draws = np.full(self.component.max() + 1, inf)
        np.minimum.at(draws, self.component, self.draw)
        return draws

    def whole_components(self, weight: NDArray[np.float64]) -> BoolMask:
        """Select whole components, in random order, that together approach the validation share of a weight.

        Args:
            weight: Weight of each tile, (n,).

        Returns:
            Mask of the tiles, (n,), with at most MAX_SHARE of the weight.
        """
        sizes, target, assigned = self._sizes(weight), VALIDATION_SHARE * weight.sum(), 0.0
        chosen = np.zeros(len(sizes), bool)
        for n in np.argsort(self._component_draws()):
            extended = assigned + sizes[n]
            if extended <= MAX_SHARE * weight.sum() and abs(extended - target) < abs(assigned - target):
                chosen[n], assigned = True, extended
        return chosen[self.component]

    def smallest_component(self) -> BoolMask:
        """Select the smallest of several components with weight; no tile if there is only one.

        Returns:
            Mask of the tiles, (n,).
        """
        sizes = self._sizes(self.weight)
        components = np.flatnonzero(sizes)
        smallest = components[np.lexsort((self._component_draws()[components], sizes[components]))[0]]
        return (self.component == smallest) & (len(components) > 1)

    def best_cut(self, assigned: BoolMask) -> BoolMask:
        """Select the tiles on the small side of the cheapest cut through a component that is not yet assigned.

        There are few such components: each is larger than what whole components were still allowed to add.

        Args:
            assigned: Mask of the tiles that are assigned to validation, (n,).

        Returns:
            Mask of the tiles, (n,); empty if no cut is possible.
        """
        sizes = self._sizes(self.weight)
        sizes[self.component[assigned]] = 0
        components = np.flatnonzero(sizes > 0)
        cuts = [self._cut(np.flatnonzero(self.component == n), self.share(assigned)) for n in components]
        cost, tiles = min(cuts, key=lambda cut: cut[0], default=(inf, np.empty(0, np.intp)))
        return np.isin(np.arange(len(self.ids)), tiles) & (cost < inf)

    def _cut(self, tiles: NDArray[np.intp], assigned_share: float) -> tuple[float, NDArray[np.intp]]:
        """Cost of the best cut through a component, and the tiles beyond it.

        It crosses the longer side, near a random end; if that is impossible, the other end and the shorter side are
        tried.
        """
        centers = self.centers[tiles]
        longer = int(np.argmax(np.ptp(centers, axis=0)))
        end = 1 if self.draw[tiles[0]] < 0.5 else -1
        for axis in (longer, 1 - longer):
            for sign in (end, -end):
                # Rounded to about a meter, so that the tiles of a column stay together.
                position = np.round(sign * centers[:, axis] / TOUCHING)
                order = tiles[np.lexsort((centers[:, 1 - axis], position))]
                cost = self._costs(order, assigned_share)
                if cost.min() < inf:
                    return float(cost.min()), order[: int(cost.argmin()) + 1]
        return inf, tiles[:0]

    def _costs(self, order: NDArray[np.intp], assigned_share: float) -> NDArray[np.float64]:
        """Cost of validating on the first, the first two, … of some tiles; infinite where that is impossible."""
        rank = np.full(len(self.ids), len(order))
        rank[order] = np.arange(len(order))
        a, b = self.links
        reached = rank.copy()
        np.minimum.at(reached, a, rank[b])
        touched, weight = reached[order], self.weight[order]
        buffer = np.cumsum(np.bincount(touched, minlength=len(order))) - np.arange(1, len(order) + 1)
        total = self.weight.sum()
        share = assigned_share + np.cumsum(weight) / total
        train_share = 1 - assigned_share - np.cumsum(np.bincount(touched, weight, minlength=len(order))) / total
        possible = (share >= MIN_SHARE) & (share <= MAX_SHARE) & (train_share >= MIN_TRAIN_SHARE)
        return np.where(possible, buffer + np.abs(share - VALIDATION_SHARE) * total / BUFFER_COST, inf)


def _draw(tile: str, seed: int) -> float:
    """Pseudorandom number of a tile, 0 to 1: a hash of its id and the seed."""
    digest = blake2b(f"{seed} {tile}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
