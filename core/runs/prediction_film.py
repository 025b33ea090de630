"""The film of a training: what the network made of a few validation windows, after every epoch.

image.png        the windows side by side, transparent where there is no picture
truth.png        their buildings, white on black
epoch-00007.png  the probability after epoch 7, black (0) to white (1)
shown/           the pictures asked for last, each composed of these three
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from core.atomic_files import replacing
from core.errors import NoSuchFrame
from core.geo.grid import WEB_MERCATOR, Grid
from core.geo.raster import Raster
from core.rendering import colors
from core.rendering.images import stretched
from core.types import Pixels, Where

#: So many validation windows are watched at the most.
MOST_WINDOWS = 4
#: A window is shown at least so large, each of its pixels as a square of whole screen pixels.
WINDOW_PX = 256
GAP_PX = 6
#: So many composed pictures are kept, for whoever goes back and forth in the film.
SHOWN = 50
#: Where nothing is built: a step lighter than a dark page, so that windows keep their edges there.
_GROUND = "#1E2530"


@dataclass(frozen=True)
class Windows:
    """Up to MOST_WINDOWS validation windows, the same ones after every epoch."""

    pixels: NDArray[np.float32]  #: (n, side, side, bands), scaled to about 0 to 1; red, green, blue first
    target: NDArray[np.uint8]  #: (n, side, side), 1 in a building
    valid: NDArray[np.bool_]  #: (n, side, side), False where there is no picture


@dataclass(frozen=True)
class Film:
    """The folder of a film. Properties look anew, for it grows with every epoch."""

    path: Path

    @property
    def frames(self) -> list[int]:
        """The epochs with a picture, ascending; empty before the first, and for runs without a film."""
        return sorted(int(file.stem.removeprefix("epoch-")) for file in self.path.glob("epoch-*.png"))

    @property
    def rows(self) -> tuple[str, ...]:
        """What the rows of a picture show, from the top."""
        return "image", "truth", "prediction"

    def picture(self, epoch: int) -> Path:
        """One RGBA PNG: a column for each window, `rows` from the top, transparent between them.

        The prediction is the bluer, the more probable a building is, with the walls of the truth in yellow. It shows
        the tiles' own pixels: whoever shows it names their attribution beside it. Raises NoSuchFrame, CannotWrite,
        DiskFull.
        """
        shown = self.path / "shown" / self._frame(epoch).name
        if not shown.is_file():
            picture = self._composed(epoch)
            with replacing(shown) as part:
                picture.save(part, "PNG", compress_level=4)
            _keep_newest(shown.parent)
        return shown

    def begin(self, windows: Windows, done: int) -> None:
        """Writes image and truth, and drops the frames beyond `done` epochs, or all where the windows are others.

        Raises CannotWrite, DiskFull.
        """
        image, truth = _colour(windows), _beside(windows.target * np.uint8(255))
        same = _shows(self._image, image) and _shows(self._truth, truth)
        for epoch in self.frames:
            if epoch > done or not same:
                self._frame(epoch).unlink(missing_ok=True)
        for shown in self.path.glob("shown/*.png"):
            shown.unlink(missing_ok=True)
        _save(image, self._image)
        _save(truth, self._truth)

    def add(self, epoch: int, probability: NDArray[np.float32]) -> None:
        """Adds the frame of an epoch from (n, side, side), 0 to 1; raises CannotWrite, DiskFull."""
        levels = np.nan_to_num(np.clip(probability, 0, 1)) * 255
        _save(_beside(np.round(levels).astype(np.uint8)), self._frame(epoch))

    @property
    def _image(self) -> Path:
        return self.path / "image.png"

    @property
    def _truth(self) -> Path:
        return self.path / "truth.png"

    def _frame(self, epoch: int) -> Path:
        return self.path / f"epoch-{epoch:05}.png"

    def _composed(self, epoch: int) -> Image.Image:
        try:
            image, truth, probability = map(_windows, (self._image, self._truth, self._frame(epoch)))
        except OSError as error:
            raise NoSuchFrame(run=self.path.parent.name, epoch=epoch) from error
        valid, built = image[..., 3] > 0, truth > 0
        predicted = _tinted(probability, colors.PREDICTION)
        _draw_walls(predicted, built)
        rows = np.stack([image[..., :3], _tinted(truth, colors.TRUTH), predicted])
        rows[:, ~valid] = colors.rgb(colors.LEFT_OUT)
        return Image.fromarray(_table(rows))


def _beside(windows: Pixels) -> Pixels:
    """(n, side, side, …) as (side, n * side, …)."""
    return np.concatenate(windows, axis=1)


def _colour(windows: Windows) -> Pixels:
    """(side, n * side, 4) uint8 of the red, green and blue, with one stretch for all windows."""
    seen = np.where(windows.valid[..., None], windows.pixels[..., :3], np.float32(np.nan))
    bands = np.moveaxis(_beside(seen), 2, 0)
    nowhere = Grid(bands.shape[2], bands.shape[1], Affine.identity(), WEB_MERCATOR)
    return stretched(Raster(bands, nowhere, nodata=np.nan))


def _save(pixels: Pixels, path: Path) -> None:
    with replacing(path) as part:
        Image.fromarray(pixels).save(part, "PNG")


def _shows(path: Path, pixels: Pixels) -> bool:
    """Whether a file holds just these pixels."""
    try:
        with Image.open(path) as picture:
            return np.array_equal(np.asarray(picture), pixels)
    except OSError:
        return False


def _windows(path: Path) -> Pixels:
    """(n, side, side, …) uint8 as they are shown, from a file in which they lie beside each other."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    windows = np.stack(np.split(pixels, pixels.shape[1] // len(pixels), axis=1))
    scale = -(-WINDOW_PX // len(pixels))
    return windows.repeat(scale, axis=1).repeat(scale, axis=2)


def _tinted(level: NDArray[np.uint8], colour: str) -> Pixels:
    """(…, 3) uint8: from the dark ground at 0 to the colour at 255."""
    share = np.linspace(0, 1, 256)[:, None]
    ramp = np.array(colors.rgb(_GROUND)) * (1 - share) + np.array(colors.rgb(colour)) * share
    return np.round(ramp).astype(np.uint8)[level]


def _draw_walls(rgb: Pixels, built: Where) -> None:
    """Outlines on (n, side, side, 3), in place: a thin line along the inside of what is built, on a dark halo."""
    in_window = np.ones((1, 3, 3), bool)  # never from one window into the next
    inner = [binary_erosion(built, in_window, depth, border_value=1) for depth in (2, 3)]
    rgb[binary_dilation(built, in_window) & ~inner[1]] = colors.rgb(colors.HALO)
    rgb[built & ~inner[0]] = colors.rgb(colors.TRUTH)


def _table(rows: Pixels) -> Pixels:
    """(height, width, 4) uint8 from (rows, n, side, side, 3), transparent between the windows."""
    down, across, side = rows.shape[:3]
    step = side + GAP_PX
    table = np.zeros((down, step, across, step, 4), np.uint8)
    table[:, :side, :, :side, :3] = rows.swapaxes(1, 2)
    table[:, :side, :, :side, 3] = 255
    return table.reshape(down * step, across * step, 4)[:-GAP_PX, :-GAP_PX]


def _keep_newest(folder: Path) -> None:
    for old in sorted(folder.glob("*.png"), key=lambda file: file.stat().st_mtime_ns)[:-SHOWN]:
        old.unlink(missing_ok=True)
