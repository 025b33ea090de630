"""Putting tiles into the catalogue: those of a folder, and the sample city when there is nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.catalog.sample import make_sample_city
from core.catalog.scan import Found, scan
from core.catalog.store import update_catalog
from core.progress import Report, silent
from core.settings import settings

#: Share of the progress that making the sample city takes; the rest is reading it.
_MAKING = 0.85


def register(folder: Path, attribution: str = "", report: Report = silent) -> Found:
    """Scans a folder and adds what it holds; files stay where they are. Raises what `scan` and writing raise."""
    found = scan(folder, attribution, report)
    update_catalog(lambda catalog: catalog.adding(found.tiles))
    return found


def register_sample(seed: int | None = None, report: Report = silent) -> Found:
    """Makes the sample city where it is not there yet, or anew where a seed is given, and adds it."""
    folder = settings().sample
    if seed is not None or not folder.exists():
        make_sample_city(folder, seed or 0, report=lambda share, doing: report(_MAKING * share, doing))
    return register(folder, report=lambda share, doing: report(_MAKING + (1 - _MAKING) * share, doing))


def sample_task(_params: Mapping[str, Any], report: Report) -> None:
    """The job behind the button on an empty page."""
    register_sample(report=report)
