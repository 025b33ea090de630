"""Accepted buildings as labels: the same picture once more in the catalogue, to train on what a person has said."""

from dataclasses import replace

from core.catalog.scan import count_buildings
from core.catalog.store import update_catalog
from core.catalog.tile import Tile
from core.errors import NothingAccepted
from core.geo.raster import describe
from core.geo.vector_writers import write_footprints
from core.inference.predict import origin_of
from core.inference.tile_prediction import Predicted
from core.labels.labels import Labels
from core.review.decisions import Review
from core.settings import settings

#: What the id of a reviewed tile ends with, and its area.
ENDING = "_reviewed"


def as_labels(found: Predicted) -> Tile:
    """Puts the tile into the catalogue once more, labelled with what was accepted; again, it takes the place of before.

    It covers the same ground as the tile it is made of, so that a split never parts the two. Raises NothingAccepted,
    NoImage, CannotWrite, DiskFull.
    """
    accepted, tile = Review.of(found.folder).accepted, found.tile
    if not len(accepted):
        raise NothingAccepted(tile=tile.id)
    path = settings().data / "reviewed" / f"{tile.id}.geojson"
    write_footprints(accepted, path, None, origin_of(found.run, tile))
    labels = Labels.of(describe(tile.image).grid, accepted)
    buildings, built = count_buildings(labels, 1 - (tile.nodata_share or 0.0))
    made = replace(
        tile, id=f"{tile.id}{ENDING}", footprints=path, buildings=buildings, offset_m=(0.0, 0.0),
        built_share=built, repairs="", name=f"{tile.title}, reviewed",
    )  # fmt: skip
    update_catalog(lambda catalog: catalog.adding([made]))
    return made
