"""Every error that a person may meet. A class's docstring is its message and says what to do next.

Raise with the facts the docstring names: ``raise TruncatedRaster(name="tile.tif")``.
"""

import inspect
from functools import partial
from pathlib import Path
from typing import Any


class GroundplanError(Exception):
    """{detail}"""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        named = {k: v.name if isinstance(v, Path) else v for k, v in facts.items()}
        template = " ".join(inspect.cleandoc(type(self).__doc__ or "").split())
        super().__init__(template.format(**named))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled with its facts, as Ray does it between processes."""
        return partial(type(self), **self.facts), ()


class InvalidVariable(GroundplanError, ValueError):
    """The environment variable {variable} is "{value}". Set it to {wanted}, or unset it."""


class RasterError(GroundplanError, OSError):
    """{name}: {detail}"""


class UnsupportedRaster(RasterError):
    """{name} is not a GeoTIFF ({found}). Convert it to GeoTIFF, for example with gdal_translate, and try again."""


class TruncatedRaster(RasterError):
    """{name} is damaged or truncated. Copy or download it again."""


class RasterTooLarge(RasterError):
    """{name} has {size} of pixels, above the limit of {limit}. Split it into tiles, or raise {variable}."""


class BlocksTooLarge(RasterError):
    """{name} has blocks of {size}, above the limit of {limit}. Rewrite it with small blocks,
    for example with gdal_translate -co TILED=YES."""


class RasterWithoutCRS(RasterError):
    """{name} has no coordinate reference system. Assign one, for example with gdal_edit.py -a_srs EPSG:4326."""


class MissingBand(RasterError):
    """{name} has {found} bands, but band {wanted} was requested. Choose an image with more bands."""


class ExtentMismatch(RasterError):
    """{name} does not cover the same area as {image}. Choose files of the same tile."""


class UploadTooLarge(RasterError):
    """{name} has {size}, above the upload limit of {limit}. Copy it to the folder {inbox} on the server, or add it
    there with `python -m core catalog add`."""


class ExternalReference(RasterError):
    """{name} refers to other files in its metadata ({tag}). Only self-contained files are read: rewrite it,
    for example with gdal_translate -nomd."""


class UnsupportedDtype(RasterError):
    """{name} has {found}, which is not supported. Supported are 1 to 16 bands of 8-bit or 16-bit integers or of
    floating point (float32, float64). Convert it, for example with gdal_translate -ot UInt16."""


class MissingGeoreference(RasterWithoutCRS):
    """{name} has no coordinate reference system. Enter the EPSG code of its coordinates, or its bounding box in
    degrees."""


class MissingCRS(RasterWithoutCRS):
    """{name} has no coordinates, so an EPSG code is not enough. Enter its bounding box in degrees."""


class OutOfBounds(RasterWithoutCRS):
    """With {place}, {name} lies outside the range of valid coordinates. Check the numbers, or enter its bounding box
    instead."""


class OutsideWebMercator(RasterError):
    """{name} crosses the antimeridian or extends beyond 85 degrees of latitude, which web maps cannot show.
    Clip it, for example with gdal_translate -projwin, and add the parts."""


class UnknownEPSG(RasterWithoutCRS):
    """Unknown EPSG code "{code}". Enter the code of a geographic or projected CRS, such as 4326 or 32611."""


class InvalidBoundingBox(RasterWithoutCRS):
    """Invalid bounding box {edges}. Enter degrees, with west less than east and south less than north."""


class EmptyImage(RasterError):
    """{name} contains only no-data pixels. Choose another image."""


class VectorError(GroundplanError, ValueError):
    """{name}: {detail}"""


class NotGeoJSON(VectorError):
    """{name} is not a GeoJSON FeatureCollection ({detail}). Export the footprints again as GeoJSON."""


class NotFootprintsCSV(VectorError):
    """{name} is not a SpaceNet CSV ({detail}). It needs the columns ImageId, BuildingId and PolygonWKT_Pix."""


class FootprintsWithoutCRS(VectorError):
    """{name} has coordinates that are not longitude and latitude, but names no CRS.
    Add a "crs" member, or export it again in EPSG:4326."""


class MissingImageId(VectorError):
    """{name} does not list the image {image}. Choose the footprints of this image."""


class VectorTooLarge(VectorError):
    """{name} has {size}, above the limit of {limit}. Split it, or raise {variable}."""


class LabelsOutsideImage(VectorError):
    """{name} has {found} footprints, but none within the image. The nearest is {distance} away.
    Choose the labels of this image, or check the CRS of both."""


class LabelsOfOtherImages(VectorError):
    """{name} lists several images, but not {image}. Choose the footprints of this image only."""


class UnknownFootprintFormat(VectorError):
    """{name} does not have the file extension of a footprint format. Use one of {known}."""


class ExportNeedsGrid(VectorError):
    """{name} cannot be written: the footprints are in pixel coordinates and their image is not known.
    Specify the image they belong to."""


class CatalogError(GroundplanError, LookupError):
    """{detail}"""


class NoSuchPath(CatalogError):
    """{name} does not exist. Check the path."""


class UnknownLayout(CatalogError):
    """{name} contains no tiles in a SpaceNet layout. Expected file names such as
    RGB-PanSharpen_AOI_2_Vegas_img225.tif, SN2_buildings_train_AOI_2_Vegas_PS-RGB_img225.tif or
    3band_AOI_1_RIO_img1.tif."""


class NoSuchTile(CatalogError):
    """The catalog has no tile named {tile}. `python -m core catalog list` lists the tiles."""


class AmbiguousTile(CatalogError):
    """{tile} is the name of several tiles. Use one of {known}."""


class NoImage(CatalogError):
    """{tile} has no image on this machine. Add the folder of its image with `python -m core catalog add`."""


class NoLabels(CatalogError):
    """{tile} has no building footprints. Choose a labeled tile."""


class DamagedCatalog(CatalogError):
    """The catalog {name} is damaged. Move it away and add the folders again with `python -m core catalog add`."""


class CatalogBusy(CatalogError):
    """The catalog {name} is locked by another program. Try again in a minute."""


class NotATileIndex(CatalogError):
    """{name} is not a tile index ({detail}). Choose a SpaceNet tile index, such as
    AOI_2_Vegas_Train_Tindex.geojson."""


class NoSuchUpload(CatalogError):
    """The upload {upload} does not exist. It may have been deleted."""


class UploadBusy(CatalogError):
    """{name} cannot be deleted while it is used by a job ({job}). Stop that job, or wait until it ends."""


class NoSuchArea(CatalogError):
    """The catalog has no area named {aoi}. `python -m core catalog list` lists the tiles of all areas."""


class NotInInbox(CatalogError):
    """{name} is no longer in the inbox {inbox}. Copy it there again."""


class SingleImageOnly(CatalogError):
    """{options} apply to a single image, but {name} is not a GeoTIFF. Specify one GeoTIFF, or omit them."""


class OffsetTooLarge(CatalogError):
    """Labels can be shifted by at most {limit} m. If they are further off, check their CRS."""


class NoSuchBands(CatalogError):
    """Invalid band combination "{bands}". Enter three band numbers, such as 7,5,3."""


class NoSuchMapTile(CatalogError):
    """No map tile {zoom}/{x}/{y}."""


class FetchError(GroundplanError, OSError):
    """{detail}"""


class BucketUnreachable(FetchError):
    """The SpaceNet bucket cannot be reached ({detail}). Check the network connection, then start again:
    files already downloaded are kept."""


class InvalidEndpoint(FetchError):
    """AWS_ENDPOINT_URL is "{address}", which is not a URL. Set it to a URL such as https://host, or unset it."""


class BucketRefused(FetchError):
    """The SpaceNet bucket denies access to {name}. Check AWS_ENDPOINT_URL, or choose other tiles."""


class NoSuchObject(FetchError):
    """The SpaceNet bucket no longer contains {name}. Choose another tile."""


class ObjectChanged(FetchError):
    """{name} changed in the bucket during the download. Start the download again."""


class DamagedDownload(FetchError):
    """The checksum of {name} failed twice. Start the download again later."""


class NotInBucket(FetchError):
    """The SpaceNet bucket has no files of the tiles {numbers} of {aoi}. Choose tiles from its tile index."""


class InsufficientDiskSpace(FetchError):
    """The download needs {needed}, but only {free} of disk space is free. Choose fewer tiles, or free some space."""


class DownloadRunning(FetchError):
    """Another download is running on this machine. Wait until it ends, or stop it."""


class UnknownArea(FetchError):
    """{aoi} is not a SpaceNet area with building labels. Choose one of {known}."""


class UnknownProduct(FetchError):
    """{aoi} has no product {product}. Choose from {known}."""


class NotTileNumbers(FetchError):
    """Invalid tile numbers "{text}". Enter numbers and ranges separated by commas, such as 1-20, 225."""


class RunError(GroundplanError, LookupError):
    """{detail}"""


class NoSuchRun(RunError):
    """There is no run at {name}. Train one first, or check the path."""


class DamagedRun(RunError):
    """The run {name} cannot be used: {detail}. Train it again."""


class DamagedCheckpoint(RunError):
    """The checkpoint {name} is damaged (checksum mismatch). Training resumes from an earlier one, if any."""


class NoSuchCheckpoint(RunError):
    """{name} has no checkpoint to resume from{detail}. Start a new training."""


class RunExists(RunError):
    """{name} already contains a run. Choose another folder, so that nothing is overwritten."""


class NoSuchFrame(RunError):
    """The run {run} has no validation preview of epoch {epoch}. Choose another epoch."""


class TrackingError(GroundplanError, RuntimeError):
    """{detail}"""


class NoMLflow(TrackingError):
    """MLFLOW_TRACKING_URI is set, but MLflow is not installed. Install it with
    pip install -r requirements-mlflow.txt."""


class MLflowFailed(TrackingError):
    """MLflow at {address} did not accept this run: {detail}. Check MLFLOW_TRACKING_URI and the server."""


class RunBusy(RunError):
    """{run} is being trained by another process. Wait until it ends, or stop it."""


class TrainingError(GroundplanError, ValueError):
    """{detail}"""


class TooFewTiles(TrainingError):
    """Training needs at least one labeled tile with an image, and none of the selected tiles has both.
    Select labeled tiles."""


class UnreadableTiles(TooFewTiles):
    """None of the selected tiles can be used for training. {problem}"""


class UnknownNetwork(TrainingError):
    """Unknown model {name}. Choose one of {known}."""


class InvalidSetting(TrainingError):
    """Invalid value {value} for {setting}: {detail}. Change it and start again."""


class SplitImpossible(TrainingError):
    """The selected tiles cannot be split into training and validation areas: {detail}.
    Select more tiles, or use smaller crops."""


class Diverged(TrainingError):
    """Training diverged in epoch {epoch} (loss or weights are NaN). Lower the learning rate and train again."""


class TooFewBands(TrainingError):
    """{tile} has {found} channels, but the run {run} needs {wanted}. Choose a run trained on such imagery."""


class TilesNotPredicted(TrainingError):
    """{count} of {tiles} tiles could not be predicted; the others are done. The first problem: {problem}
    The log lists all of them."""


class ScoreError(GroundplanError, ValueError):
    """{detail}"""


class CRSMismatch(ScoreError):
    """{truth} and {proposals} cannot be compared: one is in pixel coordinates, the other in map coordinates.
    Provide both as SpaceNet CSV or both as GeoJSON."""


class JobError(GroundplanError, RuntimeError):
    """{detail}"""


class NoSuchJob(JobError):
    """Job {job} does not exist. It may have been deleted."""


class UnknownTask(JobError):
    """Unknown task {task}. This worker runs: {known}."""


class CannotStart(JobError):
    """Job {job} could not be started ({detail}). Free some memory or disk space, then retry it."""


class JobRunning(JobError):
    """Job {job} is still running. Stop it before deleting it."""


class JobNotQueued(JobError):
    """Job {job} is {state}, not queued. Only the position of queued jobs can be changed."""


class NothingToRetry(JobError):
    """Job {job} is {state}. Only failed or stopped jobs can be retried."""


class RunLost(JobError):
    """Job {job} was interrupted ({detail}) and restarts automatically."""


class ClusterUnreachable(JobError):
    """The cluster at {address} does not respond ({detail}). Its jobs wait until it does."""


class NodesFailed(JobError):
    """{detail}"""


class RunInUse(JobError):
    """The run {run} is needed by job {job} ({title}), which has not ended. Stop that job, or wait until it ends."""


class LeaseLost(JobError):
    """Job {job} is no longer assigned to the worker {worker}: it has ended, or another worker has it.
    Nothing was changed."""


class QueueBusy(JobError):
    """The job queue {name} is locked by another program. Try again in a minute."""


class NewerQueue(JobError):
    """The job queue {name} was created by a newer Groundplan. Update Groundplan, or use another data folder."""


class DamagedQueue(JobError):
    """The job queue {name} is damaged. Move it away: a new one is created, and finished runs are kept."""


class DiskFull(GroundplanError, OSError):
    """There is not enough disk space to write {name}. Free some space and try again; no partial file was left."""


class CannotRead(GroundplanError, OSError):
    """{name} cannot be read ({detail}). Check the disk and the file permissions."""


class CannotWrite(GroundplanError, OSError):
    """{name} cannot be written ({detail}). Check the permissions, or choose another folder."""


class UnusablePath(GroundplanError, OSError):
    """{name} cannot be used ({detail}). Check the path and its permissions."""


class PortInUse(GroundplanError, OSError):
    """Port {port} of {host} is not available, probably because another program uses it. Choose another with --port."""


class DamagedReview(CatalogError):
    """The review file {name} is damaged. Delete it to start the review again."""


class NothingAccepted(CatalogError):
    """No building of {tile} has been accepted yet. Select one on the Predict page and press a."""


class NothingPredicted(CatalogError):
    """{run} has not predicted any of these tiles yet. Predict them on the Predict page first."""


class NoSuchPrediction(CatalogError):
    """{run} has not predicted {tile} yet. Predict it on the Predict page first."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out. Exceptions of TensorFlow and JAX are known by name, without importing them."""
    named = type(error).__name__ == "ResourceExhaustedError"
    return isinstance(error, MemoryError) or named or "out of memory" in str(error).lower()
