"""Focus of the map: the bounds it zooms to."""

from dataclasses import dataclass

from core.types import Bounds


@dataclass(frozen=True)
class Focus:
    """Bounds of the view [degrees]; a new `change_id` zooms to the same bounds again."""

    bounds: Bounds
    change_id: int
