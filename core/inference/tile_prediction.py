"""Tile predictions on disk: the probability raster of a run and a tile, and what is derived from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.errors import NoSuchPrediction
from core.geo.vector import Footprints
from core.inference.predict import prediction_folder, score_tile, vectorize_as
from core.metrics.spacenet import Score
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.thresholds import Thresholds, load_thresholds
from core.runs.run import Run
from core.settings import settings
from models.registry import NETWORKS

#: Names of a tile's role in training (Run.role_of), as pages and reports show them.
ROLE_NAMES = {"train": "training", "validation": "validation", "both": "training and validation", "new": "unseen"}
#: Those of tiles that the run was trained on, in part or whole: their scores are optimistic.
TRAINING_ROLES = frozenset({ROLE_NAMES["train"], ROLE_NAMES["both"]})


@dataclass(frozen=True)
class TilePrediction:
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
        """Tell whether the run has predicted the tile."""
        return self.probability.is_file()

    @property
    def training_role(self) -> str:
        """Role of the tile in the training of the run; scores on training tiles are optimistic."""
        return ROLE_NAMES[self.run.role_of(self.tile.id)]

    @property
    def thresholds(self) -> Thresholds:
        """Optimized thresholds of the run."""
        return load_thresholds(self.run)

    def footprints(self, config: VectorizeConfig | None = None) -> Footprints:
        """Predicted buildings in the CRS of the tile, with confidence; by default with the thresholds of the run."""
        changed = self.probability.stat().st_mtime_ns
        return _footprints(self.probability, changed, self.run, config or self.thresholds.vectorize)

    def score(self, config: VectorizeConfig | None = None) -> Score | None:
        """Score by the SpaceNet rule; None for a tile without labels."""
        return score_tile(self.footprints(config), self.tile) if self.tile.is_labeled else None

    @property
    def has_distance(self) -> bool:
        """Tell whether the second band is the signed distance to the nearest boundary."""
        return NETWORKS[self.run.config.network].predicts_distance


@lru_cache(maxsize=64)
def _footprints(probability: Path, _changed: int, run: Run, config: VectorizeConfig) -> Footprints:
    return vectorize_as(probability, run, config)


def tile_prediction(run: str, tile: str) -> TilePrediction:
    """Refer to a prediction by the names of run and tile, whether it exists or not; raises NoSuchTile."""
    named_run = Run(settings().runs / Path(run).name)
    return TilePrediction(named_run, read_catalog().tile(tile), prediction_folder(named_run, tile))


def all_predictions(run: Run, tiles: Sequence[Tile]) -> list[TilePrediction]:
    """List the predictions of a run for tiles, with one listing of its folder however many tiles there are."""
    folder = settings().predictions / run.name
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    predictions = (TilePrediction(run, tile, prediction_folder(run, tile.id)) for tile in tiles if tile.id in names)
    return [prediction for prediction in predictions if prediction.exists]


def find(run: str, tile: str) -> TilePrediction:
    """Return an existing prediction; raises NoSuchTile, NoSuchPrediction."""
    prediction = tile_prediction(run, tile)
    if not prediction.exists:
        raise NoSuchPrediction(run=run, tile=tile)
    return prediction
