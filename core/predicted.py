"""What a run predicted for a tile, as it lies on disk: layers, and what follows from them as they are shaped."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.errors import NoSuchPrediction
from core.footprints import Shaping
from core.geojson import feature_collection
from core.grids import LONLAT
from core.labels import Labels
from core.prediction import prediction_folder, score_tile, shaped
from core.runs import Run
from core.scoring import Score
from core.settings import settings
from core.tuning import Tuning, tuning_of
from core.vectors import Footprints


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
        return words.get(self.run.taught(self.tile.id), "not trained on")

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

    def verdicts_geojson(self, shaping: Shaping | None = None) -> bytes:
        """Every footprint as TP or FP and every missed building as FN, with its IoU; plain predictions without labels.

        Longitude and latitude; `words` is what a person reads.
        """
        found = self.footprints(shaping).to_crs(LONLAT)
        score = self.score(shaping)
        areas = found.area_m2
        if score is None:
            words = [_words("predicted", area, c) for area, c in zip(areas, found.confidence, strict=True)]
            return feature_collection(found.geometries, [{"verdict": "none", "words": text} for text in words])
        truth = Labels.of_tile(self.tile)
        missed = score.truth.missed
        ground = Footprints.of(truth.ground[missed], truth.grid.crs).to_crs(LONLAT)
        rows = [
            {"verdict": "TP", "words": _words(f"found, IoU {iou:.2f}", area, sure)}
            if hit
            else {"verdict": "FP", "words": _words("invented", area, sure)}
            if counted
            else {"verdict": "none", "words": _words("too small to count", area, sure)}
            for hit, counted, iou, area, sure in zip(
                score.proposals.hit, score.proposals.counted, score.proposals.iou, areas, found.confidence, strict=True
            )
        ]
        rows += [{"verdict": "FN", "words": _words("missed", area)} for area in ground.area_m2]
        return feature_collection(np.concatenate([found.geometries, ground.geometries]), rows)


def _words(verdict: str, area_m2: float, confidence: float | None = None) -> str:
    sure = "" if confidence is None else f" · confidence {confidence:.2f}"
    return f"{verdict} · {area_m2:.0f} m²{sure}"


@lru_cache(maxsize=64)
def _footprints(probability: Path, _changed: int, run: Run, shaping: Shaping) -> Footprints:
    return shaped(probability, run, shaping)


def predicted(run: str, tile: str) -> Predicted:
    """The place of a prediction, made or not; raises NoSuchTile."""
    found = Run(settings().runs / Path(run).name)
    return Predicted(found, read_catalog().tile(tile), prediction_folder(found, tile))


def find(run: str, tile: str) -> Predicted:
    """A prediction that was made; raises NoSuchTile, NoSuchPrediction."""
    found = predicted(run, tile)
    if not found.exists:
        raise NoSuchPrediction(run=run, tile=tile)
    return found
