"""Roof shapes: height and slope per pixel, in the frame of the roof."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.synthetic_city.city import Roof

_Floats: TypeAlias = NDArray[np.float32]


class Spots(NamedTuple):
    """Roof pixels, arrays (n,): position along and across the ridge [m], half-sizes of the roof [m], pitch."""

    u: _Floats
    v: _Floats
    length: _Floats
    width: _Floats
    pitch: _Floats

    @property
    def to_end(self) -> _Floats:
        """Metres to the nearer short side."""
        return self.length - np.abs(self.u)

    @property
    def to_side(self) -> _Floats:
        """Metres to the nearer long side."""
        return self.width - np.abs(self.v)


class Form(NamedTuple):
    """Roof height and slope at given points."""

    rise: _Floats  #: metres above the eaves
    along: _Floats  #: rise over run along u
    across: _Floats  #: rise over run along v
    seam: _Floats  #: how much brighter ridges, hips and rims are than the rest


def form(kind: NDArray[np.uint8], spots: Spots) -> Form:
    """The form at each spot, by its kind of roof (a Roof)."""
    out = Form(*(np.zeros(len(kind), np.float32) for _ in Form._fields))
    for roof, shape in _SHAPES.items():
        indices = np.flatnonzero(kind == roof)
        for array, values in zip(out, shape(Spots(*(values[indices] for values in spots))), strict=True):
            array[indices] = values
    return out


def _none(like: _Floats) -> _Floats:
    return np.zeros_like(like)


def _flat(s: Spots) -> Form:
    is_rim = np.minimum(s.to_end, s.to_side) < 0.45
    return Form(s.pitch * is_rim, _none(s.u), _none(s.u), 0.12 * (is_rim & (s.pitch > 0)))


def _hip(s: Spots) -> Form:
    is_end = s.to_end < s.to_side
    is_ridge = (np.abs(s.to_end - s.to_side) < 0.22) | (~is_end & (np.abs(s.v) < 0.2))
    rise = s.pitch * np.minimum(s.to_end, s.to_side)
    return Form(rise, -s.pitch * np.sign(s.u) * is_end, -s.pitch * np.sign(s.v) * ~is_end, 0.22 * is_ridge)


def _sawtooth(s: Spots) -> Form:
    run = np.mod(s.v + s.width, 7.5)
    return Form(s.pitch * run, _none(s.u), s.pitch, -0.35 * (run < 0.9))


_SHAPES: dict[Roof, Callable[[Spots], Form]] = {
    Roof.FLAT: _flat,
    Roof.GABLE: lambda s: Form(s.pitch * s.to_side, _none(s.u), -s.pitch * np.sign(s.v), 0.22 * (np.abs(s.v) < 0.2)),
    Roof.HIP: _hip,
    Roof.SHED: lambda s: Form(s.pitch * (s.v + s.width), _none(s.u), s.pitch, _none(s.u)),
    Roof.BARREL: lambda s: Form(
        s.pitch * (s.width - s.v**2 / s.width), _none(s.u), -2 * s.pitch * s.v / s.width, _none(s.u)
    ),
    Roof.SAWTOOTH: _sawtooth,
}
