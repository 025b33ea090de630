"""Accuracy benchmark: networks, presets and post-processing compared at the same training time on real tiles.

    nice python -m benchmarks.quality --minutes 5 --seeds 0,1,2 --out /tmp/quality
    python -m benchmarks.quality --out /tmp/quality --table

Every training runs in its own process and adds a line to `results.jsonl`; a cell with a line is not trained again, so
an interrupted benchmark resumes. Vegas: leave-one-out over its five labeled tiles, counts added up. Banepa: the last
column of tiles (img93…) is held out. Sample city: spatial hold-out, see `city_split`. Scored tiles are used by no
training and no threshold optimization.
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
from core.inference.ensemble import make_ensemble
from core.inference.predict import InferenceOptions, predict, vectorize_as
from core.labels.labels import Labels, signed_distance
from core.metrics.spacenet import DEFAULT_RULE, Bound, Score, average_precision, score
from core.postprocessing.thresholds import load_thresholds
from core.runs.run import Run
from core.synthetic_city import make_sample_city
from core.training.presets import PRESETS, UNLIMITED_EPOCHS, recommended
from core.training.train import train

DATA = Path(__file__).parents[2] / "shared" / "data"
NETWORKS = ("fcn", "distance", "unet", "unet-efficientnetlite0")
PLACES = ("banepa", "vegas", "city")
#: IoU levels of the average precision.
LEVELS = np.arange(0.5, 0.96, 0.05)
#: Width of the boundary band of the boundary IoU [m] (Cheng et al. 2021 use a share of the image diagonal).
BAND_M = 1.0
_HEAD = (
    "place", "network", "minutes", "variant", "seeds", "F1@0.5", "precision", "recall", "AP@[.5:.95]", "pixel IoU",
    "boundary IoU",
)  # fmt: skip


def folds(place: str, work: Path) -> list[tuple[list[Tile], list[Tile]]]:
    """Return the folds of a place: training tiles and scored tiles."""
    if place == "banepa":
        city = scan(DATA / "open-cities").tiles
        return [([t for t in city if "img93" not in t.id], [t for t in city if "img93" in t.id])]
    if place == "vegas":
        tiles = [tile for tile in scan(DATA / "spacenet").tiles if "Vegas" in tile.id]
        return [([t for t in tiles if t is not held_out], [held_out]) for held_out in tiles if held_out.buildings]
    folder = work / "city"
    return [city_split(scan(folder if folder.is_dir() else make_sample_city(folder)).tiles)]


def city_split(tiles: Sequence[Tile]) -> tuple[list[Tile], list[Tile]]:
    """Hold out the easternmost quarter of the tiles for scoring; tiles adjacent to it are not trained on."""
    east = sorted(tiles, key=lambda tile: tile.footprint.centroid.x, reverse=True)
    scored = east[: len(east) // 4]
    others = east[len(scored) :]
    adjacent = [tile for tile in others if any(tile.footprint.distance(s.footprint) < 1e-6 for s in scored)]
    return [tile for tile in others if tile not in adjacent], scored


def trained(work: Path, place: str, network: str, minutes: float, seed: int, fold: int, preset: str) -> Run:
    """Train the run of a cell."""
    train_tiles, _ = folds(place, work)[fold]
    name, _, copies = network.partition("-x")  # "unet-x3": three copies side by side
    config = PRESETS[preset].config if preset else recommended(name)
    config = replace(config, options={**config.options, "copies": int(copies)}) if copies else config
    config = replace(config, seed=seed, minutes=minutes or config.minutes, epochs=UNLIMITED_EPOCHS)
    folder = work / "runs" / name_of(place, preset or network, minutes, seed, fold)
    shutil.rmtree(folder, ignore_errors=True)
    return train(train_tiles, config, folder)


def name_of(place: str, network: str, minutes: float, seed: int, fold: int) -> str:
    return f"{place}-{network}-{minutes:g}min-seed{seed}-fold{fold}"


def measured(run: Run, tiles: Sequence[Tile], work: Path, only: Iterable[str] = ()) -> dict[str, Any]:
    """Score a run on tiles with every variant of post-processing, with and without test-time augmentation."""
    thresholds = load_thresholds(run)
    variants = {
        "default": thresholds.vectorize,
        "no watershed": thresholds.vectorize.with_changes(saddle_ratio=0.0),
        "regularized": thresholds.vectorize.with_changes(regularize=True),
        "rescored": thresholds.vectorize.with_changes(rescore=True),
    }
    scores: dict[str, Any] = {}
    for tta in (False, True):
        layers = work / "layers"
        shutil.rmtree(layers, ignore_errors=True)
        start = time.perf_counter()
        for tile in tiles:
            predict(run, (tile.image, tile.eight_bands), layers / f"{tile.id}.tif", options=InferenceOptions(tta=tta))
        seconds = time.perf_counter() - start
        for name, config in variants.items():
            label = f"{name}, TTA" if tta else name
            if not only or label in only:
                predictions = [vectorize_as(layers / f"{tile.id}.tif", run, config) for tile in tiles]
                scores[label] = figures(tiles, predictions) | {"predict_s": seconds}
    return scores


def figures(tiles: Sequence[Tile], predictions: Sequence[Footprints]) -> dict[str, Any]:
    """Return sums that add up over folds: counts, pixels of masks and bands, confidences with hits by IoU level."""
    sums = np.zeros(7)
    hits: dict[str, list[list[float]]] = {f"{level:.2f}": [] for level in LEVELS}
    for tile, polygons in zip(tiles, predictions, strict=True):
        labels = read_tile_labels(tile)
        truth = Footprints.of(labels.map_footprints, labels.grid.crs)
        scores = {level: _score(truth, polygons, float(level), labels.grid.gsd_m**2) for level in LEVELS}
        counts = scores[LEVELS[0]]
        sums += [counts.tp, counts.fp, counts.fn, *_pixels(labels, polygons)]
        for level, scored in scores.items():
            counted = scored.proposals.counted
            pairs = zip(polygons.confidence[counted].tolist(), scored.proposals.hit[counted].tolist(), strict=True)
            hits[f"{level:.2f}"] += [[round(c, 4), float(h)] for c, h in pairs]
    names = ("tp", "fp", "fn", "both", "either", "band_both", "band_either")
    return dict(zip(names, sums.tolist(), strict=True)) | {"hits": hits}


def _score(truth: Footprints, polygons: Footprints, level: float, pixel_area: float) -> Score:
    return score(truth, polygons, replace(DEFAULT_RULE, iou=Bound(level, inclusive=False)), pixel_area)


def _pixels(labels: Labels, polygons: Footprints) -> list[float]:
    """Count pixels of intersection and union, of the masks and of the boundary bands."""
    assert polygons.crs is not None
    shapes = labels.grid.to_pixels(polygons.geometries, polygons.crs)
    predicted_mask = (
        rasterize(shapes, labels.grid.shape, dtype="uint8") if len(shapes) else np.zeros(labels.grid.shape, np.uint8)
    )
    masks = [labels.mask > 0, predicted_mask > 0]
    bands = [_band(mask, labels.grid.pixel_m) for mask in masks]
    return [float(operation(*pair).sum()) for pair in (masks, bands) for operation in (np.logical_and, np.logical_or)]


def _band(mask: NDArray[np.bool_], pixel_m: tuple[float, float]) -> NDArray[np.bool_]:
    return mask & (signed_distance(mask.astype(np.uint8), pixel_m) <= BAND_M)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Compute F1, precision, recall, AP, pixel IoU and boundary IoU from the sums of several folds."""
    tp, fp, fn = (sum(row[name] for row in rows) for name in ("tp", "fp", "fn"))
    truth = tp + fn
    hits_by_level = [
        np.array([hit for row in rows for hit in row["hits"][f"{level:.2f}"]]).reshape(-1, 2) for level in LEVELS
    ]
    aps = [average_precision(confidence, hit, truth) or 0.0 for confidence, hit in (pairs.T for pairs in hits_by_level)]
    return {
        "f1": 2 * tp / max(2 * tp + fp + fn, 1), "precision": tp / max(tp + fp, 1), "recall": tp / max(truth, 1),
        "ap": float(np.mean(aps)),
        "iou": sum(row["both"] for row in rows) / max(sum(row["either"] for row in rows), 1),
        "boundary_iou": sum(row["band_both"] for row in rows) / max(sum(row["band_either"] for row in rows), 1),
    }  # fmt: skip


def cell(work: Path, place: str, network: str, minutes: float, seed: int, fold: int, preset: str) -> dict[str, Any]:
    """Train and score one cell."""
    start = time.perf_counter()
    run = trained(work, place, network, minutes, seed, fold, preset)
    seconds = time.perf_counter() - start
    metrics = run.metrics()
    return {
        "place": place, "network": preset or network, "minutes": minutes, "seed": seed, "fold": fold,
        "seconds": seconds, "epochs": len(metrics), "crops_s": float(metrics["images_s"].mean()),
        "parameters": run.record.parameters, "shaping": run.stored_thresholds and run.stored_thresholds["shaping"],
        "ways": measured(run, folds(place, work)[fold][1], work),
    }  # fmt: skip


def ensemble_cell(work: Path, place: str, minutes: float, seeds: Sequence[int], fold: int) -> dict[str, Any]:
    """Score the ensemble of the U-Nets of all seeds; its training minutes are added up."""
    runs = [Run(work / "runs" / name_of(place, "unet", minutes, seed, fold)) for seed in seeds]
    folder = work / "runs" / name_of(place, "ensemble", minutes, 0, fold)
    shutil.rmtree(folder, ignore_errors=True)
    run = make_ensemble(runs, folder)
    return {
        "place": place, "network": "ensemble", "minutes": minutes * len(seeds), "seed": 0, "fold": fold,
        "seconds": 0, "epochs": 0, "crops_s": 0, "parameters": run.record.parameters,
        "shaping": run.stored_thresholds and run.stored_thresholds["shaping"],
        "ways": measured(run, folds(place, work)[fold][1], work),
    }  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Format one row per place, network and variant; mean ± standard deviation over seeds."""
    lines = []
    frame = pd.DataFrame([{k: row[k] for k in ("place", "network", "minutes", "seed")} for row in rows])
    for (place, network, minutes), group in frame.groupby(["place", "network", "minutes"], sort=False):
        for variant in rows[group.index[0]]["ways"]:
            seeds = [summary([rows[n]["ways"][variant] for n in of_seed.index]) for _, of_seed in group.groupby("seed")]
            mean, spread = pd.DataFrame(seeds).mean(), pd.DataFrame(seeds).std().fillna(0)
            deviation = f" ± {spread['f1']:.3f}" if len(seeds) > 1 else ""
            cells = [place, network, f"{minutes:g}", variant, str(len(seeds)), f"{mean['f1']:.3f}{deviation}"]
            cells += [f"{mean[name]:.3f}" for name in ("precision", "recall", "ap", "iou", "boundary_iou")]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([f"| {' | '.join(_HEAD)} |", "|" + "---|" * len(_HEAD), *lines])


def costs(rows: Sequence[dict[str, Any]]) -> str:
    """Format parameters, epochs and speed of each network; means over seeds and folds."""
    lines = ["| place | network | minutes | parameters | epochs | crops/s |", "|" + "---|" * 6]
    frame = pd.DataFrame([row for row in rows if row["epochs"]])
    for (place, network, minutes), group in frame.groupby(["place", "network", "minutes"], sort=False):
        crops_s, parameters = group["crops_s"].mean(), group["parameters"].iloc[0]
        cells = [str(place), str(network), f"{minutes:g}", f"{parameters:,}", f"{group['epochs'].mean():.0f}"]
        lines.append(f"| {' | '.join([*cells, f'{crops_s:.0f}'])} |")
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
    shared_options = ["--out", arguments.out, "--minutes", str(arguments.minutes), "--seeds", arguments.seeds]
    preset = ["--preset", arguments.preset] if arguments.preset else []
    command = [
        sys.executable,
        "-m",
        "benchmarks.quality",
        *shared_options,
        *preset,
        "--cell",
        place,
        network,
        str(seed),
        str(fold),
    ]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    with file.open("a") as stream:
        stream.write(output.splitlines()[-1] + "\n")
    row = json.loads(output.splitlines()[-1])
    print(name_of(place, row["network"], row["minutes"], seed, fold), summary([row["ways"]["default"]]), flush=True)


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
    arguments = parser.parse_args()
    if arguments.table:
        rows = results(Path(arguments.out) / "results.jsonl")
        print(table(rows), costs(rows), sep="\n\n")
    elif arguments.cell:
        place, network, seed, fold = arguments.cell
        seeds = [int(text) for text in arguments.seeds.split(",")]
        record = (
            ensemble_cell(Path(arguments.out), place, arguments.minutes, seeds, int(fold))
            if network == "ensemble"
            else cell(Path(arguments.out), place, network, arguments.minutes, int(seed), int(fold), arguments.preset)
        )
        print(json.dumps(record))
    else:
        main(arguments)
