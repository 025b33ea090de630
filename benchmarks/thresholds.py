"""How fast polygons and score follow a slider: from the probability on disk to what the map is sent, without a network.

    python -m benchmarks.thresholds

A tile of the sample city of 650 × 650 pixels, predicted by the network that comes along. Each slider is moved to other
values, as a person does; the first look at a tile is told apart. Limit: the score and the GeoJSON of polygons that are
there already.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

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
        print(row("first look", [seconds(lambda: one.verdicts_geojson(usual))]))
        for slider, values in SLIDERS.items():
            times = [seconds(lambda v=value: one.verdicts_geojson(replace(usual, **{slider: v}))) for value in values]
            print(row(slider, times), flush=True)
        square = [
            seconds(lambda v=value: one.verdicts_geojson(replace(usual, square=True, threshold=v)))
            for value in SLIDERS["threshold"]
        ]
        print(row("threshold, right angles", square))
        print(row("limit: nothing to be shaped", [seconds(lambda: one.verdicts_geojson(usual)) for _ in range(20)]))


def predicted_tile(folder: Path):  # type: ignore[no-untyped-def]
    from core.catalog.register import register
    from core.catalog.sample import make_sample_city
    from core.predicted import predicted
    from core.prediction import predict_tile
    from core.settings import settings
    from core.starter import NAME, install

    settings.cache_clear()
    found = register(make_sample_city(folder / "city"))
    install()
    tile = next(tile for tile in found.tiles if tile.buildings and tile.buildings >= 100)
    one = predicted(NAME, tile.id)
    predict_tile(one.run, tile, one.folder)
    return one


def seconds(make: Callable[[], object]) -> float:
    began = time.perf_counter()
    make()
    return time.perf_counter() - began


def row(name: str, times: list[float]) -> str:
    p50, p95, most = (1000 * value for value in (*np.quantile(times, (0.5, 0.95)), max(times)))
    return f"| {name} | {p50:.0f} ms | {p95:.0f} ms | {most:.0f} ms |"


if __name__ == "__main__":
    main()
