"""What a run predicted for a tile, as it lies on disk: layers, and what follows from them as they are shaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.errors import NoSuchPrediction
from core.geo.geojson import feature_collection
from core.geo.grid import LONLAT
from core.geo.vector import Footprints
from core.inference.predict import prediction_folder, score_tile, shaped
from core.labels.labels import Labels
from core.metrics.spacenet import Score
from core.postprocessing.thresholds import Tuning, tuning_of
from core.postprocessing.vectorize import Shaping
from core.review.decisions import Review
from core.runs.run import Run
from core.settings import settings
from models.registry import NETWORKS

#: Of a tile that a run has not trained on.
UNSEEN = "not trained on"


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


@dataclass(frozen=True)
class Predicted:
    """The probability of a tile by a run; everything else is derived from it."""

    run: Run
    tile: Tile
    folder: Path

    @property
    def probability(self) -> Path:
        """A float32 GeoTIFF, 0 to 1."""
        return self.folder / "probability.tif"

    @property
    def exists(self) -> bool:
        """Whether the tile was predicted by this run."""
        return self.probability.is_file()

    @property
    def seen_before(self) -> str:
        """Whether the run trained on the tile: a score on such a tile says little."""
        words = {"both": "in part trained on", "train": "trained on"}
        return words.get(self.run.taught(self.tile.id), UNSEEN)

    @property
    def tuning(self) -> Tuning:
        """What was found for the run on its validation ground."""
        return tuning_of(self.run)

    def footprints(self, shaping: Shaping | None = None) -> Footprints:
        """Buildings in the CRS of the tile, with confidence; shaped as the run was tuned where nothing else is said."""
        changed = self.probability.stat().st_mtime_ns
        return _footprints(self.probability, changed, self.run, shaping or self.tuning.shaping)

    def score(self, shaping: Shaping | None = None) -> Score | None:
        """By SpaceNet's rule; None where the tile has no labels."""
        return score_tile(self.footprints(shaping), self.tile) if self.tile.is_labelled else None

    @property
    def tells_distance(self) -> bool:
        """Whether the second band is the distance to the nearest wall."""
        return NETWORKS[self.run.config.network].tells_distance

    @property
    def review(self) -> Review:
        """What people said of its buildings; raises DamagedReview."""
        return Review.of(self.folder)

    def verdicts(self, shaping: Shaping | None = None) -> list[Building]:
        """Every footprint as TP or FP and every missed building as FN; plain predictions without labels."""
        found, score = self.footprints(shaping).to_crs(LONLAT), self.score(shaping)
        review = self.review
        words = [None if n < 0 else review.decisions[n].verdict for n in review.about(found.geometries)]
        shapes, areas, sure = found.geometries, found.area_m2, found.confidence
        if score is None:
            return [
                Building(f"P{n}", "none", shape, area, confidence=c, decided=said)
                for n, (shape, area, c, said) in enumerate(zip(shapes, areas, sure, words, strict=True))
            ]
        labels = Labels.of_tile(self.tile)
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

    def verdicts_geojson(self, shaping: Shaping | None = None, only_errors: bool = False) -> bytes:
        """The same for the map, in longitude and latitude; the building that a footprint found comes before it.

        `words` is what a person reads, `of` the footprint that found a building.
        """
        shown = [one for one in self.verdicts(shaping) if not only_errors or one.verdict in ("FP", "FN")]
        matched = [one for one in shown if one.match is not None]
        shapes = np.empty(len(matched) + len(shown), object)
        shapes[:] = [one.match for one in matched] + [one.shape for one in shown]
        rows = [{"verdict": "match", "of": one.id} for one in matched] + [one.facts for one in shown]
        return feature_collection(shapes, rows)

    def accepted_geojson(self) -> bytes:
        """What a person accepted, where it was moved to, in longitude and latitude."""
        review = self.review
        footprints = review.accepted
        rows = [
            {"words": f"accepted · {area:.0f} m²{f' · {one.note}' if one.note else ''}"}
            for one, area in zip(review.kept, footprints.area_m2, strict=True)
        ]
        return feature_collection(footprints.geometries, rows)


@lru_cache(maxsize=64)
def _footprints(probability: Path, _changed: int, run: Run, shaping: Shaping) -> Footprints:
    return shaped(probability, run, shaping)


def predicted(run: str, tile: str) -> Predicted:
    """The place of a prediction, made or not; raises NoSuchTile."""
    found = Run(settings().runs / Path(run).name)
    return Predicted(found, read_catalog().tile(tile), prediction_folder(found, tile))


def all_predicted(run: Run, tiles: Sequence[Tile]) -> list[Predicted]:
    """What the run has predicted of these tiles; one look at its folder, however many tiles there are."""
    folder = settings().predictions / run.name
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    found = (Predicted(run, tile, prediction_folder(run, tile.id)) for tile in tiles if tile.id in there)
    return [one for one in found if one.exists]


def find(run: str, tile: str) -> Predicted:
    """A prediction that was made; raises NoSuchTile, NoSuchPrediction."""
    found = predicted(run, tile)
    if not found.exists:
        raise NoSuchPrediction(run=run, tile=tile)
    return found
