"""Review decisions: predicted footprints accepted or rejected by a person, with a note and a shift.

A decision is keyed by the outline it was made about, so that it survives other thresholds: a footprint is decided if it
overlaps that outline by more than SAME_IOU.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import shapely
from numpy.typing import NDArray

from core.atomic_files import atomic_write
from core.errors import DamagedReview
from core.geo.grid import LONLAT, equal_area_crs, reproject
from core.geo.vector import Footprints
from core.types import Geometries

ReviewStatus = Literal["accepted", "rejected"]
FILE = "review.json"
#: Intersection over union above which a footprint and a decision's outline are the same building.
SAME_IOU = 0.5
MAX_NOTE_LENGTH = 500


@dataclass(frozen=True)
class Decision:
    """Decision about one building."""

    outline: str  #: predicted outline, WKT in longitude and latitude
    verdict: ReviewStatus
    confidence: float = 1.0
    note: str = ""
    east_m: float = 0.0  #: shift of the outline, with north_m [m]
    north_m: float = 0.0

    @property
    def polygon(self) -> shapely.Polygon:
        """Outline with its shift applied, in longitude and latitude."""
        [outline] = np.array([shapely.from_wkt(self.outline)], object)
        if not (self.east_m or self.north_m):
            return outline
        metric_crs = equal_area_crs(np.array([outline], object), LONLAT)
        [projected] = reproject(np.array([outline], object), LONLAT, metric_crs)
        moved = shapely.transform(projected, lambda xy: xy + np.array([self.east_m, self.north_m]))
        [polygon] = reproject(np.array([moved], object), metric_crs, LONLAT)
        return polygon


@dataclass(frozen=True)
class Review:
    """Decisions about one prediction."""

    decisions: tuple[Decision, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> "Review":
        """Read the decisions in a prediction's folder; raises DamagedReview."""
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            return cls(tuple(_decision(row) for row in orjson.loads(path.read_bytes())["decisions"]))
        except (OSError, ValueError, KeyError, TypeError, shapely.errors.ShapelyError) as error:
            raise DamagedReview(name=path) from error

    def write(self, folder: Path) -> None:
        """Write the decisions to a prediction's folder; raises CannotWrite, DiskFull."""
        with atomic_write(folder / FILE) as temporary:
            temporary.write_bytes(orjson.dumps({"decisions": [asdict(decision) for decision in self.decisions]}))

    def match(self, outlines: Geometries) -> NDArray[np.intp]:
        """Match outlines with decisions by intersection over union, greatest last.

        Args:
            outlines: (n,) polygons in longitude and latitude.

        Returns:
            (n,) index of the decision about each outline, -1 if there is none.
        """
        numbers = np.full(len(outlines), -1, np.intp)
        if not self.decisions or not len(outlines):
            return numbers
        decided = np.array([shapely.from_wkt(decision.outline) for decision in self.decisions], object)
        outline_index, decision_index = shapely.STRtree(decided).query(outlines, predicate="intersects")
        overlap = shapely.area(shapely.intersection(outlines[outline_index], decided[decision_index]))
        iou = overlap / (shapely.area(outlines[outline_index]) + shapely.area(decided[decision_index]) - overlap)
        for pair in np.argsort(iou):
            if iou[pair] > SAME_IOU:
                numbers[outline_index[pair]] = decision_index[pair]
        return numbers

    def match_one(self, outline: shapely.Polygon) -> list[int]:
        """Match one outline; its decision's index, or an empty list."""
        shapes = np.empty(1, object)
        shapes[0] = outline
        return [int(n) for n in self.match(shapes) if n >= 0]

    def decide(self, footprints: Footprints, numbers: Iterable[int], verdict: ReviewStatus) -> "Review":
        """Accept or reject footprints, in place of earlier decisions about them; notes and shifts stay.

        Args:
            footprints: Predicted footprints.
            numbers: Indices of the footprints to decide.
            verdict: The decision.
        """
        outlines, chosen = _lonlat(footprints), list(numbers)
        matches = self.match(outlines)
        decisions = dict(enumerate(self.decisions))
        for number in chosen:
            previous = decisions.pop(int(matches[number]), None)
            decision = Decision(
                shapely.to_wkt(outlines[number], rounding_precision=8), verdict, float(footprints.confidence[number])
            )
            decisions[len(self.decisions) + number] = replace(previous, verdict=verdict) if previous else decision
        return Review(tuple(decisions.values()))

    def reset(self, footprints: Footprints, numbers: Iterable[int]) -> "Review":
        """Remove the decisions about footprints, given by their indices."""
        removed = {int(number) for number in self.match(_lonlat(footprints)[list(numbers)])}
        return Review(tuple(decision for number, decision in enumerate(self.decisions) if number not in removed))

    def annotate(self, number: int, note: str, east_m: float, north_m: float) -> "Review":
        """Set note and shift of a decision.

        Args:
            number: Index of the decision.
            note: Text, cut to MAX_NOTE_LENGTH characters.
            east_m: Shift to the east [m].
            north_m: Shift to the north [m].
        """
        decision = replace(self.decisions[number], note=note.strip()[:MAX_NOTE_LENGTH], east_m=east_m, north_m=north_m)
        return Review((*self.decisions[:number], decision, *self.decisions[number + 1 :]))

    @property
    def accepted_decisions(self) -> tuple[Decision, ...]:
        """Decisions that accept a footprint."""
        return tuple(decision for decision in self.decisions if decision.verdict == "accepted")

    @property
    def accepted(self) -> Footprints:
        """Accepted footprints with their shifts applied, in longitude and latitude."""
        polygons = np.empty(len(self.accepted_decisions), object)
        polygons[:] = [decision.polygon for decision in self.accepted_decisions]
        return Footprints.of(polygons, LONLAT, [decision.confidence for decision in self.accepted_decisions])

    def counts(self) -> dict[ReviewStatus, int]:
        """Count accepted and rejected footprints."""
        statuses: tuple[ReviewStatus, ...] = ("accepted", "rejected")
        return {status: sum(decision.verdict == status for decision in self.decisions) for status in statuses}


def _lonlat(footprints: Footprints) -> Geometries:
    return footprints.to_crs(LONLAT).geometries


def _decision(row: dict[str, Any]) -> Decision:
    outline = shapely.from_wkt(str(row["outline"]))
    if row["verdict"] not in ("accepted", "rejected") or outline.geom_type not in ("Polygon", "MultiPolygon"):
        raise ValueError(row["verdict"])
    numbers = {name: float(row[name]) for name in ("confidence", "east_m", "north_m")}
    return Decision(str(row["outline"]), row["verdict"], note=str(row["note"]), **numbers)
