"""What a person says of predicted buildings, one by one: accepted, rejected, with a note, moved a little.

A decision keeps the outline it was made about, so that it stays when thresholds change; a footprint that has most of
itself in common with one counts as decided.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from core.atomic_files import replacing
from core.errors import DamagedReview
from core.geo.grid import LONLAT, equal_area_crs, reproject
from core.geo.vector import Footprints
from core.types import Geometries

Verdict = Literal["accepted", "rejected"]
FILE = "review.json"
#: A footprint and an outline with more than this in common are the same building.
SAME = 0.5
MOST_NOTE = 500


@dataclass(frozen=True)
class Decision:
    """About one building."""

    outline: str  #: WKT in longitude and latitude, as it was predicted
    verdict: Verdict
    confidence: float = 1.0
    note: str = ""
    east_m: float = 0.0  #: by which a person moved it
    north_m: float = 0.0

    @property
    def polygon(self) -> shapely.Polygon:
        """Where it is, moved as a person wished."""
        [shape] = np.array([shapely.from_wkt(self.outline)], object)
        if not (self.east_m or self.north_m):
            return shape
        flat = equal_area_crs(np.array([shape], object), LONLAT)
        [there] = reproject(np.array([shape], object), LONLAT, flat)
        moved = shapely.transform(there, lambda xy: xy + np.array([self.east_m, self.north_m]))
        [back] = reproject(np.array([moved], object), flat, LONLAT)
        return back


@dataclass(frozen=True)
class Review:
    """All decisions about one prediction."""

    decisions: tuple[Decision, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> "Review":
        """What lies in a prediction's folder; raises DamagedReview."""
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            return cls(tuple(_decision(row) for row in orjson.loads(path.read_bytes())["decisions"]))
        except (OSError, ValueError, KeyError, TypeError, shapely.errors.ShapelyError) as error:
            raise DamagedReview(name=path) from error

    def write(self, folder: Path) -> None:
        """Keeps it; raises CannotWrite, DiskFull."""
        with replacing(folder / FILE) as part:
            part.write_bytes(orjson.dumps({"decisions": [asdict(one) for one in self.decisions]}))

    def about(self, shapes: Geometries) -> NDArray[np.intp]:
        """(n,) the number of the decision about each outline in longitude and latitude, -1 where there is none."""
        found = np.full(len(shapes), -1, np.intp)
        if not self.decisions or not len(shapes):
            return found
        decided = np.array([shapely.from_wkt(one.outline) for one in self.decisions], object)
        a, b = shapely.STRtree(decided).query(shapes, predicate="intersects")
        shared = shapely.area(shapely.intersection(shapes[a], decided[b]))
        iou = shared / (shapely.area(shapes[a]) + shapely.area(decided[b]) - shared)
        for n in np.argsort(iou):
            if iou[n] > SAME:
                found[a[n]] = b[n]
        return found

    def about_one(self, shape: shapely.Polygon) -> list[int]:
        """The number of the decision about an outline; none where there is none."""
        shapes = np.empty(1, object)
        shapes[0] = shape
        return [int(n) for n in self.about(shapes) if n >= 0]

    def deciding(self, found: Footprints, numbers: Iterable[int], verdict: Verdict) -> "Review":
        """With this verdict about some of the footprints, by place; what was said of them before is replaced."""
        shapes, chosen = _lonlat(found), list(numbers)
        before = self.about(shapes)
        kept = dict(enumerate(self.decisions))
        for n in chosen:
            old = kept.pop(int(before[n]), None)
            fresh = Decision(shapely.to_wkt(shapes[n], rounding_precision=8), verdict, float(found.confidence[n]))
            kept[len(self.decisions) + n] = replace(old, verdict=verdict) if old else fresh
        return Review(tuple(kept.values()))

    def forgetting(self, found: Footprints, numbers: Iterable[int]) -> "Review":
        """Without a word about some of the footprints."""
        gone = {int(n) for n in self.about(_lonlat(found)[list(numbers)])}
        return Review(tuple(one for n, one in enumerate(self.decisions) if n not in gone))

    def noting(self, number: int, note: str, east_m: float, north_m: float) -> "Review":
        """With a note and a move about one decision."""
        said = replace(self.decisions[number], note=note.strip()[:MOST_NOTE], east_m=east_m, north_m=north_m)
        return Review((*self.decisions[:number], said, *self.decisions[number + 1 :]))

    @property
    def kept(self) -> tuple[Decision, ...]:
        """The decisions that accept."""
        return tuple(one for one in self.decisions if one.verdict == "accepted")

    @property
    def accepted(self) -> Footprints:
        """The accepted buildings where they were moved to, in longitude and latitude."""
        shapes = np.empty(len(self.kept), object)
        shapes[:] = [one.polygon for one in self.kept]
        return Footprints.of(shapes, LONLAT, [one.confidence for one in self.kept])

    def counts(self) -> dict[Verdict, int]:
        """How many of each."""
        words: tuple[Verdict, ...] = ("accepted", "rejected")
        return {word: sum(one.verdict == word for one in self.decisions) for word in words}


def _lonlat(found: Footprints) -> Geometries:
    return found.to_crs(LONLAT).geometries


def _decision(row: dict[str, Any]) -> Decision:
    shape = shapely.from_wkt(str(row["outline"]))
    if row["verdict"] not in ("accepted", "rejected") or shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise ValueError(row["verdict"])
    numbers = {name: float(row[name]) for name in ("confidence", "east_m", "north_m")}
    return Decision(str(row["outline"]), row["verdict"], note=str(row["note"]), **numbers)
