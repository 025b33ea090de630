"""Make the fixtures of version 0.6.2: a data folder, its answers, and its addresses, flags and weight layouts.

Run in a checkout of that version, with the environment of its requirements:

    git worktree add /tmp/groundplan-0.6.2-code 136ad65
    cd /tmp/groundplan-0.6.2-code
    python PATH/TO/tests/compatibility/make_v0_6_2.py PATH/TO/tests/compatibility/v0_6_2

It takes about five minutes on two cores and writes

    data.tar.xz        the data folder: synthetic tiles, catalog, runs, predictions, review, uploads, queue, job folders
    expected.npz       every second pixel of some probabilities, as uint16: 65535 is 1
    expected.json      footprint counts, scores, verdicts, and where the data folder was (the catalog has its path)
    commands.json      every argument and option of the command line, with an example and what it was parsed to
    addresses.json     pages with their query keys and the state these lead to; routes of the map
    networks.json.xz   for every network where each of its variables lies in a weights file

The weights of the thesis network are a short pattern over and over, so that 15 MB fit into a few kilobytes.
"""

# ruff: noqa: E402, I001  imports of version 0.6.2, of which the code of today knows nothing

import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, fields, replace
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

sys.path.insert(0, str(Path.cwd()))
DATA = Path(gettempdir()) / "groundplan-0.6.2" / "data"
os.environ |= {"GROUNDPLAN_DATA": str(DATA), "TF_CPP_MIN_LOG_LEVEL": "2"}

import pyogrio  # noqa: F401  before keras
import h5py
import numpy as np

from core import rasters
from core.about import About
from core.catalog import register, reviewed, take_in, uploads
from core.catalog.sample import make_sample_city
from core.catalog.store import read_catalog
from core.config import TrainingConfig
from core.jobs.folder import JobFolder
from core.jobs.resources import Resources
from core.jobs.store import Queue, State
from core.labels import Labels
from core.runs import Run
from core.scenes import Recipe
from core.settings import Settings, settings

AOI = "AOI_0_Sample"
TILES = tuple(f"{AOI}_img{n}" for n in range(1, 5))
SIDE = 128
WORKER = "worker of 0.6.2"
SMALL = TrainingConfig(
    network="unet", options={"width": 2}, epochs=2, batch=2, learning_rate=5e-3, schedule="cosine", augment=True,
    vary=True, weight_decay=0.05, average=0.9, best_by="f1", epoch_crops=256, precision="float32", name="Small U-Net",
    recipe=Recipe(border_px=0.0, gsd_m=0.3, crops="drawn", chip=32, step=16, bands=3),
)  # fmt: skip
THESIS = TrainingConfig(
    network="fcn", epochs=1, batch=16, precision="float32", name="Thesis",
    recipe=Recipe(size=64, chip=32, step=32, scaling="thesis"),
)  # fmt: skip


def main(out: Path) -> None:
    shutil.rmtree(DATA.parent, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copytree("models/weights/starter", DATA / "runs" / "starter")
    make_tiles()
    make_runs()
    make_predictions()
    make_uploads()
    make_queue()
    pack(out / "data.tar.xz")  # before the pages below submit jobs
    write_json(out / "commands.json", dict(commands()))
    write_json(out / "addresses.json", addresses())
    with lzma.open(out / "networks.json.xz", "wt") as file:
        json.dump(list(layouts()), file)
    write_expected(out)


def write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", "utf-8")


# The data folder


def make_tiles() -> None:
    """Four adjoining tiles of the synthetic city, one of them with moved labels, and a tile that is only listed."""
    make_sample_city(settings().sample, seed=12, tiles=(2, 2), size=SIDE)
    register.register_sample()
    register.move_labels(TILES[3], 0.3, -0.3)
    square = {"type": "Polygon", "coordinates": [[[0.1, 0.1], [0.101, 0.1], [0.101, 0.101], [0.1, 0.101], [0.1, 0.1]]]}
    location = {"location": "RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_img9.tif"}
    feature = {"type": "Feature", "properties": location, "geometry": square}
    register.register_index(json.dumps({"type": "FeatureCollection", "features": [feature]}).encode())


def make_runs() -> None:
    from core.ensembles import combine

    from core.training import train

    tiles = read_catalog().named(TILES)
    unet = train(tiles, SMALL, settings().runs / "unet")
    About("Old town", ("sample", "small"), "Two epochs.", archived=False).write(unet)
    config = replace(SMALL, network="distance", epochs=1, name="Yuan")
    distance = train(tiles, config, settings().runs / "distance")
    for file in distance.path.glob("checkpoint-*"):
        file.unlink()
    combine([unet, distance], settings().runs / "ensemble")
    thesis = train(tiles, THESIS, settings().runs / "fcn")
    put_pattern(thesis)
    About("Thesis", (), "", archived=True).write(thesis)


def put_pattern(run: Run) -> None:
    """Give the thesis network kernels of 61 numbers over and over, and no checkpoint.

    They are scaled so that the probabilities of uint16 pixels lie between 0.1 and 0.9.
    """
    from core.engine import load_network

    model = load_network(run)
    pattern = np.random.default_rng(3).normal(0.3, 1, 61)
    kernels = [np.resize(pattern, value.shape) if value.ndim > 1 else 0 * value for value in model.get_weights()]
    for value in kernels[:-2:2]:
        value *= 2 / np.prod(value.shape[:3]) ** 0.75
    kernels[0] *= 100
    kernels[-2] *= 0.02 / (4 * kernels[-2].shape[3]) ** 0.75
    model.set_weights(kernels)
    run.put_weights(model, 1)
    for file in run.path.glob("checkpoint-*"):
        file.unlink()


def make_predictions() -> None:
    """The starter's of the first tile, with decisions, and labels made of them."""
    from core.predicted import find
    from core.prediction import predict_tile, prediction_folder

    from core.review import Review

    run, tile = Run(settings().runs / "starter"), read_catalog().tile(TILES[0])
    folder = prediction_folder(run, tile.id)
    predict_tile(run, tile, folder)
    (folder / "footprints.gpkg").unlink()  # a hundred kilobytes that nothing reads
    prediction = find(run.name, tile.id)
    footprints = prediction.footprints()
    review = Review().deciding(footprints, [0, 1], "accepted").deciding(footprints, [2], "rejected")
    review.noting(0, "Has a new wing", 0.6, -0.3).write(folder)
    reviewed.as_labels(find(run.name, tile.id))


def make_uploads() -> None:
    """One image on the map, one that waits for its job, one in the inbox."""
    tile = read_catalog().tile(TILES[1])
    image, (rows, columns) = rasters.read(tile.image), np.nonzero(Labels.of_tile(tile).mask)
    row, column = (min(int(np.median(places)), SIDE - 24) - 24 for places in (rows, columns))
    row, column = max(row, 0), max(column, 0)
    pixels, grid = image.pixels[:, row : row + 48, column : column + 48], image.grid.window(column, row, 48, 48)
    with TemporaryDirectory() as scratch:
        harbor = rasters.write(Path(scratch) / "harbor.tif", rasters.Raster(pixels, grid))
        take_in.take_in(harbor, tile.footprints, None, "Harbor", "© A survey")
        uploads.receive(BytesIO(harbor.read_bytes()), "quay.tif")
    settings().inbox.mkdir()
    rasters.write(settings().inbox / "pier.tif", rasters.Raster(pixels, grid))


def make_queue() -> None:
    """Jobs of every task, in every state; those that are queued stand last."""
    from core.exports.jobs import submit_export
    from core.jobs.store import HIGH
    from core.tuning import tuning_of

    from core import ensembles, predict_area, sweeps, training_jobs
    from core.jobs.worker import work

    queue, starter, unet = Queue(settings().queue), Run(settings().runs / "starter"), Run(settings().runs / "unet")
    waiting = next(upload.id for upload in uploads.uploads() if not upload.image.exists())
    area = {"tiles": list(TILES[:2]), "shaping": asdict(tuning_of(starter).shaping)}

    def over(state: State, error: str | None = None) -> None:
        job = queue.claim(WORKER)
        assert job
        JobFolder.of(job.id).prepare(job)
        queue.finish(job.id, WORKER, state, error)

    # These two a worker has run.
    wanted = {"what": "footprints", "run": "starter", "tiles": [TILES[0]], "kind": "raw", "file": f"{AOI}.geojson"}
    submit_export("footprints", {key: wanted[key] for key in ("run", "tiles", "kind", "file")}, "Footprints", queue)
    work(queue, once=True)
    queue.submit("predict", {"run": "starter", "tile": "gone"}, "Predict gone", HIGH)
    work(queue, once=True)
    # These are as if.
    queue.submit("sample", {}, "Sample city")
    over(State.DONE)
    queue.submit("fetch", {"aoi": "AOI_9_Nowhere", "numbers": [1], "products": []}, "Get 1 tile of Nowhere")
    over(State.FAILED, "There is no area AOI_9_Nowhere.")
    queue.submit("upload", {"inbox": "gone.tif"}, "Take in gone.tif")
    over(State.FAILED, "gone.tif does not lie in the inbox.")
    training_jobs.submit_training(queue, TILES, SMALL, "Stopped", Resources(gpus=1, nodes=2))
    over(State.STOPPED)
    ensembles.submit_combination([starter, unet], queue)
    over(State.DONE)
    predict_area.submit_area(unet, read_catalog().named(TILES), queue, gpus=1)
    over(State.STOPPED)
    # This one was running when the machine went away.
    killed = replace(SMALL, network="distance", epochs=4, refit=0.5, name="Killed")
    job = training_jobs.submit_training(queue, TILES, killed, "Killed")
    queue.claim(WORKER)
    JobFolder.of(job.id).prepare(queue.get(job.id))
    (DATA / "runs" / job.params["run"]).parent.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, __file__, "--killed", json.dumps(job.params)], check=False)
    assert done.returncode == -signal.SIGKILL, done
    # These wait, in this order.
    queue.submit("sample", {}, "Sample city", HIGH)
    queue.submit("fetch", {"aoi": "AOI_2_Vegas", "numbers": [9], "products": ["PS-RGB"]}, "Get 1 tile", HIGH)
    queue.submit("upload", {"upload": waiting}, "Add quay", HIGH)
    queue.submit("upload", {"inbox": "pier.tif"}, "Take in pier.tif", HIGH)
    ensembles.submit_combination([unet, Run(settings().runs / "distance")], queue)
    queue.submit("predict", {"run": "starter", "tile": TILES[1], "turned": True}, f"Predict {TILES[1]}", HIGH)
    exports = {
        "footprints": {"run": "starter", **area, "tiles": [TILES[0]], "kind": "square", "file": f"{AOI}.gpkg"},
        "report": {"run": "starter", **area, "tiles": [TILES[0]], "file": f"{AOI}-report.html"},
        "rasters": {
            "run": "starter", "tiles": [TILES[0]], "layers": ["mask", "probability"], "file": f"{AOI}-rasters.zip"
        },
        "set": {"run": "starter", "tiles": [*TILES], "kind": "coco", "chip": 0, "file": f"{AOI}-coco.zip"},
    }  # fmt: skip
    for what, params in exports.items():
        submit_export(what, params, what, queue)
    training_jobs.submit_training(queue, TILES, replace(SMALL, network="distance", epochs=1, name="New"), "New")
    training_jobs.submit_more_epochs(Run(settings().runs / "distance"), 1, queue)
    queue.submit("predict_tiles", {"run": "starter", "tiles": [*TILES[:3]]}, "Predict 3 tiles", -1)
    sweep = sweeps.Sweep.parse("rates", TILES, SMALL, ["0.001", "0.003"], ["unet"], ["0"])
    for job in sweeps.submit(sweep, queue)[1:]:
        queue.request_stop(job.id)


def be_killed(params: dict[str, Any]) -> None:
    """Train until the second step of the fourth epoch, which the run learns in a refit."""
    from core.training import train_task

    metrics = settings().runs / params["run"] / "metrics.jsonl"

    def report(_share: float, doing: str) -> None:
        if metrics.is_file() and len(metrics.read_text().splitlines()) == 3 and "batch 2" in doing:
            os.kill(os.getpid(), signal.SIGKILL)

    train_task(params, report)


# What it answers


def run_command(*arguments: object) -> str:
    """What a command prints."""
    from core import cli

    sys.argv = ["core", *map(str, arguments)]
    status: Any = None
    with redirect_stdout(StringIO()) as printed:
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
    assert not status, arguments
    return printed.getvalue()


def write_expected(out: Path) -> None:
    runs, tile = settings().runs, read_catalog().tile(TILES[1])
    flags = {
        "starter": (), "unet": ("--threshold", 0.4), "ensemble": ("--threshold", 0.35), "fcn": ("--threshold", 0.4),
        "starter low": ("--threshold", 0.3), "starter apart": ("--seed", 1.1), "starter whole": ("--seed", 0),
        "starter large": ("--min-area", 60), "starter square": ("--square",), "starter judged": ("--judge",),
        "starter turned": ("--tta",),
    }  # fmt: skip
    arrays, counts = {}, {}
    with TemporaryDirectory() as scratch:
        for name, options in flags.items():
            footprints, probability = Path(scratch) / f"{name}.geojson", Path(scratch) / f"{name}.tif"
            place = ("--run", runs / name.split()[0], "--image", tile.image, "--out", footprints)
            run_command("predict", *place, "--engine", "keras", "--probability", probability, *options)
            features = json.loads(footprints.read_bytes())["features"]
            vertices = sum(len(ring) for feature in features for ring in feature["geometry"]["coordinates"])
            counts[name] = {"options": list(map(str, options)), "footprints": len(features), "vertices": vertices}
            if name == name.split()[0]:
                band = rasters.read(probability).pixels[0, ::2, ::2]
                arrays[name] = np.round(band * 65535).astype(np.uint16)
    np.savez_compressed(out / "expected.npz", **arrays)
    scored = json.loads((settings().predictions / "starter" / TILES[0] / "score.json").read_bytes())
    names = [f"GROUNDPLAN_{field.name.upper()}" for field in fields(Settings)]
    tiles = {row.id: [row.buildings, len(row.products), row.name, list(row.offset_m)] for row in read_catalog().tiles}
    exported = {}
    for which in ("raw", "square", "accepted"):
        out_file = DATA / f"{which}.geojson"
        run_command("export", "footprints", "starter", "--out", out_file, "--tiles", TILES[0], "--which", which)
        features = json.loads(out_file.read_bytes())["features"]
        exported[which] = [len(features), sum(len(row["geometry"]["coordinates"][0]) for row in features)]
    listed = json.loads(run_command("catalog", "list", "--json"))
    labels = read_catalog().tile(TILES[0]).footprints
    predicted = settings().predictions / "starter" / TILES[0] / "footprints.geojson"
    printed = json.loads(run_command("score", "--truth", labels, "--proposals", predicted, "--json"))
    everything = {
        "data": str(DATA), "environment": names, "tiles": tiles, "predict": counts, "score": scored,
        "exported": exported, "listed keys": sorted({key for row in listed for key in row}), "printed score": printed,
    }  # fmt: skip
    write_json(out / "expected.json", everything)


#: The words that an option takes, where it takes only some.
WORDS: dict[str, tuple[str, ...]] = {
    "train --network": ("unet", "fcn", "distance", "unet-efficientnetlite0"),
    "train --preset": ("quick", "good", "best"),
    "train --option": ("width=24",),
    "train --schedule": ("constant", "cosine"),
    "train --precision": ("auto", "float32", "bfloat16", "float16"),
    "train --scaling": ("percentile", "thesis"),
    "sweep --rates": ("0.001,0.003",),
    "sweep --networks": ("unet,fcn",),
    "sweep --seeds": ("0,1",),
    "fetch --aoi": ("AOI_1_RIO", "AOI_2_Vegas", "AOI_3_Paris", "AOI_4_Shanghai", "AOI_5_Khartoum"),
    "fetch --tiles": ("1-20,225",),
    "fetch --products": ("PS-RGB,MS",),
    "predict --engine": ("auto", "keras", "openvino", "openvino-bf16"),
    "predict --format": ("geojson", "gpkg", "fgb", "shp", "parquet", "csv"),
    "score --rule": ("topcoder", "solaris", "utilities"),
    "catalog add --crs": ("EPSG:32611",),
    "catalog add --edges": ("0,0,1,1",),
    "export set --format": ("coco", "voc", "yolo", "yolo-segments", "sbd", "tfrecord"),
    "export footprints --which": ("raw", "square", "accepted"),
    "export footprints --format": ("geojson", "gpkg", "fgb", "shp", "parquet", "csv"),
    "export rasters --layers": ("mask,distance,probability,predicted",),
}


def commands() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Every parameter of every command, with words that it takes and what they are parsed to."""
    from typer.main import get_command

    from core.cli import app

    def leaves(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from leaves(command, *path, name)
            else:
                yield (*path, name), command

    for path, command in leaves(get_command(app)):
        required = [parameter for parameter in command.params if parameter.required]
        rows = []
        for parameter in command.params:
            beside = [other for other in required if other is not parameter]
            options = [*parameter.opts, *parameter.secondary_opts]
            values = WORDS.get(f"{' '.join(path)} {options[0]}", ())
            typed, value = example(command, parameter, beside, values)
            rows.append(
                {
                    "kind": parameter.param_type_name, "options": options, "words": values,
                    "flag": bool(getattr(parameter, "is_flag", False)), "required": bool(parameter.required),
                    "multiple": bool(getattr(parameter, "multiple", False) or parameter.nargs == -1),
                    "default": plain(parameter.default), "example": typed, "parsed": value,
                }
            )  # fmt: skip
        yield " ".join(path), rows


def example(command: Any, parameter: Any, beside: list[Any], choices: tuple[str, ...]) -> tuple[list[str], Any]:
    """Words for a parameter, after which the command can be parsed, and the value they become."""
    for value in choices or ("3", "0.5"):
        typed = words_for(parameter, value)
        required = [word for other in beside for word in words_for(other, "3")]
        try:
            context = command.make_context("command", [*required, *typed])
        except Exception:  # noqa: BLE001  another value may fit
            continue
        return typed, plain(context.params[parameter.name])
    raise ValueError(parameter.name)


def words_for(parameter: Any, value: str) -> list[str]:
    if parameter.param_type_name == "argument":
        return [value]
    return [parameter.opts[0]] if parameter.is_flag else [parameter.opts[0], value]


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


# Addresses

#: What the pages of 0.6.2 read from the address: app/state.py, components/demo_steps.py and runs_table.py.
BOOKMARKS: tuple[tuple[str, dict[str, str]], ...] = (
    ("explore", {"tile": TILES[2]}),
    ("explore", {"aoi": "AOI_2_Vegas"}),
    ("explore", {"aoi": AOI, "tile": TILES[1], "bands": "7-5-3"}),
    ("labels", {"aoi": AOI, "tile": TILES[3]}),
    ("predict", {"aoi": AOI, "tile": TILES[0], "run": "starter"}),
    ("predict", {"aoi": AOI, "tile": TILES[1], "run": "unet"}),
    ("compare", {"baseline": "unet"}),
    ("demo", {"demo": "3"}),
    ("demo", {"demo": "5", "tile": TILES[0]}),
    ("train", {"aoi": AOI, "tile": TILES[1]}),
    ("get_tiles", {"aoi": AOI, "tile": TILES[1]}),
    ("upload", {"aoi": AOI, "tile": TILES[1]}),
)
#: What the map of 0.6.2 asks for: app/routes.py.
ROUTES = (
    "/assets/groundplan/map.js", "/assets/leaflet/leaflet.js", "/assets/jquery/jquery.min.js",
    "/layers/tiles.geojson", f"/tiles/{TILES[0]}/18/131072/131071.webp", f"/tiles/{TILES[0]}/18/131072/131071.webp?v=1",
    f"/tiles/{TILES[0]}/18/131072/131071.webp?bands=7,5,3",
    f"/files/{TILES[0]}/RGB-PanSharpen", f"/files/{TILES[0]}/MUL", f"/files/{TILES[0]}/labels",
    f"/layers/tiles/{TILES[0]}/outlines.geojson",
    *(
        f"/layers/tiles/{TILES[0]}/{layer}"
        for layer in (
            "image", "outlines", "mask", "distance", "boundary", "contact", "thumbnail", "mask?pixels=1",
            "image?pixels=1",
        )
    ),
    *(
        f"/layers/predictions/starter/{TILES[0]}/{layer}"
        for layer in ("probability", "depth", "outlines", "accepted.geojson")
    ),
    *(
        f"/layers/predictions/starter/{TILES[0]}/verdicts.geojson?{query}"
        for query in (
            "", "only=errors", "t=0.3", "seed=0", "seed=1.1", "area=60", "simplify=3", "square=1", "judged=1",
            "judged=0",
            "t=0.4&seed=1.5&area=10&simplify=1&square=1&judged=1&only=errors", "t=7&seed=x",
        )
    ),
    f"/layers/changes/starter/starter/{TILES[0]}/changes.geojson",
)  # fmt: skip


def addresses() -> dict[str, Any]:
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from app.routes import ROUTES as SERVED

    client = TestClient(Starlette(routes=SERVED))
    routes = []
    for url in ROUTES:
        answer = client.get(url)
        row = {"url": url, "status": answer.status_code, "type": answer.headers["content-type"].split(";")[0]}
        if row["type"] == "application/geo+json":
            features = answer.json()["features"]
            keys = {key for feature in features for key in feature["properties"]}
            row |= {"features": len(features), "keys": sorted(keys)}
            row |= {"verdicts": dict(Counter(feature["properties"].get("verdict", "") for feature in features))}
        routes.append(row)
    return {"bookmarks": [bookmark(page, query) for page, query in BOOKMARKS], "routes": routes}


def bookmark(page: str, query: dict[str, str]) -> dict[str, Any]:
    """A page opened by an address, and what it then shows."""
    from streamlit.testing.v1 import AppTest

    test = AppTest.from_file(str(Path("streamlit_app.py").absolute()), default_timeout=120)
    for key, value in query.items():
        test.query_params[key] = value
    if page != "explore":
        test.switch_page(f"app/pages/{page}.py")
    test.run()
    assert not test.exception, (page, query, test.exception)
    return {
        "page": page, "query": query, "address": dict(test.query_params),
        "boxes": [plain(box.value) for box in test.selectbox],
        "progress": [bar.proto.value for bar in test.get("progress")],
    }  # fmt: skip


# Weights


def layouts() -> Iterator[dict[str, Any]]:
    """Of every network: its options, and path, shape, type and place among the variables of each array in its file."""
    from models.registry import NETWORKS, build

    options: dict[str, list[dict[str, Any]]] = {
        "unet": [{}, {"width": 2, "copies": 2}], "distance": [{"width": 2}], "fcn": [{}, {"batch_norm": True}],
        "ensemble": [{"members": "unet:width=2+distance:width=2+fcn"}],
    }  # fmt: skip
    for name in NETWORKS:
        for chosen in options.get(name, [{"imagenet": False}]):
            model = build(name, 4, **chosen)
            for n, variable in enumerate(model.variables):
                variable.assign(np.full(variable.shape, n, variable.dtype))
            with TemporaryDirectory() as scratch:
                file = Path(scratch) / "model.weights.h5"
                model.save_weights(file)
                yield {"network": name, "options": chosen, "bands": 4, "arrays": arrays_of(file)}


def arrays_of(file: Path) -> list[list[Any]]:
    rows: list[list[Any]] = []
    with h5py.File(file) as opened:

        def visit(path: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                rows.append([path, list(item.shape), str(item.dtype), int(np.ravel(item[()])[0])])

        opened.visititems(visit)
    return rows


def pack(out: Path) -> None:
    """The data folder without what the repository has, what nothing reads, and what is only a cache."""
    left_out = ("data/runs/starter", "/scenes", "/film/shown", "/events.out", ".lock")

    def chosen(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return None if any(name in member.name for name in left_out) else member

    with tarfile.open(out, "w:xz", preset=9) as archive:
        archive.add(DATA, "data", filter=chosen)


if __name__ == "__main__":
    if 'version = "0.6.2"' not in Path("pyproject.toml").read_text("utf-8"):
        sys.exit("Run this in a checkout of version 0.6.2.")
    if sys.argv[1] == "--killed":
        be_killed(json.loads(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
