"""Prediction film (timelapse): predictions for a few validation crops after every epoch.

image.png        the crops side by side, transparent where there is no data
truth.png        their buildings (ground truth), white on black
epoch-00007.png  the probability after epoch 7, black (0) to white (1)
shown/           frames that were viewed last, each composed of these three
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from core.atomic_files import atomic_write
from core.errors import NoSuchFrame
from core.geo.grid import WEB_MERCATOR, Grid
from core.geo.raster import Raster
from core.rendering import colors
from core.rendering.images import apply_stretch
from core.types import BoolMask, Pixels

#: Maximum number of validation crops.
MAX_WINDOWS = 4
#: Minimum side of a crop in a frame [px]; crops are enlarged by a whole factor.
WINDOW_PX = 256
GAP_PX = 6
#: Maximum number of composed frames kept as a cache.
MAX_FRAMES = 50
#: Color of background: slightly lighter than a dark page, so that the edges of crops stay visible.
_BACKGROUND = "#1E2530"


@dataclass(frozen=True)
class PreviewBatch:
    """Up to MAX_WINDOWS validation crops, the same ones after every epoch."""

    pixels: NDArray[np.float32]  #: (n, side, side, bands), normalized to about 0 to 1; RGB first
    target: NDArray[np.uint8]  #: (n, side, side), 1 in a building
    valid: NDArray[np.bool_]  #: (n, side, side), False where there is no data


@dataclass(frozen=True)
class Film:
    """Folder of a prediction film. Properties read it again each time, because it grows with every epoch."""

    path: Path

    @property
    def frames(self) -> list[int]:
        """Epochs with a frame, ascending; empty before the first, and for runs without a film."""
        return sorted(int(file.stem.removeprefix("epoch-")) for file in self.path.glob("epoch-*.png"))

    @property
    def rows(self) -> tuple[str, ...]:
        """Content of the rows of a frame, from the top."""
        return "image", "ground truth", "prediction"

    def image_file(self, epoch: int) -> Path:
        """Compose the frame of an epoch: an RGBA PNG with a column per crop and `rows` from the top.

        The prediction is bluer where a building is more probable, with the boundaries of the ground truth in yellow.
        The frame shows pixels of the tiles, so their attribution must be shown with it.
        Raises NoSuchFrame, CannotWrite, DiskFull.
        """
        file = self.path / "shown" / self._frame(epoch).name
        if not file.is_file():
            image = self._compose(epoch)
            with atomic_write(file) as temporary:
                image.save(temporary, "PNG", compress_level=4)
            for outdated in sorted(file.parent.glob("*.png"), key=lambda frame: frame.stat().st_mtime_ns)[:-MAX_FRAMES]:
                outdated.unlink(missing_ok=True)
        return file

    def begin(self, preview: PreviewBatch, epochs_done: int) -> None:
        """Write image and ground truth; drop frames after `epochs_done`, or all if the crops have changed.

        Raises CannotWrite, DiskFull.
        """
        image, truth = _stretch_rgb(preview), _side_by_side(preview.target * np.uint8(255))
        unchanged = _has_pixels(self._image, image) and _has_pixels(self._truth, truth)
        for epoch in self.frames:
            if epoch > epochs_done or not unchanged:
                self._frame(epoch).unlink(missing_ok=True)
        for composed in self.path.glob("shown/*.png"):
            composed.unlink(missing_ok=True)
        _save(image, self._image)
        _save(truth, self._truth)

    def add(self, epoch: int, probability: NDArray[np.float32]) -> None:
        """Add the frame of an epoch.

        Args:
            epoch: Number of the epoch, counted from 1.
            probability: Building probability of the crops, (n, side, side), 0 to 1.

        Raises:
            CannotWrite: The frame cannot be written.
            DiskFull: The disk is full.
        """
        levels = np.nan_to_num(np.clip(probability, 0, 1)) * 255
        _save(_side_by_side(np.round(levels).astype(np.uint8)), self._frame(epoch))

    @property
    def _image(self) -> Path:
        return self.path / "image.png"

    @property
    def _truth(self) -> Path:
        return self.path / "truth.png"

    def _frame(self, epoch: int) -> Path:
        return self.path / f"epoch-{epoch:05}.png"

    def _compose(self, epoch: int) -> Image.Image:
        try:
            image, truth, probability = map(_windows, (self._image, self._truth, self._frame(epoch)))
        except OSError as error:
            raise NoSuchFrame(run=self.path.parent.name, epoch=epoch) from error
        valid, built = image[..., 3] > 0, truth > 0
        predicted = _tint(probability, colors.PREDICTION)
        _draw_boundaries(predicted, built)
        rows = np.stack([image[..., :3], _tint(truth, colors.TRUTH), predicted])
        rows[:, ~valid] = colors.rgb(colors.EXCLUDED)
        return Image.fromarray(_contact_sheet(rows))


def _side_by_side(windows: Pixels) -> Pixels:
    """Join crops (n, side, side, …) to one image (side, n * side, …)."""
    return np.concatenate(windows, axis=1)


def _stretch_rgb(preview: PreviewBatch) -> Pixels:
    """RGBA image of the crops with a common contrast stretch, (side, n * side, 4) uint8."""
    rgb = np.where(preview.valid[..., None], preview.pixels[..., :3], np.float32(np.nan))
    bands = np.moveaxis(_side_by_side(rgb), 2, 0)
    grid = Grid(bands.shape[2], bands.shape[1], Affine.identity(), WEB_MERCATOR)  # of no real place
    return apply_stretch(Raster(bands, grid, nodata=np.nan))


def _save(pixels: Pixels, path: Path) -> None:
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")


def _has_pixels(path: Path, pixels: Pixels) -> bool:
    """Tell if an image file has exactly these pixels."""
    try:
        with Image.open(path) as image:
            return np.array_equal(np.asarray(image), pixels)
    except OSError:
        return False


def _windows(path: Path) -> Pixels:
    """Split an image file into its crops and enlarge them, (n, side, side, …) uint8."""
    with Image.open(path) as image:
        pixels = np.asarray(image)
    windows = np.stack(np.split(pixels, pixels.shape[1] // len(pixels), axis=1))
    scale = -(-WINDOW_PX // len(pixels))
    return windows.repeat(scale, axis=1).repeat(scale, axis=2)


def _tint(level: NDArray[np.uint8], color: str) -> Pixels:
    """Map levels to RGB, from the background color at 0 to `color` at 255, (…, 3) uint8."""
    share = np.linspace(0, 1, 256)[:, None]
    ramp = np.array(colors.rgb(_BACKGROUND)) * (1 - share) + np.array(colors.rgb(color)) * share
    return np.round(ramp).astype(np.uint8)[level]


def _draw_boundaries(rgb: Pixels, built: BoolMask) -> None:
    """Draw building boundaries on (n, side, side, 3) in place: a thin inner line with a dark outline."""
    structure = np.ones((1, 3, 3), bool)  # does not reach into the next crop
    inner = [binary_erosion(built, structure, depth, border_value=1) for depth in (2, 3)]
    rgb[binary_dilation(built, structure) & ~inner[1]] = colors.rgb(colors.HALO)
    rgb[built & ~inner[0]] = colors.rgb(colors.TRUTH)


def _contact_sheet(crops: Pixels) -> Pixels:
    """Arrange crops (rows, columns, side, side, 3) as (height, width, 4) uint8, transparent between them."""
    rows, columns, side = crops.shape[:3]
    step = side + GAP_PX
    sheet = np.zeros((rows, step, columns, step, 4), np.uint8)
    sheet[:, :side, :, :side, :3] = crops.swapaxes(1, 2)
    sheet[:, :side, :, :side, 3] = 255
    return sheet.reshape(rows * step, columns * step, 4)[:-GAP_PX, :-GAP_PX]
