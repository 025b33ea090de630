"""A run's network over a whole image of any size: large windows, no seams, memory that does not grow with the image."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from rasterio.windows import Window

from core.atomic_files import replacing, writing
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.datasets.samples import check_same_ground
from core.errors import TooFewBands
from core.geo import raster
from core.geo.grid import Grid
from core.geo.vector import Footprints
from core.geo.vector_writers import Origin, write_footprints
from core.geo.windows import Box
from core.inference.blending import Canvas
from core.inference.engine import Engine, engine_of
from core.inference.partial_results import Strips, strips
from core.inference.sliding_window import Picture, open_picture, windows
from core.metrics.spacenet import DEFAULT_RULE, Score, score
from core.postprocessing.config import Shaping
from core.postprocessing.thresholds import second_look, tuning_of
from core.postprocessing.vectorize import footprints_of
from core.progress import Report, silent
from core.runs.run import Run
from core.runtime.prefetch import ahead
from core.settings import settings
from core.types import Where
from models.registry import NETWORKS, Network

#: Share of the progress that the network takes; the rest is outlines, files and score.
NETWORK = 0.9
#: In a prediction's folder: which weights made it.
_NOTE = "weights.sha256"
#: Rows that are copied at once.
_ROWS = 512
_Input = tuple[NDArray[np.float32], Where]


@dataclass(frozen=True)
class How:
    """How a network is asked, beside its weights."""

    engine: str = "auto"  #: see core.inference.engine.ENGINES
    turned: bool = False  #: the mean over the eight symmetries of every window, at eight times the cost


@dataclass(frozen=True)
class Prediction:
    """What a run says of each pixel, on disk as a float32 GeoTIFF; 0 without a picture.

    The first band is the probability of "building", 0 to 1; the second, of networks that tell it, the distance to the
    nearest wall in metres, positive inside.
    """

    path: Path
    grid: Grid  #: the image's ground in the run's pixels
    run: Run
    image: Path


def predict(
    run: Run,
    images: tuple[Path, Path | None],
    out: Path,
    report: Report = silent,
    attribution: str = "",
    how: How | None = None,
) -> Prediction:
    """Writes what a run says of an image (and the file of its eight bands, where the run has 4 channels) to `out`, with
    the attribution of its pixels.

    The image is resampled to the run's ground sample distance in each axis. A large one that was interrupted goes on
    where it was. Raises NoSuchRun, DamagedRun, TooFewBands, DifferentGround, InvalidSetting, CannotWrite, DiskFull, and
    what reading the image raises.
    """
    how = how or How()
    check_channels(run, images)
    report(0.0, "building the network")
    network = NETWORKS[run.config.network]
    grid = raster.describe(images[0]).grid.at_gsd(run.record.gsd_m)
    rows = [list(row) for _, row in groupby(windows(grid, network.stride, network.core), lambda box: box.row)]
    with open_picture(*images, run.record.bands, grid) as picture:
        pass_ = _Pass(run, network, picture, engine_of(run, how.engine, how.turned), report, sum(map(len, rows)))
        if len(rows) == 1:
            with raster.writer(out, grid, network.layers, "float32", attribution=attribution) as file:
                _write(file, 0, pass_.strip(rows[0], None).finished)
            return Prediction(out, grid, run, images[0])
        told = [weights_hash(run), *map(_identity, images), how.engine, how.turned]
        with strips(out, told, (*grid.shape, network.layers)) as done:
            whole = done.folder / out.name  # what a kill leaves of it goes away with the strips
            with raster.writer(whole, grid, network.layers, "float32", attribution=attribution) as file:
                _strip_by_strip(pass_, rows, done, file)
            with writing(out):
                whole.replace(out)
    return Prediction(out, grid, run, images[0])


def _strip_by_strip(pass_: "_Pass", rows: list[list[Box]], done: Strips, file: Any) -> None:
    """What is left of the rows of windows; a thread writes one strip into the file while the next is computed."""
    left, grid, blend = rows[done.done :], pass_.picture.grid, pass_.network.blend
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(_copy, done, file, left[0][0].row - blend if left else grid.height)
        for row in left:
            canvas = pass_.strip(row, done.carried)
            done.put(canvas.top, canvas.finished, canvas.rest)
            coming.result()
            coming = thread.submit(_write, file, canvas.top, canvas.finished)
        coming.result()


def _copy(done: Strips, file: Any, rows: int) -> None:
    """Writes the first so many rows, which an interrupted prediction has left."""
    for first in range(0, rows, _ROWS):
        _write(file, first, done.read(first, min(_ROWS, rows - first)))


def _identity(image: Path | None) -> list[Any]:
    """What tells a file from another one of its name."""
    return [str(image.resolve()), image.stat().st_mtime_ns, image.stat().st_size] if image else []


def _write(file: Any, first: int, rows: NDArray[np.float32]) -> None:
    file.write(np.moveaxis(rows, -1, 0), window=Window(0, first, rows.shape[1], rows.shape[0]))


@dataclass
class _Pass:
    """One way over a picture, window by window."""

    run: Run
    network: Network
    picture: Picture
    engine: Engine
    report: Report
    count: int  #: windows in all

    def strip(self, row: list[Box], carried: NDArray[np.float32] | None) -> Canvas:
        """What the network says of one row of windows; the next one is read meanwhile."""
        canvas = Canvas(self.picture.grid, row[0], self.network.blend, carried)
        across = -(-self.picture.grid.width // row[0].width)
        with closing(ahead(self._input, row)) as inputs:
            for n, (core, (pixels, valid)) in enumerate(zip(row, inputs, strict=True)):
                number = core.row // core.height * across + n
                self.report(number / self.count, f"window {number + 1} of {self.count}")
                canvas.add(core, _window(self.engine, pixels, valid, self.network.layers))
        return canvas

    def _input(self, core: Box) -> _Input:
        """What the network is given for a window, (rows, columns, bands) with the halo, and where it has a picture."""
        told = core.widened(self.network.blend)
        box = told.widened(self.network.halo)
        pixels, valid = self.picture.read(box)
        return pixels, valid[told.slices(box)]


def _window(engine: Engine, pixels: NDArray[np.float32], valid: Where, layers: int) -> NDArray[np.float32]:
    """(rows, columns, layers) of a window without its halo, 0 where there is no picture."""
    if not valid.any():
        return np.zeros((*valid.shape, layers), np.float32)
    said = engine(pixels)
    return said if valid.all() else np.where(valid[..., None], said, np.float32(0))


def check_channels(run: Run, images: tuple[Path, Path | None]) -> None:
    """Raises TooFewBands where the run needs the eighth band and there is none, DifferentGround for another tile's."""
    image, eight_bands = images
    if run.record.bands == 4 and eight_bands is None:
        raise TooFewBands(tile=image, found=3, run=run.name, wanted=4)
    if run.record.bands == 4 and eight_bands is not None:
        check_same_ground(image, eight_bands)


@dataclass(frozen=True)
class Found:
    """What a prediction gives a person to take home; the files lie in one folder."""

    prediction: Prediction
    footprints: Footprints
    score: Score | None  #: None where the tile has no labels


def predict_tile(run: Run, tile: Tile, folder: Path, report: Report = silent, how: How | None = None) -> Found:
    """Probability, footprints and, for a labelled tile, the score, as files in `folder`.

    Writes probability.tif, footprints.geojson, footprints.gpkg, score.json, and at last which weights made them; raises
    what `predict` raises, NoImage.
    """
    out, note, weights = folder / "probability.tif", folder / _NOTE, weights_hash(run)
    note.unlink(missing_ok=True)
    images = tile.image, tile.eight_bands
    prediction = predict(run, images, out, lambda share, doing: report(NETWORK * share, doing), tile.attribution, how)
    report(NETWORK, "tracing the footprints")
    found = outlines(prediction)
    for name in ("footprints.geojson", "footprints.gpkg"):
        write_footprints(found, folder / name, prediction.grid, origin_of(run, tile))
    points = score_tile(found, tile) if tile.is_labelled else None
    if points is not None:
        _write_score(folder / "score.json", points, run, tile)
    with replacing(note) as part:  # last: where it is missing, the prediction is not whole
        part.write_text(weights)
    report(1.0, f"{len(found)} footprints")
    return Found(prediction, found, points)


def origin_of(run: Run, tile: Tile) -> Origin:
    """Where a run's footprints of a tile come from."""
    taken = raster.describe(tile.image).taken
    return Origin(tile.id, run.name, run.config.network, taken, tile.attribution)


def outlines(prediction: Prediction, shaping: Shaping | None = None) -> Footprints:
    """The footprints, shaped as the run was tuned to where nothing else is said."""
    return shaped(prediction.path, prediction.run, shaping)


def shaped(probability: Path, run: Run, shaping: Shaping | None = None) -> Footprints:
    """The footprints of a run's prediction in a file; their confidence is calibrated as the run was tuned.

    Raises what reading the file raises.
    """
    tuning = tuning_of(run)
    shaping = shaping or tuning.shaping
    return footprints_of(probability, shaping, look=second_look(tuning, shaping.judged))


def score_tile(found: Footprints, tile: Tile) -> Score:
    """Against the tile's labels, on the ground; raises NoLabels and what reading them raises."""
    labels = read_tile_labels(tile)
    truth = Footprints.of(labels.ground, labels.grid.crs)
    return score(truth, found, DEFAULT_RULE, pixel_area=labels.grid.gsd_m**2)


def _write_score(path: Path, points: Score, run: Run, tile: Tile) -> None:
    with replacing(path) as file:
        file.write_bytes(orjson.dumps({"rule": DEFAULT_RULE.name, "tile_was": run.taught(tile.id), **points.as_dict()}))


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
