"""Verdicts: every predicted footprint as true or false positive, every missed building as false negative."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from core.catalog.tile_labels import read_tile_labels
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT
from core.geo.vector import Footprints
from core.inference.tile_prediction import Predicted
from core.postprocessing.config import Shaping
from core.review.decisions import Review


@dataclass(frozen=True)
class Building:
    """A footprint, or a building that was missed."""

    id: str  #: P and the number of the footprint, T and that of the building
    verdict: str  #: TP, FP, FN; none: too small to count, or nothing to score against
    shape: shapely.Polygon  #: in longitude and latitude
    area_m2: float
    confidence: float | None = None
    iou: float | None = None
    match: shapely.Polygon | None = None  #: the building it found
    decided: str | None = None  #: accepted or rejected

    @property
    def words(self) -> str:
        """What a person reads who points at it."""
        found = f"found, IoU {self.iou:.2f}" if self.iou is not None else ""
        kind = found or {"FP": "invented", "FN": "missed"}.get(self.verdict, "predicted")
        sure = "" if self.confidence is None else f" · confidence {self.confidence:.2f}"
        return f"{kind} · {self.area_m2:.0f} m²{sure}{f' · {self.decided}' if self.decided else ''}"

    @property
    def facts(self) -> dict[str, Any]:
        """What the map knows of it."""
        iou = {} if self.iou is None else {"iou": round(self.iou, 2)}
        decided = {"decided": self.decided} if self.decided else {}
        return {"id": self.id, "verdict": self.verdict, "words": self.words, **iou, **decided}


def verdicts(one: Predicted, shaping: Shaping | None = None) -> list[Building]:
    """Every footprint as TP or FP and every missed building as FN; plain predictions without labels."""
    found, score = one.footprints(shaping).to_crs(LONLAT), one.score(shaping)
    review = Review.of(one.folder)
    words = [None if n < 0 else review.decisions[n].verdict for n in review.about(found.geometries)]
    shapes, areas, sure = found.geometries, found.area_m2, found.confidence
    if score is None:
        return [
            Building(f"P{n}", "none", shape, area, confidence=c, decided=said)
            for n, (shape, area, c, said) in enumerate(zip(shapes, areas, sure, words, strict=True))
        ]
    labels = read_tile_labels(one.tile)
    truth = Footprints.of(labels.ground, labels.grid.crs).to_crs(LONLAT)
    made = score.proposals
    kinds = np.where(made.hit, "TP", np.where(made.counted, "FP", "none"))
    rows = [
        Building(
            f"P{n}", str(kinds[n]), shape, areas[n], confidence=sure[n], decided=words[n],
            iou=float(made.iou[n]) if made.hit[n] else None,
            match=truth.geometries[made.partner[n]] if made.hit[n] else None,
        )
        for n, shape in enumerate(shapes)
    ]  # fmt: skip
    missed = np.flatnonzero(score.truth.missed)
    return rows + [Building(f"T{n}", "FN", truth.geometries[n], truth.area_m2[n]) for n in missed]


def verdicts_geojson(one: Predicted, shaping: Shaping | None = None, only_errors: bool = False) -> bytes:
    """The same for the map, in longitude and latitude; the building that a footprint found comes before it.

    `words` is what a person reads, `of` the footprint that found a building.
    """
    shown = [row for row in verdicts(one, shaping) if not only_errors or row.verdict in ("FP", "FN")]
    matched = [row for row in shown if row.match is not None]
    shapes = np.empty(len(matched) + len(shown), object)
    shapes[:] = [row.match for row in matched] + [row.shape for row in shown]
    rows = [{"verdict": "match", "of": row.id} for row in matched] + [row.facts for row in shown]
    return feature_collection(shapes, rows)


def accepted_geojson(one: Predicted) -> bytes:
    """What a person accepted, where it was moved to, in longitude and latitude."""
    review = Review.of(one.folder)
    footprints = review.accepted
    rows = [
        {"words": f"accepted · {area:.0f} m²{f' · {row.note}' if row.note else ''}"}
        for row, area in zip(review.kept, footprints.area_m2, strict=True)
    ]
    return feature_collection(footprints.geometries, rows)
