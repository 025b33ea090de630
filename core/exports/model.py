"""A run's network for other programs: SavedModel, LiteRT, ONNX for QGIS, with a model card and a STAC item.

SavedModel and LiteRT take an image's own values, the ONNX file what the QGIS plugin Deepness makes of 8-bit layers; all
of them say the same as the network here.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from core.atomic_files import new_folder
from core.catalog.tile import Tile
from core.exports.model_card import model_card, stac_item
from core.inference.engine import load_network
from core.postprocessing.thresholds import tuning_of
from core.progress import Report, silent
from core.runs.run import Run
from core.runtime.keras_backend import silent_stderr
from models.registry import NETWORKS

if TYPE_CHECKING:
    import keras

#: Rows and columns that files of one size take.
SIDE = 512
#: What a byte's largest value stands for: Deepness divides by it.
FULL = 255.0
#: Share of a window, in percent, by which Deepness lets its neighbours overlap: the halo on both sides, and more.
_OVERLAP = 25


def export_network(run: Run, folder: Path, tiles: Sequence[Tile] = (), report: Report = silent) -> Path:
    """Writes model.onnx, model.tflite, saved_model/, README.md and item.json into a new folder.

    `tiles` are those it was trained on, as far as they are known: their ground goes into the STAC item. A failed export
    leaves nothing behind. Raises CannotWrite where the folder is there already, DiskFull, DamagedRun.
    """
    steps: Mapping[str, Callable[[Run, Path], None]] = {
        "model.onnx": put_onnx, "model.tflite": put_litert, "saved_model": put_saved_model,
    }  # fmt: skip
    with new_folder(folder) as part:
        for n, (name, put) in enumerate(steps.items()):
            report(n / len(steps), f"writing {name}")
            put(run, part / name)
        (part / "README.md").write_text(model_card(run), "utf-8")
        (part / "item.json").write_bytes(orjson.dumps(stac_item(run, part, tiles), option=orjson.OPT_INDENT_2))
    return folder


def put_saved_model(run: Run, path: Path) -> None:
    """(n, rows, columns, bands) of any size, in the image's own values, to (n, rows, columns, 1 or 2)."""
    network = _of_pixels(run, None)
    with _quiet():
        network.export(path, format="tf_saved_model", verbose=False)


def put_litert(run: Run, path: Path) -> None:
    """(1, SIDE, SIDE, bands) in the image's own values to (1, SIDE, SIDE, 1 or 2)."""
    network = _of_pixels(run, SIDE)
    with _quiet():
        network.export(path, format="litert", verbose=False)


def put_onnx(run: Run, path: Path) -> None:
    """(1, bands, SIDE, SIDE) as `deepness` says, to (1, 1, SIDE, SIDE), the probability."""
    import onnx

    network = _planes(run)
    with _quiet():
        network.export(path, format="onnx", verbose=False)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {name: str(value) for name, value in deepness(run).items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def deepness(run: Run) -> dict[str, Any]:
    """The metadata that the QGIS plugin Deepness reads: how to cut, scale and show.

    It divides 8-bit layers by 255, takes the mean off and divides by the deviation, so these two are the run's scale.
    """
    scaling, tuning = run.record.scaling, tuning_of(run)
    ends = list(zip(scaling.low, scaling.high, strict=True))
    metres = run.record.gsd_m
    smallest = tuning.shaping.min_area_m2 / (metres[0] * metres[1])
    return {
        "model_type": "Segmentor",
        "class_names": orjson.dumps({"0": "not building", "1": "building"}).decode(),
        "resolution": round(100 * sum(metres) / 2, 3),
        "tiles_size": SIDE,
        "tiles_overlap": _OVERLAP,
        "standardization_mean": [low / FULL for low, _ in ends],
        "standardization_std": [(high - low if high > low else 1.0) / FULL for low, high in ends],
        "seg_thresh": tuning.shaping.threshold,
        "seg_small_segment": max(1, round(smallest**0.5)),
    }


def _of_pixels(run: Run, side: int | None) -> "keras.Model":
    network, told = load_network(run), _told(run)  # wakes Keras, which imported first would say so
    import keras

    from models.layers import Scaled

    record = run.record
    pixels = keras.Input((side, side, record.bands), batch_size=1 if side else None, name="pixels")
    scaled = Scaled(record.scaling.low, record.scaling.high, dtype="float32")(pixels)
    return _called(keras.Model(pixels, told(network(scaled)), name="groundplan"))


def _planes(run: Run) -> "keras.Model":
    """Channels first, scaled already, the probability alone."""
    network, told = load_network(run), _told(run)
    import keras

    scaled = keras.Input((run.record.bands, SIDE, SIDE), batch_size=1, name="input")
    said = told(network(keras.layers.Permute((2, 3, 1))(scaled)))
    return _called(keras.Model(scaled, keras.layers.Permute((3, 1, 2))(said[..., :1]), name="groundplan"))


@contextmanager
def _quiet() -> Iterator[None]:
    """The converters look for names that NumPy no longer has, and say so."""
    with warnings.catch_warnings(), silent_stderr():
        warnings.simplefilter("ignore")
        yield


def _called(network: "keras.Model") -> "keras.Model":
    """Keras exports nothing that never computed anything."""
    shape = [side or SIDE for side in network.inputs[0].shape]
    network(np.zeros([1, *shape[1:]], np.float32))
    return network


def _told(run: Run) -> "keras.Layer":
    from models.layers import Told

    return Told(NETWORKS[run.config.network].heads, dtype="float32")
