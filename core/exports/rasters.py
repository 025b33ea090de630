"""Raster export: masks, signed distances and probabilities of tiles as cloud-optimized GeoTIFFs (COG)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from core.atomic_files import atomic_folder, translating_errors
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.errors import InvalidSetting, NothingPredicted
from core.geo.cog import make_cog
from core.geo.raster import Raster, read_info, write
from core.inference.tile_prediction import TilePrediction, tile_prediction
from core.labels.labels import Labels
from core.progress import Report, silent
from core.runs.run import Run


@dataclass(frozen=True)
class Layer:
    """Raster layer to export."""

    title: str
    make: Callable[[TilePrediction], Raster | Path]  #: raster, or path of an existing GeoTIFF
    is_available: Callable[[TilePrediction], bool]


def write_raster(prediction: TilePrediction, layer: str, path: Path) -> Path:
    """Export a layer of a tile as a cloud-optimized GeoTIFF that names its source (TIFFTAG_COPYRIGHT).

    Masks are uint8 with 0 as no-data, distances float32 in meters, probabilities float32 from 0 to 1, with the
    predicted distance as a second band if there is one.

    Args:
        prediction: Tile and run.
        layer: A key of LAYERS.
        path: File to write.

    Returns:
        The file.

    Raises:
        InvalidSetting: The layer is unknown.
        NoLabels: The tile has no labels.
        NoSuchPrediction: The tile has no prediction.
    """
    result = _layer(layer).make(prediction)
    if isinstance(result, Path):
        return make_cog(result, path, attribution=prediction.tile.attribution)
    with translating_errors(path), TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        plain = write(Path(folder) / "plain.tif", result)
        return make_cog(plain, path, attribution=prediction.tile.attribution)


def write_rasters(run: Run, tiles: Sequence[Tile], folder: Path, layers: Iterable[str], report: Report = silent) -> int:
    """Export layers of several tiles as `<tile>_<layer>.tif` to a new folder; a failed export leaves nothing behind.

    Args:
        run: The run.
        tiles: The tiles; layers they do not have are skipped.
        folder: The new folder.
        layers: Keys of LAYERS.
        report: Called with the progress.

    Returns:
        Number of files.

    Raises:
        NothingPredicted: No tile has any of the layers.
        CannotWrite: The folder exists already or cannot be written.
    """
    chosen = [(name, _layer(name)) for name in layers]
    predictions = [tile_prediction(run.name, tile.id) for tile in tiles]
    files = [
        (prediction, name) for prediction in predictions for name, layer in chosen if layer.is_available(prediction)
    ]
    if not files:
        raise NothingPredicted(run=run.name)
    with atomic_folder(folder) as temporary:
        for n, (prediction, name) in enumerate(files):
            report(n / len(files), f"{prediction.tile.id}, {LAYERS[name].title}")
            write_raster(prediction, name, temporary / f"{prediction.tile.id}_{name}.tif")
    return len(files)


def _layer(name: str) -> Layer:
    if name not in LAYERS:
        raise InvalidSetting(setting="the layer", value=name, detail=f"must be one of {', '.join(LAYERS)}")
    return LAYERS[name]


def _label_mask(prediction: TilePrediction) -> Raster:
    labels = read_tile_labels(prediction.tile)
    return Raster(labels.mask[None], labels.grid, nodata=0)


def _label_distance(prediction: TilePrediction) -> Raster:
    labels = read_tile_labels(prediction.tile)
    return Raster(labels.distance[None], labels.grid)


def _predicted_mask(prediction: TilePrediction) -> Raster:
    grid = read_info(prediction.probability).grid
    return Raster(Labels.of(grid, prediction.footprints()).mask[None], grid, nodata=0)


LAYERS: Mapping[str, Layer] = MappingProxyType(
    {
        "mask": Layer("Labels: building mask", _label_mask, lambda prediction: prediction.tile.is_labeled),
        "distance": Layer(
            "Labels: signed distance (m)", _label_distance, lambda prediction: prediction.tile.is_labeled
        ),
        "probability": Layer(
            "Prediction: building probability",
            lambda prediction: prediction.probability,
            lambda prediction: prediction.exists,
        ),
        "predicted": Layer("Prediction: building mask", _predicted_mask, lambda prediction: prediction.exists),
    }
)
