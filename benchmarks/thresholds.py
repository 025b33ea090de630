"""Post-processing benchmark: latency of a slider, from the stored probability to the map's GeoJSON.

    python -m benchmarks.thresholds

A tile of the sample city of 650 × 650 pixels, predicted by the built-in model. Each slider is moved through its values;
the first display of a tile is reported separately. Limit: score and GeoJSON of polygons that already exist.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from core.inference.tile_prediction import TilePrediction
    from core.postprocessing.config import VectorizeConfig

SLIDERS: dict[str, list[float]] = {
    "threshold": [n / 20 for n in range(4, 17)], "saddle_ratio": [1.05 + n / 20 for n in range(20)],
    "min_area_m2": [float(n) for n in range(0, 60, 3)], "simplify_px": [n / 5 for n in range(1, 20)],
}  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.environ["GROUNDPLAN_DATA"] = name
        prediction = predicted_tile(Path(name))
        print("| slider | p50 | p95 | maximum |\n|---|---|---|---|")
        defaults = prediction.thresholds.vectorize
        print(row("first display", [update_time(prediction, defaults)]))
        for slider, values in SLIDERS.items():
            print(
                row(slider, [update_time(prediction, changed_config(defaults, slider, value)) for value in values]),
                flush=True,
            )
        configs = [defaults.with_changes(value, regularize=True) for value in SLIDERS["threshold"]]
        print(row("threshold, regularized", [update_time(prediction, config) for config in configs]))
        print(row("limit: nothing to vectorize", [update_time(prediction, defaults) for _ in range(20)]))


def predicted_tile(folder: Path) -> "TilePrediction":
    from core.catalog.register import register
    from core.inference.predict import predict_tile
    from core.inference.tile_prediction import tile_prediction
    from core.settings import settings
    from core.synthetic_city import make_sample_city
    from core.training.starter_model import NAME, install

    settings.cache_clear()
    registered = register(make_sample_city(folder / "city"))
    install()
    tile = next(tile for tile in registered.tiles if tile.buildings and tile.buildings >= 100)
    prediction = tile_prediction(NAME, tile.id)
    predict_tile(prediction.run, tile, prediction.folder)
    return prediction


def changed_config(config: "VectorizeConfig", slider: str, value: float) -> "VectorizeConfig":
    changes: dict[str, Any] = {slider: value}
    return config.with_changes(**changes)


def update_time(prediction: "TilePrediction", config: "VectorizeConfig") -> float:
    """Measure the time until the map's GeoJSON is computed [s]."""
    from core.review.verdicts import verdicts_geojson

    start = time.perf_counter()
    verdicts_geojson(prediction, config)
    return time.perf_counter() - start


def row(name: str, times: list[float]) -> str:
    p50, p95, maximum = (1000 * value for value in (*np.quantile(times, (0.5, 0.95)), max(times)))
    return f"| {name} | {p50:.0f} ms | {p95:.0f} ms | {maximum:.0f} ms |"


if __name__ == "__main__":
    main()
