"""Tasks that bring data in: the synthetic city, downloads from SpaceNet, uploads."""

from collections.abc import Mapping
from typing import Any

from core.catalog.register import register
from core.catalog.scan import Found
from core.progress import Finish, Report, never, silent
from core.runs.run import trained_gsd
from core.settings import settings
from core.spacenet.download import fetch_tiles
from core.spacenet.selection import Request
from core.synthetic_city import make_sample_city
from core.uploads.inbox import waiting
from core.uploads.ingest import add, take_in


def fetch_task(params: Mapping[str, Any], report: Report, _finish: Finish = never) -> None:
    """The job: {"aoi": name, "numbers": [...], "products": [...]}; what is missing is in its log."""
    found = fetch_tiles(Request.from_params(params), report)
    print(*found.problems, found.summary(), sep="\n")


#: Share of the progress that making the sample city takes; the rest is reading it.
_MAKING = 0.85


def register_sample(seed: int | None = None, report: Report = silent) -> Found:
    """Makes the sample city where it is not there yet, or anew where a seed is given, and adds it."""
    folder = settings().sample
    if seed is not None or not folder.exists():
        make_sample_city(folder, seed or 0, report=lambda share, doing: report(_MAKING * share, doing))
    return register(folder, report=lambda share, doing: report(_MAKING + (1 - _MAKING) * share, doing))


def sample_task(_params: Mapping[str, Any], report: Report, _finish: Finish = never) -> None:
    """The job behind the button on an empty page."""
    register_sample(report=report)


def upload_task(params: Mapping[str, Any], report: Report, _finish: Finish = never) -> None:
    """The job behind "Add to the map" (params: upload, an id) and "Take in" (params: inbox, the name of a file)."""
    if "inbox" in params:
        take_in(waiting(params["inbox"]).path, report=report, trained_gsd=trained_gsd(settings().runs))
    else:
        add(params["upload"], report)
