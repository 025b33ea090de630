"""Stored names: the one table of fields whose names on disk differ from their names in the code.

Files, job parameters and headers keep the names that version 0.6.2 gave them, so that runs, queues and checkpoints
of earlier versions are read, and earlier versions read what this one writes.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

#: Class, then its fields with the keys they are stored under. Everything else is stored under its own name.
STORED_NAMES: Mapping[str, Mapping[str, str]] = {
    "VectorizeConfig": {"saddle_ratio": "seed", "regularize": "square", "rescore": "judged"},
    "DatasetConfig": {"normalization": "scaling", "background_share": "empty"},
    "TrainingConfig": {"dataset": "recipe", "strong_augmentation": "vary", "ema_momentum": "average"},
    "Record": {"normalization": "scaling", "buffer_tiles": "between_tiles"},
    "Thresholds": {
        "vectorize": "shaping", "samples": "examples", "rescore_cutoff": "least", "rescored_f1": "judged_f1",
    },
    "Bin": {"precision": "found"},
    "Job": {"losses": "stalls"},
    "Upload": {"georeference": "place"},
    "Process": {"started": "began"},
    "TrainerState": {"crops_seen": "seen"},
}  # fmt: skip


def stored_name(kind: type, name: str) -> str:
    """Return the name that a field of a dataclass is stored under."""
    return STORED_NAMES.get(kind.__name__, {}).get(name, name)


def to_stored(value: Any) -> Any:
    """Convert a dataclass, with everything inside it, to plain values under their stored names."""
    if is_dataclass(value) and not isinstance(value, type):
        return {stored_name(type(value), f.name): to_stored(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_stored(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_stored(item) for item in value]
    return value


def from_stored(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Rename stored keys to the fields of a dataclass; keys that are fields already stay. Raises TypeError."""
    names = {stored: name for name, stored in STORED_NAMES.get(kind.__name__, {}).items()}
    return {names.get(key, key): value for key, value in {**values}.items()}
