"""Reviewed labels: add a tile to the catalog once more, labeled with the accepted footprints, to train on."""

from dataclasses import replace

from core.catalog.scan import count_buildings
from core.catalog.store import update_catalog
from core.catalog.tile import Tile
from core.errors import NothingAccepted
from core.geo.raster import read_info
from core.geo.vector_writers import write_footprints
from core.inference.predict import provenance_of
from core.inference.tile_prediction import TilePrediction
from core.labels.labels import Labels
from core.review.decisions import Review
from core.settings import settings

#: Suffix of a reviewed tile's id.
REVIEWED_SUFFIX = "_reviewed"


def register_accepted(prediction: TilePrediction) -> Tile:
    """Add the tile of a prediction with its accepted footprints as labels, replacing an earlier such tile.

    The new tile has the same extent as the original, so the spatial split never separates the two. Raises
    NothingAccepted, NoImage, CannotWrite, DiskFull.
    """
    accepted, tile = Review.of(prediction.folder).accepted, prediction.tile
    if not len(accepted):
        raise NothingAccepted(tile=tile.id)
    info = read_info(tile.image)
    path = settings().data / "reviewed" / f"{tile.id}.geojson"
    write_footprints(accepted, path, None, provenance_of(prediction.run, tile, info))
    labels = Labels.of(info.grid, accepted)
    buildings, built_share = count_buildings(labels, 1 - (tile.nodata_share or 0.0))
    reviewed = replace(
        tile, id=f"{tile.id}{REVIEWED_SUFFIX}", footprints=path, buildings=buildings, offset_m=(0.0, 0.0),
        built_share=built_share, repairs="", name=f"{tile.title}, reviewed",
    )  # fmt: skip
    update_catalog(lambda catalog: catalog.with_tiles([reviewed]))
    return reviewed
