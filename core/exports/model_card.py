"""Model card (Mitchell et al. 2019) and STAC item with the MLM extension."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import shapely

from core.catalog.tile import Tile
from core.postprocessing.thresholds import load_thresholds
from core.runs.run import Run
from models.registry import NETWORKS

_MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
_FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
_BANDS = ("red", "green", "blue", "nir2")
#: Maximum number of training tiles listed by name.
_LISTED = 12
#: File name to media type, MLM artifact type and title.
_ASSETS = {
    "model.onnx": ("application/octet-stream; framework=onnx", "onnx", "ONNX for QGIS (Deepness), channels first"),
    "model.tflite": ("application/octet-stream; framework=tflite", "tflite", "LiteRT"),
    "saved_model/saved_model.pb": ("application/octet-stream; framework=tensorflow", "tf.keras.Model.export",
                                   "TensorFlow SavedModel"),
}  # fmt: skip


def model_card(run: Run) -> str:
    """Model card in Markdown, after Mitchell et al., Model Cards for Model Reporting (FAT* 2019)."""
    record, thresholds = run.record, load_thresholds(run)
    config = thresholds.vectorize
    scored = "not scored" if thresholds.f1 is None else f"F1 {thresholds.f1:.3f} at IoU 0.5 (TopCoder rule)"
    refit_note = " The model was then refitted on these tiles as well." if run.refitted else ""
    validation_tiles = ", ".join(record.validation_tiles) or "none"
    gsd_x, gsd_y = record.gsd_m
    unlisted = len(record.train_tiles) - _LISTED
    train_tiles = ", ".join(record.train_tiles[:_LISTED]) + (f" and {unlisted} more" if unlisted > 0 else "")
    return f"""# {record.config.name or run.name}

Building footprints from satellite imagery; `{record.config.network}`, {record.parameters:,} parameters, trained with
Groundplan on {record.created[:10]}.

| | |
|---|---|
| Input | {record.bands} bands ({", ".join(_BANDS[: record.bands])}), {gsd_x:.3g} × {gsd_y:.3g} m/pixel |
| Output | probability of "building"{_distance_output(run)} |
| Initial weights | {record.pretrained or "random"} |
| Training tiles | {len(record.train_tiles)}: {train_tiles} |
| Validation tiles | {validation_tiles} |
| Validation score | {scored}, thresholds tuned on the same tiles.{refit_note} |
| Post-processing | probability threshold {config.threshold:g}, minimum area {config.min_area_m2:g} m² |
| Device | {record.device} |
| Packages | {", ".join(f"{name} {version}" for name, version in record.versions.items())} |
| Random seed | {record.config.seed} |

**Limitations.** The model is fitted to the areas it was trained on. Check its predictions before using them for other
areas, resolutions or seasons. The licenses of the training images and labels also apply to derived data.
"""


def stac_item(run: Run, folder: Path, tiles: Sequence[Tile] = ()) -> dict[str, Any]:
    """Describe a model as a STAC item with the Machine Learning Model (MLM) extension.

    Args:
        run: The run.
        folder: Folder with the exported files.
        tiles: Training tiles, for the extent; without any it has no geometry.

    Returns:
        The item as plain values.
    """
    record = run.record
    extent = shapely.union_all([tile.footprint for tile in tiles]) if tiles else None
    geometry = (
        {"geometry": shapely.geometry.mapping(extent), "bbox": list(extent.bounds)} if extent else {"geometry": None}
    )
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [_MLM, _FILE], "id": run.name, **geometry,
        "properties": {"datetime": record.created, **_properties(run)},
        "links": [], "assets": {name: _asset(folder / name, name) for name in _ASSETS if (folder / name).is_file()},
    }  # fmt: skip


def _properties(run: Run) -> dict[str, Any]:
    record, network = run.record, NETWORKS[run.config.network]
    scaling = [
        {"type": "min-max", "minimum": low, "maximum": high}
        for low, high in zip(record.normalization.low, record.normalization.high, strict=True)
    ]
    shape = {"dim_order": ["batch", "height", "width", "bands"], "data_type": "float32"}
    return {
        "description": f"Building footprints, {network.title}", "mlm:name": record.config.name or run.name,
        "mlm:architecture": network.title, "mlm:tasks": ["semantic-segmentation", "instance-segmentation"],
        "mlm:framework": "TensorFlow", "mlm:framework_version": record.versions.get("tensorflow", ""),
        "mlm:total_parameters": record.parameters, "mlm:accelerator_constrained": False,
        "mlm:pretrained": bool(record.pretrained),
        **({"mlm:pretrained_source": record.pretrained} if record.pretrained else {}),
        "mlm:hyperparameters": {"seed": record.config.seed, "minutes": record.config.minutes},
        "mlm:input": [
            {
                "name": "pixel values as in the image", "bands": list(_BANDS[: record.bands]),
                "input": {"shape": [-1, -1, -1, record.bands], **shape}, "value_scaling": scaling,
            }
        ],
        "mlm:output": [
            {
                "name": f"probability{_distance_output(run)}", "tasks": ["semantic-segmentation"],
                "result": {"shape": [-1, -1, -1, network.prediction_layers], **shape},
                "classification:classes": [
                    {"value": 0, "name": "background", "description": "not a building"},
                    {"value": 1, "name": "building", "description": "building footprint"},
                ],
            }
        ],
    }  # fmt: skip


def _asset(path: Path, name: str) -> dict[str, Any]:
    kind, artifact, title = _ASSETS[name]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "href": f"./{name}", "type": kind, "title": title, "mlm:artifact_type": artifact,
        "roles": ["mlm:model", "data"], "file:checksum": f"1220{digest}", "file:size": path.stat().st_size,
    }  # fmt: skip


def _distance_output(run: Run) -> str:
    return ", and distance to the nearest building edge (m)" if NETWORKS[run.config.network].predicts_distance else ""
