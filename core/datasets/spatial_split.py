"""Which tiles train a network and which ones check it: parted on the ground, never neighbours.

Neighbouring tiles show the same streets and often the same houses: were they dealt out one by one, the check would
measure what the network remembers. So whole pieces of connected ground are dealt, and where one piece is nearly
everything, it is cut straight through and the tiles along the cut are left out.

A pure function of footprints, numbers of buildings and a seed, fast enough for a map to colour what training will do.
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
from core.geo.grid import TOUCHING
from core.types import Where

#: About so much validates, of the tiles with buildings where there are any.
SHARE = 0.2
#: Less than that is too little to trust a check, more is a waste.
LEAST, MOST = 0.1, 0.34
#: A cut must leave so much to train on.
TRAINED = 0.5
#: A tile left out at a cut is as bad as so many tiles too few or too many in the check.
LOSS = 4

Role = Literal["train", "validation", "between", "divided"]


@dataclass(frozen=True)
class Split:
    """Ids of tiles by what becomes of them, each group in order of the ids, each tile in one."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    between: tuple[str, ...] = ()  #: on neither side, because they touch a tile that validates
    divided: tuple[str, ...] = ()  #: one piece that cannot be parted by tiles: a line parts its ground

    @cached_property
    def roles(self) -> dict[str, Role]:
        """What becomes of each tile, by id."""
        groups: tuple[Role, ...] = ("train", "validation", "between", "divided")
        return {name: group for group in groups for name in getattr(self, group)}

    @property
    def has_both_sides(self) -> bool:
        """Whether there is something to train on and something to check on."""
        return bool(self.divided or (self.train and self.validation))

    def only(self, names: Iterable[str]) -> "Split":
        """Without the tiles that are not among these."""
        kept = set(names)
        groups = {group: tuple(n for n in getattr(self, group) if n in kept) for group in self.__dataclass_fields__}
        return replace(self, **groups)

    @property
    def notes(self) -> tuple[str, ...]:
        """How the tiles were parted, one sentence each."""
        notes = []
        if self.validation:
            notes.append(f"Of {len(self.roles)} tiles {len(self.validation)} validate.")
        if self.between:
            notes.append(f"{len(self.between)} touch them and are on neither side, so that no neighbours are on both.")
        if self.divided:
            ground = self.divided[0] if len(self.divided) == 1 else f"{len(self.divided)} connected tiles"
            notes.append(f"A line divides the ground of {ground}, which cannot be parted by whole tiles.")
        return tuple(notes)


def split(tiles: Sequence[Tile], seed: int) -> Split:
    """Parts the tiles, labelled ones as a rule; the same for the same tiles in any order and the same seed.

    No tile that trains is a neighbour of one that validates. Pieces of connected tiles are dealt whole where that
    makes a fair share; else the piece that loses least is cut; else one of several pieces validates; else `divided`.
    4,000 tiles take less than 0.1 s.
    """
    if not tiles:
        return Split()
    ground = _Ground.of(tiles, seed)
    checked = ground.whole_pieces(ground.weight)
    if ground.share(checked) < LEAST:
        checked = checked | ground.best_cut(checked)
    if not checked.any():
        checked = ground.smallest_piece()
    divided = ground.built_ground() if not checked.any() else np.zeros_like(checked)
    checked = checked | ground.whole_pieces((~ground.built_ground()).astype(float))
    between = ground.touches(checked) & ~checked
    train = ~(checked | between | divided)
    return Split(*(tuple(ground.ids[group]) for group in (train, checked, between, divided)))


@dataclass(frozen=True)
class _Ground:
    """The tiles in order of their ids, as arrays of n."""

    ids: NDArray[np.object_]
    centres: NDArray[np.float64]  #: (n, 2) degrees, of the same length on the ground in both directions
    weight: NDArray[np.float64]  #: 1 for tiles with buildings, or for all where none has any; else 0
    lot: NDArray[np.float64]  #: drawn from id and seed, 0 to 1: one tile more leaves the lots of the others as they are
    links: tuple[NDArray[np.intp], NDArray[np.intp]]  #: pairs of neighbours, each in both directions and with itself
    piece: NDArray[np.intp]  #: number of the connected piece

    @classmethod
    def of(cls, tiles: Sequence[Tile], seed: int) -> "_Ground":
        ordered = sorted({tile.id: tile for tile in tiles}.values(), key=lambda tile: tile.id)
        footprints = np.array([tile.footprint for tile in ordered], dtype=object)
        a, b = shapely.STRtree(footprints).query(footprints, predicate="dwithin", distance=TOUCHING)
        matrix = coo_array((np.ones(len(a), bool), (a, b)), shape=(len(ordered), len(ordered)))
        west, south, east, north = shapely.bounds(footprints).T
        flat = np.cos(np.radians((south.min() + north.max()) / 2))
        built = np.array([bool(tile.buildings) for tile in ordered])
        return cls(
            ids=np.array([tile.id for tile in ordered], dtype=object),
            centres=np.stack([(west + east) / 2 * flat, (south + north) / 2], axis=1),
            weight=built.astype(float) if built.any() else np.ones(len(ordered)),
            lot=np.array([_lot(tile.id, seed) for tile in ordered]),
            links=(a, b),
            piece=np.asarray(connected_components(matrix, directed=False)[1], np.intp),
        )

    def share(self, chosen: Where) -> float:
        """How much of the weight these tiles have."""
        return float(self.weight[chosen].sum() / self.weight.sum())

    def touches(self, chosen: Where) -> Where:
        """These tiles and their neighbours."""
        a, b = self.links
        touched = np.zeros_like(chosen)
        touched[b[chosen[a]]] = True
        return touched

    def built_ground(self) -> Where:
        """The tiles of pieces that have weight."""
        return self._sizes(self.weight)[self.piece] > 0

    def _sizes(self, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(self.piece, weight), np.float64)

    def _lots(self) -> NDArray[np.float64]:
        """The lowest lot of each piece."""
        lots = np.full(self.piece.max() + 1, inf)
        np.minimum.at(lots, self.piece, self.lot)
        return lots

    def whole_pieces(self, weight: NDArray[np.float64]) -> Where:
        """The tiles of pieces that together come as near to the share of a weight as lots allow, and not above MOST."""
        sizes, wanted, taken = self._sizes(weight), SHARE * weight.sum(), 0.0
        chosen = np.zeros(len(sizes), bool)
        for n in np.argsort(self._lots()):
            more = taken + sizes[n]
            if more <= MOST * weight.sum() and abs(more - wanted) < abs(taken - wanted):
                chosen[n], taken = True, more
        return chosen[self.piece]

    def smallest_piece(self) -> Where:
        """The tiles of the smallest of several pieces with weight; none where there is but one."""
        sizes = self._sizes(self.weight)
        names = np.flatnonzero(sizes)
        smallest = names[np.lexsort((self._lots()[names], sizes[names]))[0]]
        return (self.piece == smallest) & (len(names) > 1)

    def best_cut(self, taken: Where) -> Where:
        """The tiles on the small side of the cut that costs least, of the pieces that are not taken; none, if none can.

        There are few such pieces: each is larger than what whole pieces were still allowed to bring.
        """
        sizes = self._sizes(self.weight)
        sizes[self.piece[taken]] = 0
        pieces = np.flatnonzero(sizes > 0)
        cuts = [self._cut(np.flatnonzero(self.piece == n), self.share(taken)) for n in pieces]
        cost, tiles = min(cuts, key=lambda cut: cut[0], default=(inf, np.empty(0, np.intp)))
        return np.isin(np.arange(len(self.ids)), tiles) & (cost < inf)

    def _cut(self, tiles: NDArray[np.intp], taken: float) -> tuple[float, NDArray[np.intp]]:
        """The cost of a piece's best cut, and the tiles beyond it.

        It goes across the longer side, at the end that is drawn; where that cannot be, the other end and the shorter
        side have their turn.
        """
        centres = self.centres[tiles]
        longer = int(np.argmax(np.ptp(centres, axis=0)))
        end = 1 if self.lot[tiles[0]] < 0.5 else -1
        for axis in (longer, 1 - longer):
            for sign in (end, -end):
                # To the metre, so that the tiles of a column come together.
                along = np.round(sign * centres[:, axis] / TOUCHING)
                order = tiles[np.lexsort((centres[:, 1 - axis], along))]
                cost = self._costs(order, taken)
                if cost.min() < inf:
                    return float(cost.min()), order[: int(cost.argmin()) + 1]
        return inf, tiles[:0]

    def _costs(self, order: NDArray[np.intp], taken: float) -> NDArray[np.float64]:
        """What it costs to validate with the first, the first two, … of these tiles; infinite where it cannot be."""
        rank = np.full(len(self.ids), len(order))
        rank[order] = np.arange(len(order))
        a, b = self.links
        reached = rank.copy()
        np.minimum.at(reached, a, rank[b])
        touched, weight = reached[order], self.weight[order]
        lost = np.cumsum(np.bincount(touched, minlength=len(order))) - np.arange(1, len(order) + 1)
        total = self.weight.sum()
        share = taken + np.cumsum(weight) / total
        trained = 1 - taken - np.cumsum(np.bincount(touched, weight, minlength=len(order))) / total
        possible = (share >= LEAST) & (share <= MOST) & (trained >= TRAINED)
        return np.where(possible, lost + np.abs(share - SHARE) * total / LOSS, inf)


def _lot(name: str, seed: int) -> float:
    digest = blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
