"""What a network is, for people (a model card) and for catalogues (a STAC item with the extension MLM)."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import shapely

from core.catalog.tile import Tile
from core.postprocessing.thresholds import tuning_of
from core.runs.run import Run
from models.registry import NETWORKS

_MLM = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
_FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
_BANDS = ("red", "green", "blue", "nir2")
#: Of each file: media type, how it was made, what it is.
_ASSETS = {
    "model.onnx": ("application/octet-stream; framework=onnx", "onnx", "ONNX for QGIS (Deepness), channels first"),
    "model.tflite": ("application/octet-stream; framework=tflite", "tflite", "LiteRT"),
    "saved_model/saved_model.pb": ("application/octet-stream; framework=tensorflow", "tf.keras.Model.export",
                                   "TensorFlow SavedModel"),
}  # fmt: skip


def model_card(run: Run) -> str:
    """Mitchell et al.: Model cards for model reporting (FAT* 2019), as short as it can be; Markdown."""
    record, tuning = run.record, tuning_of(run)
    scored = "not scored" if tuning.f1 is None else f"F1 {tuning.f1:.3f} at IoU 0.5 (TopCoder rule)"
    since = " The network has learned from that ground since." if run.refitted else ""
    where = ", ".join(record.validation_tiles) or "nothing"
    across, down = record.gsd_m
    return f"""# {record.config.name or run.name}

Building footprints from pictures from above; `{record.config.network}`, {record.parameters:,} parameters, trained with
Groundplan on {record.created[:10]}.

| | |
|---|---|
| input | {record.bands} bands ({", ".join(_BANDS[: record.bands])}), {across:.3g} × {down:.3g} m a pixel |
| output | probability of "building"{_second(run)} |
| began with | {record.pretrained or "random weights"} |
| trained on | {len(record.train_tiles)} tiles: {_some(record.train_tiles)} |
| validated on | {where} |
| score there | {scored}, with thresholds found on the same tiles.{since} |
| thresholds | building from {tuning.shaping.threshold:g}, smallest {tuning.shaping.min_area_m2:g} m² |
| device | {record.device} |
| packages | {", ".join(f"{name} {version}" for name, version in record.versions.items())} |
| seed | {record.config.seed} |

**Limits.** It knows the ground it was trained on. Elsewhere, at another resolution or season, look at what it finds
before anything depends on it. Pixels and labels of the tiles have licences of their own, which bind what is made of
them.
"""


def stac_item(run: Run, folder: Path, tiles: Sequence[Tile] = ()) -> dict[str, Any]:
    """The item of a network whose files lie in a folder; without tiles it has no place."""
    record = run.record
    ground = shapely.union_all([tile.footprint for tile in tiles]) if tiles else None
    place = (
        {"geometry": shapely.geometry.mapping(ground), "bbox": list(ground.bounds)} if ground else {"geometry": None}
    )
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [_MLM, _FILE], "id": run.name, **place,
        "properties": {"datetime": record.created, **_properties(run)},
        "links": [], "assets": {name: _asset(folder / name, name) for name in _ASSETS if (folder / name).is_file()},
    }  # fmt: skip


def _properties(run: Run) -> dict[str, Any]:
    record, network = run.record, NETWORKS[run.config.network]
    scaling = [
        {"type": "min-max", "minimum": low, "maximum": high}
        for low, high in zip(record.scaling.low, record.scaling.high, strict=True)
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
                "name": "pixels in the image's own values", "bands": list(_BANDS[: record.bands]),
                "input": {"shape": [-1, -1, -1, record.bands], **shape}, "value_scaling": scaling,
            }
        ],
        "mlm:output": [
            {
                "name": f"probability{_second(run)}", "tasks": ["semantic-segmentation"],
                "result": {"shape": [-1, -1, -1, network.layers], **shape},
                "classification:classes": [
                    {"value": 0, "name": "background", "description": "no building"},
                    {"value": 1, "name": "building", "description": "a building, seen from above"},
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


def _second(run: Run) -> str:
    return ", and metres to the nearest wall" if NETWORKS[run.config.network].tells_distance else ""


def _some(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
