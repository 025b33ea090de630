"""Data tasks: the synthetic sample city, SpaceNet downloads, uploads."""

from collections.abc import Mapping
from typing import Any

from core.catalog.register import register
from core.catalog.scan import ScanResult
from core.progress import Report, StopRequested, never, silent
from core.runs.run import trained_gsd
from core.settings import settings
from core.spacenet.download import download_tiles
from core.spacenet.selection import TileSelection
from core.synthetic_city import make_sample_city
from core.uploads.inbox import inbox_file
from core.uploads.ingest import add, ingest


def fetch_task(params: Mapping[str, Any], report: Report, _finish: StopRequested = never) -> None:
    """Download SpaceNet tiles; problems with single tiles are in the log.

    Args:
        params: {"aoi": name, "numbers": [...], "products": [...]}.
        report: Called with the progress.
        _finish: Not used: complete files are kept in any case.
    """
    result = download_tiles(TileSelection.from_params(params), report)
    print(*result.problems, result.summary(), sep="\n")


#: Share of the progress for generating the sample city; the rest is for registering it.
_GENERATE_SHARE = 0.85


def register_sample(seed: int | None = None, report: Report = silent) -> ScanResult:
    """Register the sample city; generate it first if it does not exist or a seed is given."""
    folder = settings().sample
    if seed is not None or not folder.exists():
        make_sample_city(folder, seed or 0, report=lambda share, doing: report(_GENERATE_SHARE * share, doing))
    return register(folder, report=lambda share, doing: report(_GENERATE_SHARE + (1 - _GENERATE_SHARE) * share, doing))


def sample_task(_params: Mapping[str, Any], report: Report, _finish: StopRequested = never) -> None:
    """Create and register the synthetic sample city.

    Args:
        _params: Not used.
        report: Called with the progress.
        _finish: Not used.
    """
    register_sample(report=report)


def upload_task(params: Mapping[str, Any], report: Report, _finish: StopRequested = never) -> None:
    """Ingest an upload, or import a file of the server inbox.

    Args:
        params: {"upload": id} or {"inbox": name of a file}.
        report: Called with the progress.
        _finish: Not used.
    """
    if "inbox" in params:
        ingest(inbox_file(params["inbox"]).path, report=report, trained_gsd=trained_gsd(settings().runs))
    else:
        add(params["upload"], report)
