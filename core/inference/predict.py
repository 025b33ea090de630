"""Prediction of a whole image of any size: sliding windows without seams, in memory that does not grow with it."""

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

from core.atomic_files import atomic_write, translating_errors
from core.catalog.tile import Tile
from core.catalog.tile_labels import read_tile_labels
from core.datasets.samples import check_same_extent
from core.errors import TooFewBands
from core.geo import raster
from core.geo.grid import Grid
from core.geo.vector import Footprints
from core.geo.vector_writers import Provenance, write_footprints
from core.geo.windows import PixelWindow
from core.inference.blending import OverlapBlender
from core.inference.engine import Engine, load_engine
from core.inference.partial_results import PartialPrediction, open_partial
from core.inference.sliding_window import SceneReader, iter_windows, open_scene
from core.metrics.spacenet import DEFAULT_RULE, Score, score
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.thresholds import load_thresholds, rescorer_for
from core.postprocessing.vectorize import vectorize_layers
from core.progress import Report, silent
from core.runs.run import Run
from core.runtime.prefetch import prefetch
from core.settings import settings
from core.types import BoolMask
from models.registry import NETWORKS, Network

#: Share of the progress that inference takes; the rest is vectorization, files and score.
NETWORK = 0.9
#: File in the folder of a prediction with the hash of the weights.
_WEIGHTS_FILE = "weights.sha256"
#: Rows copied at once.
_ROWS = 512
_Input = tuple[NDArray[np.float32], BoolMask]


@dataclass(frozen=True)
class InferenceOptions:
    """Settings of inference."""

    engine: str = "auto"  #: see core.inference.engine.ENGINES
    tta: bool = False  #: test-time augmentation over the eight D4 symmetries, eight times the cost


@dataclass(frozen=True)
class Prediction:
    """Predicted layers on disk: a float32 GeoTIFF, 0 where there is no data.

    Band 1 is the probability of "building", 0 to 1. Band 2, of networks that predict it, is the signed distance to the
    nearest boundary [m], positive inside.
    """

    path: Path
    grid: Grid  #: extent of the image in pixels of the run's GSD
    run: Run
    info: raster.RasterInfo  #: header of the image


def predict(
    run: Run,
    images: tuple[Path, Path | None],
    out: Path,
    report: Report = silent,
    attribution: str = "",
    options: InferenceOptions | None = None,
) -> Prediction:
    """Predict an image with the network of a run and write the layers to `out`.

    The image is resampled to the GSD of the run in each axis. An interrupted prediction of a large image resumes.

    Args:
        run: A trained run.
        images: The image, and the file of its eight bands, which runs with 4 channels need.
        out: GeoTIFF to write.
        report: Called with the progress.
        attribution: Attribution of the image, written to the file.
        options: Inference engine and test-time augmentation.

    Returns:
        The prediction.

    Raises:
        NoSuchRun: There is no such run.
        DamagedRun: Its weights cannot be read.
        TooFewBands: The run needs the eighth band.
        ExtentMismatch: The file of eight bands has another extent.
        InvalidSetting: The engine is unknown or not installed.
        CannotWrite: `out` cannot be written.
        DiskFull: The disk is full.
    """
    options = options or InferenceOptions()
    network = NETWORKS[run.config.network]
    info = raster.read_info(images[0])
    check_channels(run, info, images[1])
    report(0.0, "Loading the model")
    grid = info.grid.at_gsd(run.record.gsd_m)
    rows = [
        list(row)
        for _, row in groupby(iter_windows(grid, network.stride, network.max_window), lambda window: window.row)
    ]
    with open_scene(*images, run.record.bands, grid) as scene:
        sliding_pass = _SlidingWindowPass(
            run, network, scene, load_engine(run, options.engine, options.tta), report, sum(map(len, rows))
        )
        if len(rows) == 1:
            with raster.writer(out, grid, network.prediction_layers, "float32", attribution=attribution) as file:
                _write(file, 0, sliding_pass.predict_row(rows[0], None).finished)
            return Prediction(out, grid, run, info)
        cache_key = [weights_hash(run), *map(_file_identity, images), options.engine, options.tta]
        with open_partial(out, cache_key, (*grid.shape, network.prediction_layers)) as partial:
            whole = partial.folder / out.name  # removed with the folder if the process is killed
            with raster.writer(whole, grid, network.prediction_layers, "float32", attribution=attribution) as file:
                _predict_rows(sliding_pass, rows, partial, file)
            with translating_errors(out):
                whole.replace(out)
    return Prediction(out, grid, run, info)


def _predict_rows(
    sliding_pass: "_SlidingWindowPass", rows: list[list[PixelWindow]], partial: PartialPrediction, file: Any
) -> None:
    """Predict the remaining rows of windows; a thread writes each row band while the next is computed."""
    remaining, grid, blend = rows[partial.finished :], sliding_pass.scene.grid, sliding_pass.network.blend
    with ThreadPoolExecutor(1) as thread:
        finished_rows = remaining[0][0].row - blend if remaining else grid.height
        writing = thread.submit(_copy_finished, partial, file, finished_rows)
        for row in remaining:
            blender = sliding_pass.predict_row(row, partial.overlap_rows)
            partial.append_rows(blender.top, blender.finished, blender.remaining)
            writing.result()
            writing = thread.submit(_write, file, blender.top, blender.finished)
        writing.result()


def _copy_finished(partial: PartialPrediction, file: Any, rows: int) -> None:
    """Copy the rows that an interrupted prediction left."""
    for first in range(0, rows, _ROWS):
        _write(file, first, partial.read(first, min(_ROWS, rows - first)))


def _file_identity(image: Path | None) -> list[Any]:
    """Path, time and size of a file, to tell it from another one of its name."""
    return [str(image.resolve()), image.stat().st_mtime_ns, image.stat().st_size] if image else []


def _write(file: Any, first: int, rows: NDArray[np.float32]) -> None:
    file.write(np.moveaxis(rows, -1, 0), window=Window(0, first, rows.shape[1], rows.shape[0]))


@dataclass
class _SlidingWindowPass:
    """Sliding-window prediction of one image."""

    run: Run
    network: Network
    scene: SceneReader
    engine: Engine
    report: Report
    count: int  #: windows in all

    def predict_row(self, row: list[PixelWindow], overlap: NDArray[np.float32] | None) -> OverlapBlender:
        """Predict one row of windows; the next window is read meanwhile.

        Args:
            row: Windows of the row.
            overlap: Weighted sums of the row above, (rows, cols, layers) float32; None at the first row.

        Returns:
            The blended row.
        """
        blender = OverlapBlender(self.scene.grid, row[0], self.network.blend, overlap)
        columns = -(-self.scene.grid.width // row[0].width)
        with closing(prefetch(self._read_input, row)) as inputs:
            for n, (inner, (pixels, valid)) in enumerate(zip(row, inputs, strict=True)):
                number = inner.row // inner.height * columns + n
                self.report(number / self.count, f"Predicting window {number + 1} of {self.count}")
                blender.add(inner, _predict_window(self.engine, pixels, valid, self.network.prediction_layers))
        return blender

    def _read_input(self, inner: PixelWindow) -> _Input:
        """Read the input of a window, (rows, cols, bands) with the halo, and where its prediction is valid."""
        predicted = inner.expand(self.network.blend)
        window = predicted.expand(self.network.halo)
        pixels, valid = self.scene.read(window)
        return pixels, valid[predicted.slices(window)]


def _predict_window(engine: Engine, pixels: NDArray[np.float32], valid: BoolMask, layers: int) -> NDArray[np.float32]:
    """Predict a window, (rows, cols, layers) without its halo, 0 where there is no data."""
    if not valid.any():
        return np.zeros((*valid.shape, layers), np.float32)
    prediction = engine(pixels)
    return prediction if valid.all() else np.where(valid[..., None], prediction, np.float32(0))


def check_channels(run: Run, info: raster.RasterInfo, eight_bands: Path | None) -> None:
    """Check that the files have the bands of a run.

    Args:
        run: A trained run.
        info: Header of the image.
        eight_bands: File of its eight bands.

    Raises:
        TooFewBands: The run needs the eighth band and there is no such file.
        ExtentMismatch: The file has another extent than the image.
    """
    if run.record.bands == 4 and eight_bands is None:
        raise TooFewBands(tile=info.path, found=3, run=run.name, wanted=4)
    if run.record.bands == 4 and eight_bands is not None:
        check_same_extent(info, eight_bands)


@dataclass(frozen=True)
class TileResult:
    """Result of the prediction of a tile; its files are in one folder."""

    prediction: Prediction
    footprints: Footprints
    score: Score | None  #: None for a tile without labels


def predict_tile(
    run: Run, tile: Tile, folder: Path, report: Report = silent, options: InferenceOptions | None = None
) -> TileResult:
    """Predict a tile: probability, footprints and, for a labeled tile, the score.

    Args:
        run: A trained run.
        tile: A tile with its image on this machine, which is opened twice.
        folder: Gets probability.tif, footprints.geojson, footprints.gpkg, score.json and, last, weights.sha256.
        report: Called with the progress.
        options: Inference engine and test-time augmentation.

    Returns:
        Prediction, footprints and score.

    Raises:
        NoImage: The tile has no image. Also everything that `predict` raises.
    """
    out, weights_file, weights = folder / "probability.tif", folder / _WEIGHTS_FILE, weights_hash(run)
    weights_file.unlink(missing_ok=True)
    images = tile.image, tile.eight_bands
    prediction = predict(
        run, images, out, lambda share, doing: report(NETWORK * share, doing), tile.attribution, options
    )
    report(NETWORK, "Vectorizing footprints")
    footprints = vectorize_prediction(prediction)
    for name in ("footprints.geojson", "footprints.gpkg"):
        provenance = provenance_of(run, tile, prediction.info)
        write_footprints(footprints, folder / name, prediction.grid, provenance)
    points = score_tile(footprints, tile, prediction.info.grid) if tile.is_labeled else None
    if points is not None:
        record = {"rule": DEFAULT_RULE.name, "tile_was": run.role_of(tile.id), **points.as_dict()}
        with atomic_write(folder / "score.json") as file:
            file.write_bytes(orjson.dumps(record))
    with atomic_write(weights_file) as file:  # last: without it the prediction is incomplete
        file.write_text(weights)
    report(1.0, f"{len(footprints)} footprints")
    return TileResult(prediction, footprints, points)


def provenance_of(run: Run, tile: Tile, info: raster.RasterInfo) -> Provenance:
    """Describe the provenance of predicted footprints.

    Args:
        run: The run that predicted them.
        tile: The tile they lie on.
        info: Header of its image.

    Returns:
        Tile, run, network, acquisition date and attribution.
    """
    return Provenance(tile.id, run.name, run.config.network, info.acquired, tile.attribution)


def vectorize_prediction(prediction: Prediction, config: VectorizeConfig | None = None) -> Footprints:
    """Vectorize a prediction, by default with the thresholds of its run."""
    return vectorize_as(prediction.path, prediction.run, config)


def vectorize_as(probability: Path, run: Run, config: VectorizeConfig | None = None) -> Footprints:
    """Vectorize a probability raster with the calibration of a run.

    Args:
        probability: Raster that the run predicted.
        run: The run.
        config: Post-processing settings; by default the optimized ones of the run.

    Returns:
        Footprints with calibrated or rescored confidence.
    """
    thresholds = load_thresholds(run)
    config = config or thresholds.vectorize
    return vectorize_layers(probability, config, rescorer=rescorer_for(thresholds, config.rescore))


def score_tile(footprints: Footprints, tile: Tile, image_grid: Grid | None = None) -> Score:
    """Score footprints against the labels of their tile by the SpaceNet rule.

    Args:
        footprints: Predicted buildings, in any CRS.
        tile: A tile with labels.
        image_grid: Grid of the tile's image, where it is known already; else it is read from the file.

    Returns:
        Counts, and the match of every building.

    Raises:
        NoLabels: The tile has no labels.
    """
    labels = read_tile_labels(tile, image_grid)
    truth = Footprints.of(labels.map_footprints, labels.grid.crs)
    return score(truth, footprints, DEFAULT_RULE, pixel_area=labels.grid.gsd_m**2)


def weights_hash(run: Run) -> str:
    """Hash the weights that the run predicts with (SHA-256); raises NoSuchRun, DamagedRun."""
    with run.weights().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stored_weights_hash(folder: Path) -> str | None:
    """Read the `weights_hash` of a complete prediction in a folder; None if there is none."""
    try:
        return (folder / _WEIGHTS_FILE).read_text()
    except OSError:
        return None


def prediction_folder(run: Run, tile: str) -> Path:
    """Folder of the prediction of a tile by a run."""
    return settings().predictions / run.name / Path(tile).name
