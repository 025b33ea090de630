"""Model export: SavedModel, LiteRT, ONNX for QGIS (Deepness), with a model card and a STAC item.

SavedModel and LiteRT take unscaled pixel values, the ONNX model the values that the QGIS plugin Deepness computes from
8-bit layers; all give the same output as the trained network.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from core.atomic_files import atomic_folder
from core.catalog.tile import Tile
from core.exports.model_card import model_card, stac_item
from core.inference.engine import load_network
from core.postprocessing.thresholds import load_thresholds
from core.progress import Report, silent
from core.runs.run import Run
from core.runtime.keras_backend import silent_stderr
from models.registry import NETWORKS

if TYPE_CHECKING:
    import keras

#: Input size of the ONNX and LiteRT models, in rows and columns [pixels].
SIDE = 512
#: Maximum of 8-bit values, by which Deepness divides.
FULL = 255.0
#: Overlap of neighboring tiles in Deepness, which covers the halo on both sides [% of the tile].
_OVERLAP = 25


def export_network(run: Run, folder: Path, tiles: Sequence[Tile] = (), report: Report = silent) -> Path:
    """Export a trained model to a new folder: ONNX, LiteRT, SavedModel, model card and STAC item.

    A failed export leaves nothing behind.

    Args:
        run: The run.
        folder: The new folder.
        tiles: Training tiles, as far as they are in the catalog, for the extent of the STAC item.
        report: Called with the progress.

    Returns:
        The folder.

    Raises:
        CannotWrite: The folder exists already or cannot be written.
        DiskFull: The disk is full.
        DamagedRun: The weights of the run cannot be read.
    """
    steps: Mapping[str, Callable[[Run, Path], None]] = {
        "model.onnx": save_onnx, "model.tflite": save_litert, "saved_model": save_saved_model,
    }  # fmt: skip
    with atomic_folder(folder) as temporary:
        for n, (name, save) in enumerate(steps.items()):
            report(n / len(steps), f"Writing {name}")
            save(run, temporary / name)
        (temporary / "README.md").write_text(model_card(run), "utf-8")
        (temporary / "item.json").write_bytes(
            orjson.dumps(stac_item(run, temporary, tiles), option=orjson.OPT_INDENT_2)
        )
    return folder


def save_saved_model(run: Run, path: Path) -> None:
    """Save a TensorFlow SavedModel: unscaled pixels (n, rows, cols, bands) of any size to (n, rows, cols, 1 or 2)."""
    network = _pixel_model(run, None)
    with _silenced():
        network.export(path, format="tf_saved_model", verbose=False)


def save_litert(run: Run, path: Path) -> None:
    """Save a LiteRT model: unscaled pixels (1, SIDE, SIDE, bands) to (1, SIDE, SIDE, 1 or 2)."""
    network = _pixel_model(run, SIDE)
    with _silenced():
        network.export(path, format="litert", verbose=False)


def save_onnx(run: Run, path: Path) -> None:
    """Save an ONNX model: pixels (1, bands, SIDE, SIDE), scaled by Deepness, to probability (1, 1, SIDE, SIDE)."""
    import onnx

    network = _onnx_model(run)
    with _silenced():
        network.export(path, format="onnx", verbose=False)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {name: str(value) for name, value in deepness_metadata(run).items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def deepness_metadata(run: Run) -> dict[str, Any]:
    """Metadata for the QGIS plugin Deepness: tiling, standardization and thresholds.

    Deepness divides 8-bit layers by 255, subtracts the mean and divides by the standard deviation; so the two encode
    the normalization of the run.
    """
    normalization, thresholds = run.record.normalization, load_thresholds(run)
    ranges = list(zip(normalization.low, normalization.high, strict=True))
    gsd = run.record.gsd_m
    min_area_px = thresholds.vectorize.min_area_m2 / (gsd[0] * gsd[1])
    return {
        "model_type": "Segmentor",
        "class_names": orjson.dumps({"0": "not building", "1": "building"}).decode(),
        "resolution": round(100 * sum(gsd) / 2, 3),
        "tiles_size": SIDE,
        "tiles_overlap": _OVERLAP,
        "standardization_mean": [low / FULL for low, _ in ranges],
        "standardization_std": [(high - low if high > low else 1.0) / FULL for low, high in ranges],
        "seg_thresh": thresholds.vectorize.threshold,
        "seg_small_segment": max(1, round(min_area_px**0.5)),
    }


def _pixel_model(run: Run, side: int | None) -> "keras.Model":
    network, decode = load_network(run), _decode_heads(run)  # initializes Keras silently, so before its import
    import keras

    from models.layers import PercentileNormalization

    record = run.record
    pixels = keras.Input((side, side, record.bands), batch_size=1 if side else None, name="pixels")
    scaled = PercentileNormalization(record.normalization.low, record.normalization.high, dtype="float32")(pixels)
    return _call_once(keras.Model(pixels, decode(network(scaled)), name="groundplan"))


def _onnx_model(run: Run) -> "keras.Model":
    """Model with channels first, scaled input, and the probability as its only output."""
    network, decode = load_network(run), _decode_heads(run)
    import keras

    scaled = keras.Input((run.record.bands, SIDE, SIDE), batch_size=1, name="input")
    outputs = decode(network(keras.layers.Permute((2, 3, 1))(scaled)))
    return _call_once(keras.Model(scaled, keras.layers.Permute((3, 1, 2))(outputs[..., :1]), name="groundplan"))


@contextmanager
def _silenced() -> Iterator[None]:
    """Suppress the warnings of the converters about names removed from NumPy."""
    with warnings.catch_warnings(), silent_stderr():
        warnings.simplefilter("ignore")
        yield


def _call_once(network: "keras.Model") -> "keras.Model":
    """Call the model once: Keras exports only models that have been called."""
    shape = [side or SIDE for side in network.inputs[0].shape]
    network(np.zeros([1, *shape[1:]], np.float32))
    return network


def _decode_heads(run: Run) -> "keras.Layer":
    from models.layers import DecodeHeads

    return DecodeHeads(NETWORKS[run.config.network].heads, dtype="float32")
