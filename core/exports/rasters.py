"""Layers of tiles as cloud-optimised GeoTIFFs: masks, distances, and what a run says of every pixel."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from core.atomic_files import new_folder, writing
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.errors import InvalidSetting, NothingPredicted
from core.geo.cog import make_cog
from core.geo.raster import Raster, describe, write
from core.inference.tile_prediction import Predicted, predicted
from core.labels.labels import Labels
from core.progress import Report, silent
from core.runs.run import Run


@dataclass(frozen=True)
class Layer:
    """One that a person may choose."""

    title: str
    make: Callable[[Predicted], Raster | Path]  #: the pixels, or the GeoTIFF where they lie already
    is_there: Callable[[Predicted], bool]


def write_raster(one: Predicted, layer: str, path: Path) -> Path:
    """One of LAYERS of a tile as a COG that names its source (TIFFTAG_COPYRIGHT).

    Masks are uint8 with 0 as no-data, distances float32 in metres, probabilities float32 from 0 to 1 with the distance
    that the network tells, if any, as a second band. Raises InvalidSetting, NoLabels, NoSuchPrediction, CannotWrite,
    DiskFull.
    """
    made = _named(layer).make(one)
    if isinstance(made, Path):
        return make_cog(made, path, attribution=one.tile.attribution)
    with writing(path), TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        plain = write(Path(folder) / "plain.tif", made)
        return make_cog(plain, path, attribution=one.tile.attribution)


def write_rasters(run: Run, tiles: Sequence[Tile], folder: Path, layers: Iterable[str], report: Report = silent) -> int:
    """`<tile>_<layer>.tif` of all tiles that have it in a new folder; how many files that are.

    A failed one leaves nothing behind. Raises NothingPredicted where no tile has any, CannotWrite where the folder is
    there already, and what write_raster raises.
    """
    wanted = [(name, _named(name)) for name in layers]
    found = [predicted(run.name, tile.id) for tile in tiles]
    files = [(one, name) for one in found for name, layer in wanted if layer.is_there(one)]
    if not files:
        raise NothingPredicted(run=run.name)
    with new_folder(folder) as part:
        for n, (one, name) in enumerate(files):
            report(n / len(files), f"{one.tile.id}, {LAYERS[name].title}")
            write_raster(one, name, part / f"{one.tile.id}_{name}.tif")
    return len(files)


def _named(layer: str) -> Layer:
    if layer not in LAYERS:
        raise InvalidSetting(setting="the layer", value=layer, detail=f"it is one of {', '.join(LAYERS)}")
    return LAYERS[layer]


def _mask(one: Predicted) -> Raster:
    labels = read_tile_labels(one.tile)
    return Raster(labels.mask[None], labels.grid, nodata=0)


def _distance(one: Predicted) -> Raster:
    labels = read_tile_labels(one.tile)
    return Raster(labels.distance[None], labels.grid)


def _found(one: Predicted) -> Raster:
    grid = describe(one.probability).grid
    return Raster(Labels.of(grid, one.footprints()).mask[None], grid, nodata=0)


LAYERS: Mapping[str, Layer] = MappingProxyType(
    {
        "mask": Layer("labels: building mask", _mask, lambda one: one.tile.is_labelled),
        "distance": Layer("labels: signed distance, m", _distance, lambda one: one.tile.is_labelled),
        "probability": Layer("prediction: probability", lambda one: one.probability, lambda one: one.exists),
        "predicted": Layer("prediction: building mask", _found, lambda one: one.exists),
    }
)
