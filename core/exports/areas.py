"""The footprints of a run over several tiles, in one file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd

from core.catalog.tile import Tile
from core.errors import InvalidSetting, NothingPredicted
from core.exports.footprints import Origin, check_format, write_footprints, write_spacenet
from core.grids import LONLAT
from core.predicted import Predicted, predicted
from core.progress import Report, silent
from core.rasters import describe
from core.runs import Run
from core.vectors import Footprints

#: Which footprints may be taken home.
KINDS: Mapping[str, Callable[[Predicted], Footprints]] = {
    "raw": lambda one: one.footprints(),
    "square": lambda one: one.footprints(one.tuning.shaping.changed(square=True)),
    "accepted": lambda one: one.review.accepted,
}


def write_area(run: Run, tiles: Sequence[Tile], out: Path, kind: str = "raw", report: Report = silent) -> int:
    """Writes what the run has predicted of these tiles, each footprint with its tile; how many there are.

    Where two tiles share ground, a building may be there twice: once from each picture. Raises NothingPredicted,
    InvalidSetting, and what write_footprints raises.
    """
    check_format(out)
    if kind not in KINDS:
        raise InvalidSetting(setting="which footprints", value=kind, detail=f"they are {', '.join(KINDS)}")
    found = [one for one in (predicted(run.name, tile.id) for tile in tiles) if one.exists]
    if not found:
        raise NothingPredicted(run=run.name)
    if out.suffix.lower() == ".csv":
        return _write_csv(found, kind, out, report)
    frames = list(_frames(found, kind, report))
    together = gpd.GeoDataFrame(pd.concat(frames, ignore_index=True), crs=LONLAT)
    together["id"] = range(1, len(together) + 1)
    licences = "; ".join(dict.fromkeys(one.tile.attribution for one in found if one.tile.attribution))
    days = {describe(one.tile.image).taken for one in found}
    day = days.pop() if len(days) == 1 else ""
    write_footprints(Footprints(together), out, None, Origin("", run.name, run.config.network, day, licences))
    return len(together)


def _write_csv(found: Sequence[Predicted], kind: str, out: Path, report: Report) -> int:
    """SpaceNet's: pixels have a meaning within their own tile only."""
    parts = []
    for n, one in enumerate(found):
        report(n / len(found), one.tile.id)
        parts.append((KINDS[kind](one), describe(one.tile.image).grid, one.tile.id))
    write_spacenet(parts, out)
    return sum(len(footprints) for footprints, _, _ in parts)


def _frames(found: Sequence[Predicted], kind: str, report: Report) -> Iterator[gpd.GeoDataFrame]:
    for n, one in enumerate(found):
        report(n / len(found), one.tile.id)
        yield KINDS[kind](one).to_crs(LONLAT).frame.assign(image=one.tile.id)
