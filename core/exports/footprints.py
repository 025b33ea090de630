"""The footprints of a run over several tiles, in one file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd

from core.catalog.tile import Tile
from core.errors import InvalidSetting, NothingPredicted
from core.geo.grid import LONLAT
from core.geo.raster import describe
from core.geo.vector import Footprints
from core.geo.vector_writers import Origin, check_format, suffix_of, write_footprints, write_spacenet
from core.inference.tile_prediction import Predicted, all_predicted
from core.postprocessing.config import Shaping
from core.postprocessing.thresholds import tuning_of
from core.progress import Report, silent
from core.review.decisions import Review
from core.runs.run import Run

#: Which footprints may be taken home.
KINDS: Mapping[str, Callable[[Predicted, Shaping], Footprints]] = {
    "raw": lambda one, shaping: one.footprints(shaping),
    "square": lambda one, shaping: one.footprints(shaping.changed(square=True)),
    "accepted": lambda one, _: Review.of(one.folder).accepted,
}


def write_area(
    run: Run, tiles: Sequence[Tile], out: Path, kind: str = "raw", report: Report = silent,
    shaping: Shaping | None = None,
) -> int:  # fmt: skip
    """Writes what the run has predicted of these tiles, each footprint with its tile; how many there are.

    They are shaped as the run was tuned where nothing else is said.

    Where two tiles share ground, a building may be there twice: once from each picture. Raises NothingPredicted,
    InvalidSetting, and what write_footprints raises.
    """
    check_format(out)
    if kind not in KINDS:
        raise InvalidSetting(setting="which footprints", value=kind, detail=f"they are {', '.join(KINDS)}")
    found = all_predicted(run, tiles)
    if not found:
        raise NothingPredicted(run=run.name)
    parts = _parts(found, KINDS[kind], shaping or tuning_of(run).shaping, report)
    if suffix_of(out) == ".csv":
        return _write_csv(parts, out)
    frames = [footprints.to_crs(LONLAT).frame.assign(image=one.tile.id) for one, footprints in parts]
    together = gpd.GeoDataFrame(pd.concat(frames, ignore_index=True), crs=LONLAT)
    together["id"] = range(1, len(together) + 1)
    licences = "; ".join(dict.fromkeys(one.tile.attribution for one in found if one.tile.attribution))
    days = {describe(one.tile.image).taken for one in found}
    day = days.pop() if len(days) == 1 else ""
    write_footprints(Footprints(together), out, None, Origin("", run.name, run.config.network, day, licences))
    return len(together)


def _parts(
    found: Sequence[Predicted], kind: Callable[[Predicted, Shaping], Footprints], shaping: Shaping, report: Report
) -> Iterator[tuple[Predicted, Footprints]]:
    for n, one in enumerate(found):
        report(n / len(found), one.tile.id)
        yield one, kind(one, shaping)


def _write_csv(parts: Iterable[tuple[Predicted, Footprints]], out: Path) -> int:
    """SpaceNet's: pixels have a meaning within their own tile only."""
    rows = [(footprints, describe(one.tile.image).grid, one.tile.id) for one, footprints in parts]
    write_spacenet(rows, out)
    return sum(len(footprints) for footprints, _, _ in rows)
