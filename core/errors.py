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
    """The environment variable {variable} is "{value}". Set it to {wanted}, or leave it out."""


class RasterError(GroundplanError, OSError):
    """{name}: {detail}"""


class NotARaster(RasterError):
    """{name} is not a GeoTIFF ({found}). Save it as GeoTIFF, for example with gdal_translate, and try again."""


class TruncatedRaster(RasterError):
    """{name} is damaged or ends too early. Copy or download it again."""


class RasterTooLarge(RasterError):
    """{name} declares {size}, more than the limit of {limit}. Cut it into tiles, or raise {variable}."""


class BlocksTooLarge(RasterError):
    """{name} is packed in blocks of {size}, more than the limit of {limit}. Write it anew in small blocks,
    for example with gdal_translate -co TILED=YES."""


class RasterWithoutCRS(RasterError):
    """{name} does not say where on the earth it lies. Give it a CRS, for example with gdal_edit.py -a_srs EPSG:4326."""


class MissingBand(RasterError):
    """{name} has {found} bands, band {wanted} was asked for. Choose an image with more bands."""


class DifferentGround(RasterError):
    """{name} does not cover the same ground as {image}. Choose the files of one and the same tile."""


class UploadTooLarge(RasterError):
    """{name} has {size}, more than the {limit} a page takes. Put it into the folder {inbox} on the server, or add it
    there with `python -m core catalog add`."""


class RefersElsewhere(RasterError):
    """{name} names other files in its metadata ({tag}), and only what is inside itself is read.
    Write it anew, for example with gdal_translate -nomd."""


class UnusualPixels(RasterError):
    """{name} holds {found}. Taken are 1 to 16 bands of 8-bit or 16-bit whole numbers or of real numbers (float32,
    float64); convert it, for example with gdal_translate -ot UInt16."""


class WithoutPlace(RasterWithoutCRS):
    """{name} does not say where on the earth it lies. Give the EPSG code of its coordinates, or the longitudes and
    latitudes of its four edges."""


class WithoutCoordinates(RasterWithoutCRS):
    """{name} has no coordinates at all, so that an EPSG code is not enough.
    Give the longitudes and latitudes of its four edges."""


class NotOnEarth(RasterWithoutCRS):
    """With {place} {name} would lie nowhere on the earth. Check the numbers, or give its edges instead."""


class OffTheMap(RasterError):
    """{name} crosses the date line or reaches beyond 85 degrees north or south, where a web map cannot show it.
    Cut it there, for example with gdal_translate -projwin, and add the parts."""


class UnknownEPSG(RasterWithoutCRS):
    """There is no coordinate system "{code}" for maps. Give an EPSG code such as 4326 or 32611."""


class WrongEdges(RasterWithoutCRS):
    """The edges {edges} enclose no ground. Give degrees, west below east and south below north."""


class BlankImage(RasterError):
    """{name} shows nothing: every pixel is no-data. Choose an image with a picture in it."""


class VectorError(GroundplanError, ValueError):
    """{name}: {detail}"""


class NotGeoJSON(VectorError):
    """{name} is not a GeoJSON FeatureCollection ({detail}). Export the footprints again as GeoJSON."""


class NotFootprintsCSV(VectorError):
    """{name} is not a SpaceNet CSV ({detail}). It needs the columns ImageId, BuildingId and PolygonWKT_Pix."""


class FootprintsWithoutCRS(VectorError):
    """{name} has coordinates that are not longitude and latitude and names no CRS.
    Add a "crs" member, or export it again in EPSG:4326."""


class ImageNotNamed(VectorError):
    """{name} names images, but not {image}. Choose the footprints of this image."""


class VectorTooLarge(VectorError):
    """{name} has {size}, more than the limit of {limit}. Split it, or raise {variable}."""


class LabelsElsewhere(VectorError):
    """{name} has {found} footprints, but none on the ground of the image: they lie {distance} away.
    Choose the labels of this image, or check the CRS of both."""


class LabelsOfOthers(VectorError):
    """{name} names several images and does not name {image}. Choose the footprints of this image alone."""


class UnknownFootprintFormat(VectorError):
    """{name} has a suffix no footprint format has. Use one of {known}."""


class ExportWithoutGrid(VectorError):
    """{name} cannot be written: the footprints do not say where the image lies. Name the image they belong to."""


class CatalogError(GroundplanError, LookupError):
    """{detail}"""


class NoSuchPath(CatalogError):
    """{name} does not exist. Check the path."""


class UnknownLayout(CatalogError):
    """{name} holds no tile in a SpaceNet layout. Expected names like RGB-PanSharpen_AOI_2_Vegas_img225.tif,
    SN2_buildings_train_AOI_2_Vegas_PS-RGB_img225.tif or 3band_AOI_1_RIO_img1.tif."""


class NoSuchTile(CatalogError):
    """The catalogue has no tile named {tile}. `python -m core catalog list` shows those there are."""


class AmbiguousTile(CatalogError):
    """{tile} is the name of several tiles. Write one of {known}."""


class NoImage(CatalogError):
    """{tile} has no image on this machine. Add the folder that holds it with `python -m core catalog add`."""


class NoLabels(CatalogError):
    """{tile} has no building footprints. Choose a tile that is labelled."""


class DamagedCatalog(CatalogError):
    """The catalogue {name} cannot be read. Move it away and add the folders again with `python -m core catalog add`."""


class CatalogBusy(CatalogError):
    """The catalogue {name} is being changed by another program. Try again in a minute."""


class NotATileIndex(CatalogError):
    """{name} is not an index of tiles ({detail}). Choose one of SpaceNet's,
    such as AOI_2_Vegas_Train_Tindex.geojson."""


class NoSuchUpload(CatalogError):
    """There is no upload {upload}. It may have been deleted."""


class UploadIsBusy(CatalogError):
    """{name} cannot be deleted while a job works on it or waits for it ({job}). Stop that job, or wait for its end."""


class NoSuchArea(CatalogError):
    """The catalogue has no area named {aoi}. `python -m core catalog list` shows the tiles with their areas."""


class NotInInbox(CatalogError):
    """{name} is not in the inbox {inbox} any more. Copy it there again."""


class OnlyForOneImage(CatalogError):
    """{options} belong to one image, and {name} is not a single GeoTIFF. Name one file, or leave them out."""


class MovedTooFar(CatalogError):
    """Labels can be moved by {limit} m at the most. Check their CRS if they lie further off."""


class NoSuchBands(CatalogError):
    """{bands} does not name three bands. Write them like 7,5,3."""


class NoSuchMapTile(CatalogError):
    """The map has no square {x}, {y} at zoom {zoom}."""


class FetchError(GroundplanError, OSError):
    """{detail}"""


class BucketUnreachable(FetchError):
    """SpaceNet's bucket cannot be reached ({detail}). Check this machine's network, then start again:
    what has come is kept."""


class InvalidEndpoint(FetchError):
    """AWS_ENDPOINT_URL is "{address}", which is no address. Set it to one like https://host, or leave it out."""


class BucketRefused(FetchError):
    """SpaceNet's bucket does not hand out {name}. Check AWS_ENDPOINT_URL, or choose other tiles."""


class NoSuchObject(FetchError):
    """SpaceNet's bucket has no {name} any more. Choose another tile."""


class ObjectChanged(FetchError):
    """{name} was changed in the bucket while it came. Start the download again."""


class DamagedDownload(FetchError):
    """{name} arrived damaged twice. Start the download again later."""


class NotInBucket(FetchError):
    """SpaceNet's bucket has none of the files of the tiles {numbers} of {aoi}. Choose tiles of its index."""


class NotEnoughRoom(FetchError):
    """The files need {needed}, and the disk has {free} left. Choose fewer tiles, or free some space."""


class DownloadRunning(FetchError):
    """Another download is running on this machine. Wait until it has ended, or stop it."""


class UnknownArea(FetchError):
    """{aoi} is not an area of SpaceNet's buildings. Choose one of {known}."""


class UnknownProduct(FetchError):
    """{aoi} has no product {product}. Choose from {known}."""


class NotTileNumbers(FetchError):
    """The text "{text}" does not name tiles. Write their numbers with commas and ranges, such as 1-20, 225."""


class RunError(GroundplanError, LookupError):
    """{detail}"""


class NoSuchRun(RunError):
    """There is no run at {name}. Train one first, or check the path."""


class DamagedRun(RunError):
    """{name} cannot be used: {detail}. Train it again."""


class DamagedCheckpoint(RunError):
    """{name} is damaged: its checksum does not fit. Training goes on from the checkpoint before it, if there is one."""


class NoSuchCheckpoint(RunError):
    """{name} has no checkpoint to go on from{detail}. Train anew."""


class RunExists(RunError):
    """{name} already holds a run. Choose another folder, so that nothing is overwritten."""


class NoSuchFrame(RunError):
    """The film of the run {run} has no picture of epoch {epoch}. Choose another epoch."""


class WatchError(GroundplanError, RuntimeError):
    """{detail}"""


class NoMLflow(WatchError):
    """MLFLOW_TRACKING_URI is set, and MLflow is not installed. Install it with
    pip install -r requirements-mlflow.txt."""


class MLflowFailed(WatchError):
    """MLflow at {address} does not take this run: {detail}. Check MLFLOW_TRACKING_URI and that the server is up."""


class RunBusy(RunError):
    """Another process is training {run}. Wait for its end, or stop it."""


class TrainingError(GroundplanError, ValueError):
    """{detail}"""


class TooFewTiles(TrainingError):
    """Training needs at least one labelled tile with an image, and none of the chosen ones has both.
    Choose labelled tiles."""


class UnreadableTiles(TooFewTiles):
    """None of the chosen tiles can be trained on. {problem}"""


class UnknownNetwork(TrainingError):
    """There is no network named {name}. Choose one of {known}."""


class InvalidSetting(TrainingError):
    """{setting} cannot be {value}: {detail}. Change it and start again."""


class NoTrainingGround(TrainingError):
    """The chosen tiles cannot be divided into ground to train on and other ground to check on: {detail}.
    Choose more tiles, or smaller crops."""


class Diverged(TrainingError):
    """In epoch {epoch} the loss or a weight stopped being a number. Choose a smaller learning rate and train again."""


class TooFewBands(TrainingError):
    """{tile} gives {found} channels, the run {run} was trained on {wanted}. Choose a run trained on such images."""


class TilesNotPredicted(TrainingError):
    """{count} of {tiles} tiles could not be predicted; the others are there. The first one: {problem}
    The log names them all."""


class ScoreError(GroundplanError, ValueError):
    """{detail}"""


class DifferentCoordinates(ScoreError):
    """{truth} and {proposals} cannot be compared: one is in pixels, the other on the ground.
    Give both as SpaceNet CSV or both as GeoJSON."""


class JobError(GroundplanError, RuntimeError):
    """{detail}"""


class NoSuchJob(JobError):
    """There is no job number {job}. It may have been deleted."""


class UnknownTask(JobError):
    """{task} is not a task this worker runs. Known tasks: {known}."""


class CannotStart(JobError):
    """Job {job} could not be started ({detail}). Free some memory or disk space, then try it again."""


class JobIsRunning(JobError):
    """Job {job} is still running. Stop it first, then delete it."""


class JobIsNotWaiting(JobError):
    """Job {job} does not wait any more ({state}), so it has no place in the queue that could change."""


class NothingToRetry(JobError):
    """Job {job} is {state}. Only a job that failed or was stopped can be tried again."""


class RunLost(JobError):
    """The run of job {job} is gone through no fault of its own ({detail}). The worker starts it again by itself."""


class ClusterAway(JobError):
    """The cluster at {address} does not answer ({detail}). Its jobs wait until it does."""


class NodesFailed(JobError):
    """{detail}"""


class RunInUse(JobError):
    """The run {run} is needed by job {job} ({title}), which is not over. Stop that job, or wait for its end."""


class LeaseLost(JobError):
    """Job {job} no longer belongs to the worker {worker}: it is over, or another worker has it. Nothing was changed."""


class QueueBusy(JobError):
    """The job queue {name} is held by another program. Try again in a minute."""


class NewerQueue(JobError):
    """The job queue {name} was made by a newer Groundplan than this one. Update this one, or use another folder."""


class DamagedQueue(JobError):
    """The job queue {name} cannot be read. Move it away: a new one is made, and finished runs are kept."""


class DiskFull(GroundplanError, OSError):
    """There is no room left on the disk to write {name}. Free some space and try again; nothing was half-written."""


class CannotRead(GroundplanError, OSError):
    """{name} cannot be read ({detail}). Check the disk it lies on, and whether you may read it."""


class CannotWrite(GroundplanError, OSError):
    """{name} cannot be written ({detail}). Choose a folder you may write to."""


class CannotUse(GroundplanError, OSError):
    """{name} cannot be used ({detail}). Check the path, and whether you may read and write there."""


class PortTaken(GroundplanError, OSError):
    """Port {port} of {host} cannot be used, most likely because another program uses it. Choose another with --port."""


class DamagedReview(CatalogError):
    """{name} cannot be read, so nobody knows what was accepted. Delete the file to begin the review anew."""


class NothingAccepted(CatalogError):
    """No building of {tile} is accepted yet. Click one on the Predict page and press a."""


class NothingPredicted(CatalogError):
    """{run} has predicted none of these tiles yet. Press Predict on the Predict page, or Predict all, first."""


class NoSuchPrediction(CatalogError):
    """{run} has not predicted {tile} yet. Press Predict on the Predict page first."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. TensorFlow's and JAX's own exceptions are known by name, without importing them."""
    named = type(error).__name__ == "ResourceExhaustedError"
    return isinstance(error, MemoryError) or named or "out of memory" in str(error).lower()
