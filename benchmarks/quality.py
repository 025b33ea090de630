"""Which network finds most buildings in the same minutes: real tiles, seeds, and everything that can be switched.

    nice python -m benchmarks.quality --minutes 5 --seeds 0,1,2 --out /tmp/quality
    python -m benchmarks.quality --out /tmp/quality --table

Every training has a process of its own and leaves a line in `results.jsonl`; a cell that has one is not trained again,
so the benchmark can be stopped and goes on. Vegas: each of its five labelled tiles is left out once, its counts are
added up. Banepa: its last column of tiles (img93…) is left out. Sample city: blocked ground, see `city_split`. Tiles
that are scored are seen by no training and no tuning.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.features import rasterize

from core.catalog.scan import scan
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.geo.vector import Footprints
from core.inference.ensemble import combine
from core.inference.predict import How, predict, shaped
from core.labels.labels import Labels, signed_distance
from core.metrics.spacenet import DEFAULT_RULE, Bound, Score, average_precision, score
from core.postprocessing.thresholds import tuning_of
from core.runs.run import Run
from core.synthetic_city import make_sample_city
from core.training.presets import MANY, PRESETS, recommended
from core.training.train import train

DATA = Path(__file__).parents[2] / "shared" / "data"
NETWORKS = ("fcn", "distance", "unet", "unet-efficientnetlite0")
PLACES = ("banepa", "vegas", "city")
#: IoU above which a footprint counts, for the average precision.
LEVELS = np.arange(0.5, 0.96, 0.05)
#: Width in metres of the band along walls in which the boundary IoU is measured (Cheng 2021 has a share of the image).
BAND_M = 1.0
_HEAD = (
    "place", "network", "minutes", "how", "seeds", "F1@0.5", "precision", "recall", "AP@[.5:.95]", "pixel IoU",
    "boundary IoU",
)  # fmt: skip


def folds(place: str, work: Path) -> list[tuple[list[Tile], list[Tile]]]:
    """Tiles to train on and tiles to score on, once or several times."""
    if place == "banepa":
        city = scan(DATA / "open-cities").tiles
        return [([t for t in city if "img93" not in t.id], [t for t in city if "img93" in t.id])]
    if place == "vegas":
        tiles = [tile for tile in scan(DATA / "spacenet").tiles if "Vegas" in tile.id]
        return [([t for t in tiles if t is not left], [left]) for left in tiles if left.buildings]
    made = work / "city"
    return [city_split(scan(made if made.is_dir() else make_sample_city(made)).tiles)]


def city_split(tiles: Sequence[Tile]) -> tuple[list[Tile], list[Tile]]:
    """The quarter of the city's tiles that lies farthest east is scored; their neighbours are not trained on."""
    east = sorted(tiles, key=lambda tile: tile.footprint.centroid.x, reverse=True)
    scored = east[: len(east) // 4]
    near = [tile for tile in east[len(scored) :] if any(tile.footprint.distance(s.footprint) < 1e-6 for s in scored)]
    return [tile for tile in east[len(scored) :] if tile not in near], scored


def trained(work: Path, place: str, network: str, minutes: float, seed: int, fold: int, preset: str) -> Run:
    """The run of one cell, trained now."""
    train_tiles, _ = folds(place, work)[fold]
    name, _, copies = network.partition("-x")  # "unet-x3": three copies side by side
    config = PRESETS[preset].config if preset else recommended(name)
    config = replace(config, options={**config.options, "copies": int(copies)}) if copies else config
    config = replace(config, seed=seed, minutes=minutes or config.minutes, epochs=MANY)
    folder = work / "runs" / name_of(place, preset or network, minutes, seed, fold)
    shutil.rmtree(folder, ignore_errors=True)
    return train(train_tiles, config, folder)


def name_of(place: str, network: str, minutes: float, seed: int, fold: int) -> str:
    return f"{place}-{network}-{minutes:g}min-seed{seed}-fold{fold}"


def measured(run: Run, tiles: Sequence[Tile], work: Path, only: Iterable[str] = ()) -> dict[str, Any]:
    """Counts and areas of the tiles, for every way to shape what the run says of them."""
    tuned = tuning_of(run)
    ways = {
        "as tuned": tuned.shaping,
        "no watershed": tuned.shaping.changed(seed=0.0),
        "right angles": tuned.shaping.changed(square=True),
        "second look": tuned.shaping.changed(judged=True),
    }
    found: dict[str, Any] = {}
    for turned in (False, True):
        layers = work / "layers"
        shutil.rmtree(layers, ignore_errors=True)
        began = time.perf_counter()
        for tile in tiles:
            predict(run, (tile.image, tile.eight_bands), layers / f"{tile.id}.tif", how=How(turned=turned))
        seconds = time.perf_counter() - began
        for name, shaping in ways.items():
            label = f"{name}, TTA" if turned else name
            if not only or label in only:
                made = [shaped(layers / f"{tile.id}.tif", run, shaping) for tile in tiles]
                found[label] = figures(tiles, made) | {"predict_s": seconds}
    return found


def figures(tiles: Sequence[Tile], made: Sequence[Footprints]) -> dict[str, Any]:
    """What can be added up over folds: counts, pixels of masks and bands, and confidences with hits at every level."""
    sums = np.zeros(7)
    hits: dict[str, list[list[float]]] = {f"{level:.2f}": [] for level in LEVELS}
    for tile, found in zip(tiles, made, strict=True):
        labels = read_tile_labels(tile)
        truth = Footprints.of(labels.ground, labels.grid.crs)
        scores = {level: _score(truth, found, float(level), labels.grid.gsd_m**2) for level in LEVELS}
        first = scores[LEVELS[0]]
        sums += [first.tp, first.fp, first.fn, *_pixels(labels, found)]
        for level, one in scores.items():
            counted = one.proposals.counted
            pairs = zip(found.confidence[counted].tolist(), one.proposals.hit[counted].tolist(), strict=True)
            hits[f"{level:.2f}"] += [[round(c, 4), float(h)] for c, h in pairs]
    names = ("tp", "fp", "fn", "both", "either", "band_both", "band_either")
    return dict(zip(names, sums.tolist(), strict=True)) | {"hits": hits}


def _score(truth: Footprints, found: Footprints, level: float, pixel_area: float) -> Score:
    return score(truth, found, replace(DEFAULT_RULE, iou=Bound(level, inclusive=False)), pixel_area)


def _pixels(labels: Labels, found: Footprints) -> list[float]:
    """Pixels in both masks, in either, in both bands along the walls, in either."""
    assert found.crs is not None
    shapes = labels.grid.to_pixels(found.geometries, found.crs)
    guess = (
        rasterize(shapes, labels.grid.shape, dtype="uint8") if len(shapes) else np.zeros(labels.grid.shape, np.uint8)
    )
    masks = [labels.mask > 0, guess > 0]
    bands = [_band(mask, labels.grid.pixel_m) for mask in masks]
    return [float(by(*pair).sum()) for pair in (masks, bands) for by in (np.logical_and, np.logical_or)]


def _band(mask: NDArray[np.bool_], pixel_m: tuple[float, float]) -> NDArray[np.bool_]:
    return mask & (signed_distance(mask.astype(np.uint8), pixel_m) <= BAND_M)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """F1, precision, recall, AP, pixel IoU and boundary IoU of the sums of several folds."""
    tp, fp, fn = (sum(row[name] for row in rows) for name in ("tp", "fp", "fn"))
    truth = tp + fn
    found = [np.array([hit for row in rows for hit in row["hits"][f"{level:.2f}"]]).reshape(-1, 2) for level in LEVELS]
    aps = [average_precision(confidence, hit, truth) or 0.0 for confidence, hit in (one.T for one in found)]
    return {
        "f1": 2 * tp / max(2 * tp + fp + fn, 1), "precision": tp / max(tp + fp, 1), "recall": tp / max(truth, 1),
        "ap": float(np.mean(aps)),
        "iou": sum(row["both"] for row in rows) / max(sum(row["either"] for row in rows), 1),
        "boundary_iou": sum(row["band_both"] for row in rows) / max(sum(row["band_either"] for row in rows), 1),
    }  # fmt: skip


def cell(work: Path, place: str, network: str, minutes: float, seed: int, fold: int, preset: str) -> dict[str, Any]:
    """Trains and measures one cell."""
    began = time.perf_counter()
    run = trained(work, place, network, minutes, seed, fold, preset)
    took = time.perf_counter() - began
    metrics = run.metrics()
    return {
        "place": place, "network": preset or network, "minutes": minutes, "seed": seed, "fold": fold,
        "seconds": took, "epochs": len(metrics), "crops_s": float(metrics["images_s"].mean()),
        "parameters": run.record.parameters, "shaping": run.tuned and run.tuned["shaping"],
        "ways": measured(run, folds(place, work)[fold][1], work),
    }  # fmt: skip


def ensemble_cell(work: Path, place: str, minutes: float, seeds: Sequence[int], fold: int) -> dict[str, Any]:
    """The mean of the unets of all seeds: trained for so many times the minutes, which the table says."""
    runs = [Run(work / "runs" / name_of(place, "unet", minutes, seed, fold)) for seed in seeds]
    folder = work / "runs" / name_of(place, "ensemble", minutes, 0, fold)
    shutil.rmtree(folder, ignore_errors=True)
    run = combine(runs, folder)
    return {
        "place": place, "network": "ensemble", "minutes": minutes * len(seeds), "seed": 0, "fold": fold,
        "seconds": 0, "epochs": 0, "crops_s": 0, "parameters": run.record.parameters,
        "shaping": run.tuned and run.tuned["shaping"], "ways": measured(run, folds(place, work)[fold][1], work),
    }  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One row a place, network and way; mean ± standard deviation over seeds."""
    lines = []
    frame = pd.DataFrame([{k: row[k] for k in ("place", "network", "minutes", "seed")} for row in rows])
    for (place, network, minutes), group in frame.groupby(["place", "network", "minutes"], sort=False):
        for way in rows[group.index[0]]["ways"]:
            seeds = [summary([rows[n]["ways"][way] for n in of_seed.index]) for _, of_seed in group.groupby("seed")]
            mean, spread = pd.DataFrame(seeds).mean(), pd.DataFrame(seeds).std().fillna(0)
            about = f" ± {spread['f1']:.3f}" if len(seeds) > 1 else ""
            cells = [place, network, f"{minutes:g}", way, str(len(seeds)), f"{mean['f1']:.3f}{about}"]
            cells += [f"{mean[name]:.3f}" for name in ("precision", "recall", "ap", "iou", "boundary_iou")]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([f"| {' | '.join(_HEAD)} |", "|" + "---|" * len(_HEAD), *lines])


def costs(rows: Sequence[dict[str, Any]]) -> str:
    """What each network is and what its minutes were enough for: means over seeds and folds."""
    lines = ["| place | network | minutes | parameters | epochs | crops/s learned from |", "|" + "---|" * 6]
    frame = pd.DataFrame([row for row in rows if row["epochs"]])
    for (place, network, minutes), group in frame.groupby(["place", "network", "minutes"], sort=False):
        learned, known = group["crops_s"].mean(), group["parameters"].iloc[0]
        cells = [str(place), str(network), f"{minutes:g}", f"{known:,}", f"{group['epochs'].mean():.0f}"]
        lines.append(f"| {' | '.join([*cells, f'{learned:.0f}'])} |")
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> None:
    work = Path(arguments.out)
    work.mkdir(parents=True, exist_ok=True)
    file = work / "results.jsonl"
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    done = {(r["place"], r["network"], r["minutes"], r["seed"], r["fold"]) for r in results(file)}
    for place in arguments.places.split(","):
        count = len(folds(place, work))
        for fold in range(count):
            for network in [*arguments.networks.split(","), *(["ensemble"] if arguments.ensemble else [])]:
                for seed in seeds if network != "ensemble" else [0]:
                    minutes = arguments.minutes * (len(seeds) if network == "ensemble" else 1)
                    if (place, arguments.preset or network, minutes, seed, fold) not in done:
                        in_process(arguments, place, network, seed, fold, file)


def in_process(arguments: argparse.Namespace, place: str, network: str, seed: int, fold: int, file: Path) -> None:
    given = ["--out", arguments.out, "--minutes", str(arguments.minutes), "--seeds", arguments.seeds]
    preset = ["--preset", arguments.preset] if arguments.preset else []
    command = [
        sys.executable,
        "-m",
        "benchmarks.quality",
        *given,
        *preset,
        "--cell",
        place,
        network,
        str(seed),
        str(fold),
    ]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    with file.open("a") as opened:
        opened.write(said.splitlines()[-1] + "\n")
    row = json.loads(said.splitlines()[-1])
    print(name_of(place, row["network"], row["minutes"], seed, fold), summary([row["ways"]["as tuned"]]), flush=True)


def results(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder of runs and results")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--places", default=",".join(PLACES))
    parser.add_argument("--preset", default="", help="instead of the networks")
    parser.add_argument("--ensemble", action="store_true", help="also the mean of the unets of all seeds")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    parser.add_argument("--cell", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.table:
        found = results(Path(given.out) / "results.jsonl")
        print(table(found), costs(found), sep="\n\n")
    elif given.cell:
        place, network, seed, fold = given.cell
        made = (
            ensemble_cell(Path(given.out), place, given.minutes, [int(s) for s in given.seeds.split(",")], int(fold))
            if network == "ensemble"
            else cell(Path(given.out), place, network, given.minutes, int(seed), int(fold), given.preset)
        )
        print(json.dumps(made))
    else:
        main(given)
