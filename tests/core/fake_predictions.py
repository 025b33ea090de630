"""Predictions that were made by hand: three tiles by two runs, so that nothing has to be trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from core.catalog.store import Catalog, write_catalog
from core.datasets.normalization import Normalization
from core.geo import raster
from core.inference.tile_prediction import tile_prediction
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.settings import settings
from models.registry import build
from tests.core.tile_factory import SMALL, grid_at, make_tile

TILES = tuple(f"AOI_0_Made_img{n}" for n in (1, 2, 3))
#: (rows, columns, probability) of what each run sees; the houses are at 8–24 × 8–24 and 30–50 × 36–56.
FIRST, SECOND = np.s_[9:23, 9:23], np.s_[31:49, 37:55]
NOTHING = np.s_[52:60, 4:14]


@contextmanager
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Run, Run]]:
    """Run "one" finds the first house everywhere and invents one; "two" finds both, but on the third tile none."""
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    tiles = [make_tile(tmp_path / "city", name, grid_at(100 * n)) for n, name in enumerate(TILES)]
    write_catalog(Catalog(tuple(tiles)))
    runs = []
    for name, seen in (("one", ((FIRST, 0.9), (NOTHING, 0.7))), ("two", ((FIRST, 0.8), (SECOND, 0.95)))):
        recipe = TrainingConfig(name=f"Run {name}", dataset=SMALL, seed=len(runs))
        record = Record(recipe, (TILES[0],), (), Normalization((0.0,) * 3, (1.0,) * 3), 3, (0.5, 0.5), 1, "CPU", {})
        run = Run.create(settings().runs / name, record)
        run.save_weights(build("fcn", 3), 1)
        run.add_metrics({"epoch": 1, "seconds": 30.0, "loss": 1.0 - 0.1 * len(runs), "val_iou": 0.5, "images_s": 10.0})
        runs.append(run)
        for n, tile in enumerate(tiles):
            probability = np.zeros((1, 64, 64), np.float32)
            for place, value in seen if (name, n) != ("two", 2) else ():
                probability[0][place] = value
            raster.write(tile_prediction(name, tile.id).probability, raster.Raster(probability, grid_at(100 * n)))
    yield runs[0], runs[1]
    settings.cache_clear()
