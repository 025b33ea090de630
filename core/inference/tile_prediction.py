"""What a run predicted for a tile, as it lies on disk: layers, and what follows from them as they are shaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.errors import NoSuchPrediction
from core.geo.vector import Footprints
from core.inference.predict import prediction_folder, score_tile, shaped
from core.metrics.spacenet import Score
from core.postprocessing.config import Shaping
from core.postprocessing.thresholds import Tuning, tuning_of
from core.runs.run import Run
from core.settings import settings
from models.registry import NETWORKS

#: Of a tile that a run has not trained on.
UNSEEN = "not trained on"


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
