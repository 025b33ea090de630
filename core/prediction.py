"""A run's network over a whole image of any size: large windows, no seams, memory that does not grow with the image."""

import hashlib
import warnings
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray
from rasterio.windows import Window

from core import rasters
from core.ahead import ahead
from core.backend import start_keras
from core.catalog.store import read_catalog
from core.catalog.tile import Tile
from core.chips import check_same_ground
from core.errors import DamagedRun, TooFewBands
from core.exports.footprints import write_footprints
from core.files import replacing
from core.footprints import footprints_of
from core.grids import Grid
from core.labels import Labels
from core.progress import Finish, Report, never, silent
from core.runs import Run
from core.scoring import DEFAULT_RULE, Score, score
from core.settings import settings
from core.types import Probability, Where
from core.vectors import Footprints
from core.windows import Box, Picture, open_picture, windows
from models.registry import NETWORKS, Network, build, build_for_windows

if TYPE_CHECKING:
    import keras

T = TypeVar("T")
#: Share of the progress that the network takes; the rest is outlines, files and score.
NETWORK = 0.9
#: In a prediction's folder: which weights made it.
_NOTE = "weights.sha256"


@dataclass(frozen=True)
class Prediction:
    """A probability of "building" for each pixel, on disk as GeoTIFF: one float32 band, 0 to 1, 0 without a picture."""

    path: Path
    grid: Grid  #: the image's ground in the run's pixels
    run: Run
    image: Path


def predict(
    run: Run, images: tuple[Path, Path | None], out: Path, report: Report = silent, attribution: str = ""
) -> Prediction:
    """Writes the probability of an image (and the file of its eight bands, where the run has 4 channels) to `out`, with
    the attribution of its pixels.

    The image is resampled to the run's ground sample distance in each axis. Raises NoSuchRun, DamagedRun, TooFewBands,
    DifferentGround, CannotWrite, DiskFull, and what reading the image raises.
    """
    check_channels(run, images)
    report(0.0, "building the network")
    network, model = NETWORKS[run.config.network], load_network(run, for_windows=True)
    grid = network_grid(rasters.describe(images[0]).grid, run.record.gsd_m)
    boxes = list(windows(grid, network.stride))
    with (
        open_picture(*images, run.record.bands, grid) as picture,
        closing(ahead(lambda core: _input(run, network, picture, core), boxes)) as inputs,
        rasters.writer(out, grid, 1, "float32", attribution=attribution) as file,
    ):
        for n, (core, (scaled, valid)) in enumerate(zip(boxes, inputs, strict=True)):
            report(n / len(boxes), f"window {n + 1} of {len(boxes)}")
            part = core.within(grid)
            probability = _window(model, scaled, valid)[: part.height, : part.width]
            file.write(probability, 1, window=Window(part.column, part.row, part.width, part.height))
    return Prediction(out, grid, run, images[0])


def check_channels(run: Run, images: tuple[Path, Path | None]) -> None:
    """Raises TooFewBands where the run needs the eighth band and there is none, DifferentGround for another tile's."""
    image, eight_bands = images
    if run.record.bands == 4 and eight_bands is None:
        raise TooFewBands(tile=image, found=3, run=run.name, wanted=4)
    if run.record.bands == 4 and eight_bands is not None:
        check_same_ground(image, eight_bands)


def load_network(run: Run, for_windows: bool = False) -> "keras.Model":
    """The run's network with its weights, the last one kept for the next image; raises NoSuchRun, DamagedRun."""
    weights, config = run.weights(), run.config
    start_keras()
    try:
        options = tuple(sorted(config.options.items()))
        return _loaded(weights, weights.stat().st_mtime_ns, for_windows, config.network, run.record.bands, options)
    except (ValueError, UserWarning) as error:
        raise DamagedRun(name=run.path, detail="its weights do not fit its network") from error


@lru_cache(maxsize=1)
def _loaded(
    weights: Path,
    _changed_ns: int,
    for_windows: bool,
    network: str,
    bands: int,
    options: tuple[tuple[str, Any], ...],
) -> "keras.Model":
    model = build(network, bands, **dict(options))
    with warnings.catch_warnings():
        # Layers that the file does not know would keep their fresh weights, with no more than a warning.
        warnings.filterwarnings("error", message="Skipping", category=UserWarning)
        model.load_weights(weights)
    if not for_windows:
        return model
    windowed = build_for_windows(network, bands, **dict(options))
    windowed.set_weights(model.get_weights())
    return windowed


def network_grid(grid: Grid, gsd_m: tuple[float, float]) -> Grid:
    """The same ground in pixels as large as those the network was trained on."""
    across, down = grid.pixel_m
    width, height = round(grid.width * across / gsd_m[0]), round(grid.height * down / gsd_m[1])
    return grid.resized(max(width, 1), max(height, 1))


def _input(run: Run, network: Network, picture: "Picture", core: Box) -> tuple[NDArray[np.float32], Where]:
    """What the network is given for a window, (rows, columns, bands) with the halo, and where its core has a picture.

    Beyond the image's rim the picture goes on mirrored.
    """
    box = core.widened(network.halo)
    inside = box.within(picture.grid)
    pixels, valid = picture.read(inside)
    before = inside.row - box.row, inside.column - box.column
    around = [(before[0], box.height - inside.height - before[0]), (before[1], box.width - inside.width - before[1])]
    scaled = np.pad(run.record.scaling.apply(pixels), [*around, (0, 0)], mode="reflect")
    own = slice(network.halo, network.halo + core.height), slice(network.halo, network.halo + core.width)
    return scaled, np.pad(valid, around)[own]


def _window(model: "keras.Model", scaled: NDArray[np.float32], valid: Where) -> Probability:
    """(rows, columns) float32 of a window without its halo, 0 where there is no picture."""
    if not valid.any():
        return np.zeros(valid.shape, np.float32)
    return np.where(valid, model.predict_on_batch(scaled[None])[0, ..., 0], np.float32(0))


@dataclass(frozen=True)
class Found:
    """What a prediction gives a person to take home; the files lie in one folder."""

    prediction: Prediction
    footprints: Footprints
    score: Score | None  #: None where the tile has no labels


def predict_tile(run: Run, tile: Tile, folder: Path, report: Report = silent) -> Found:
    """Probability, footprints and, for a labelled tile, the score, as files in `folder`.

    Writes probability.tif, footprints.geojson, footprints.gpkg, score.json, and at last which weights made them; raises
    what `predict` raises, NoImage.
    """
    out, note, weights = folder / "probability.tif", folder / _NOTE, weights_hash(run)
    note.unlink(missing_ok=True)
    images = tile.image, tile.eight_bands
    prediction = predict(run, images, out, lambda share, doing: report(NETWORK * share, doing), tile.attribution)
    report(NETWORK, "tracing the footprints")
    found = outlines(prediction)
    for name in ("footprints.geojson", "footprints.gpkg"):
        write_footprints(found, folder / name, prediction.grid, tile.id, tile.attribution)
    points = score_tile(found, tile) if tile.is_labelled else None
    if points is not None:
        _write_score(folder / "score.json", points, run, tile)
    with replacing(note) as part:  # last: where it is missing, the prediction is not whole
        part.write_text(weights)
    report(1.0, f"{len(found)} footprints")
    return Found(prediction, found, points)


def outlines(prediction: Prediction, threshold: float = 0.5) -> Footprints:
    """The footprints above a threshold, grown by the border that the network was taught to leave out."""
    return footprints_of(prediction.path, threshold, grow_px=prediction.run.config.recipe.border_px)


def score_tile(found: Footprints, tile: Tile) -> Score:
    """Against the tile's labels, on the ground; raises NoLabels and what reading them raises."""
    labels = Labels.of_tile(tile)
    truth = Footprints.of(labels.ground, labels.grid.crs)
    return score(truth, found, DEFAULT_RULE, pixel_area=labels.grid.gsd_m**2)


def _write_score(path: Path, points: Score, run: Run, tile: Tile) -> None:
    record = run.record
    part = "train" if tile.id in record.train_tiles else "validation" if tile.id in record.validation_tiles else "new"
    with replacing(path) as file:
        file.write_bytes(orjson.dumps({"rule": DEFAULT_RULE.name, "tile_was": part, **points.as_dict()}))


def predict_task(params: Mapping[str, Any], report: Report, _finish: Finish = never) -> None:
    """The job: {"run": name, "tile": id}; raises what `predict_tile` raises, NoSuchTile."""
    run = Run(settings().runs / Path(str(params["run"])).name)
    tile = read_catalog().tile(str(params["tile"]))
    predict_tile(run, tile, prediction_folder(run, tile.id), report)


def weights_hash(run: Run) -> str:
    """SHA-256 of the weights the run predicts with at present; raises NoSuchRun, DamagedRun."""
    with run.weights().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def made_with(folder: Path) -> str | None:
    """The `weights_hash` of the weights that made the prediction in a folder; None where there is no whole one."""
    try:
        return (folder / _NOTE).read_text()
    except OSError:
        return None


def prediction_folder(run: Run, tile: str) -> Path:
    """Where the files of a run's prediction of a tile lie."""
    return settings().predictions / run.name / Path(tile).name
