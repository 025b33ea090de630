"""How fast polygons and score follow a slider: from the probability on disk to what the map is sent, without a network.

    python -m benchmarks.thresholds

A tile of the sample city of 650 × 650 pixels, predicted by the network that comes along. Each slider is moved to other
values, as a person does; the first look at a tile is told apart. Limit: the score and the GeoJSON of polygons that are
there already.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from core.inference.tile_prediction import Predicted
    from core.postprocessing.config import Shaping

SLIDERS: dict[str, list[float]] = {
    "threshold": [n / 20 for n in range(4, 17)], "seed": [1.05 + n / 20 for n in range(20)],
    "min_area_m2": [float(n) for n in range(0, 60, 3)], "simplify_px": [n / 5 for n in range(1, 20)],
}  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        os.environ["GROUNDPLAN_DATA"] = name
        one = predicted_tile(Path(name))
        print("| slider | p50 | p95 | most |\n|---|---|---|---|")
        usual = one.tuning.shaping
        print(row("first look", [looked_at(one, usual)]))
        for slider, values in SLIDERS.items():
            print(row(slider, [looked_at(one, moved(usual, slider, value)) for value in values]), flush=True)
        square = [looked_at(one, usual.changed(value, square=True)) for value in SLIDERS["threshold"]]
        print(row("threshold, right angles", square))
        print(row("limit: nothing to be shaped", [looked_at(one, usual) for _ in range(20)]))


def predicted_tile(folder: Path) -> "Predicted":
    from core.catalog.register import register
    from core.inference.predict import predict_tile
    from core.inference.tile_prediction import predicted
    from core.settings import settings
    from core.synthetic_city import make_sample_city
    from core.training.starter_model import NAME, install

    settings.cache_clear()
    found = register(make_sample_city(folder / "city"))
    install()
    tile = next(tile for tile in found.tiles if tile.buildings and tile.buildings >= 100)
    one = predicted(NAME, tile.id)
    predict_tile(one.run, tile, one.folder)
    return one


def moved(shaping: "Shaping", slider: str, value: float) -> "Shaping":
    changed: dict[str, Any] = {slider: value}
    return shaping.changed(**changed)


def looked_at(one: "Predicted", shaping: "Shaping") -> float:
    """Seconds until the map has what it asks for."""
    from core.review.verdicts import verdicts_geojson

    began = time.perf_counter()
    verdicts_geojson(one, shaping)
    return time.perf_counter() - began


def row(name: str, times: list[float]) -> str:
    p50, p95, most = (1000 * value for value in (*np.quantile(times, (0.5, 0.95)), max(times)))
    return f"| {name} | {p50:.0f} ms | {p95:.0f} ms | {most:.0f} ms |"


if __name__ == "__main__":
    main()
