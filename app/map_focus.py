"""The tile and the view that the map is to show next."""

from dataclasses import dataclass

from core.types import Bounds


@dataclass(frozen=True)
class Focus:
    """Where the map is told to look, in degrees; another turn moves it even if it is the same place again."""

    bounds: Bounds
    turn: int
