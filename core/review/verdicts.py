"""Verdicts of a prediction: each footprint as true or false positive, each missed building as false negative."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from core.catalog.tile_labels import read_tile_labels
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT
from core.geo.vector import Footprints
from core.inference.tile_prediction import TilePrediction
from core.postprocessing.config import VectorizeConfig
from core.review.decisions import Review


@dataclass(frozen=True)
class Verdict:
    """Predicted footprint or missed building, with its verdict."""

    id: str  #: P and the index of the footprint, or T and the index of the missed building
    verdict: str  #: TP, FP, FN, or none: too small to be scored, or a tile without labels
    shape: shapely.Polygon  #: in longitude and latitude
    area_m2: float
    confidence: float | None = None
    iou: float | None = None
    match: shapely.Polygon | None = None  #: matched ground-truth building
    review_status: str | None = None  #: accepted or rejected

    @property
    def label(self) -> str:
        """Tooltip text."""
        outcome = f"Correct (TP), IoU {self.iou:.2f}" if self.iou is not None else ""
        kind = outcome or {"FP": "False positive (FP)", "FN": "Missed (FN)"}.get(self.verdict, "Predicted")
        confidence = "" if self.confidence is None else f" · confidence {self.confidence:.2f}"
        return f"{kind} · {self.area_m2:.0f} m²{confidence}{f' · {self.review_status}' if self.review_status else ''}"

    @property
    def properties(self) -> dict[str, Any]:
        """GeoJSON properties for the map."""
        iou = {} if self.iou is None else {"iou": round(self.iou, 2)}
        status = {"decided": self.review_status} if self.review_status else {}
        return {"id": self.id, "verdict": self.verdict, "words": self.label, **iou, **status}


def verdicts(prediction: TilePrediction, config: VectorizeConfig | None = None) -> list[Verdict]:
    """Classify footprints as TP or FP and add missed buildings as FN; without labels all are plain predictions."""
    footprints, score = prediction.footprints(config).to_crs(LONLAT), prediction.score(config)
    review = Review.of(prediction.folder)
    statuses = [None if n < 0 else review.decisions[n].verdict for n in review.match(footprints.geometries)]
    polygons, areas, confidence = footprints.geometries, footprints.area_m2, footprints.confidence
    if score is None:
        return [
            Verdict(f"P{n}", "none", polygon, areas[n], confidence=confidence[n], review_status=statuses[n])
            for n, polygon in enumerate(polygons)
        ]
    labels = read_tile_labels(prediction.tile)
    truth = Footprints.of(labels.map_footprints, labels.grid.crs).to_crs(LONLAT)
    proposals = score.proposals
    kinds = np.where(proposals.hit, "TP", np.where(proposals.counted, "FP", "none"))
    predicted = [
        Verdict(
            f"P{n}", str(kinds[n]), polygon, areas[n], confidence=confidence[n], review_status=statuses[n],
            iou=float(proposals.iou[n]) if proposals.hit[n] else None,
            match=truth.geometries[proposals.partner[n]] if proposals.hit[n] else None,
        )
        for n, polygon in enumerate(polygons)
    ]  # fmt: skip
    missed = np.flatnonzero(score.truth.missed)
    return predicted + [Verdict(f"T{n}", "FN", truth.geometries[n], truth.area_m2[n]) for n in missed]


def verdicts_geojson(
    prediction: TilePrediction, config: VectorizeConfig | None = None, only_errors: bool = False
) -> bytes:
    """Encode the verdicts as GeoJSON for the map, in longitude and latitude.

    Matched buildings come before the footprints, with the property `of`: the id of the footprint that matches them.
    `words` is the tooltip.

    Args:
        prediction: Prediction of a tile.
        config: Vectorization settings; the run's optimized ones by default.
        only_errors: Encode false positives and false negatives only.
    """
    selected = [row for row in verdicts(prediction, config) if not only_errors or row.verdict in ("FP", "FN")]
    matched = [row for row in selected if row.match is not None]
    polygons = np.empty(len(matched) + len(selected), object)
    polygons[:] = [row.match for row in matched] + [row.shape for row in selected]
    properties = [{"verdict": "match", "of": row.id} for row in matched] + [row.properties for row in selected]
    return feature_collection(polygons, properties)


def accepted_geojson(prediction: TilePrediction) -> bytes:
    """Encode the accepted footprints, with their shifts applied, as GeoJSON for the map."""
    review = Review.of(prediction.folder)
    footprints = review.accepted
    properties = [
        {"words": f"Accepted · {area:.0f} m²{f' · {decision.note}' if decision.note else ''}"}
        for decision, area in zip(review.accepted_decisions, footprints.area_m2, strict=True)
    ]
    return feature_collection(footprints.geometries, properties)
