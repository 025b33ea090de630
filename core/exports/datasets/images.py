"""Pictures as files of a training set."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def put_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """(rows, columns, 3), without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def put_jpeg(path: Path, pixels: NDArray[np.uint8]) -> None:
    """(rows, columns, 3), with as little loss as JPEG allows, for formats that know nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, quality=95, subsampling=0)


def put_classes(path: Path, numbers: NDArray[np.integer], colours: NDArray[np.uint8]) -> None:
    """(rows, columns) of numbers up to 255 as a PNG with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(numbers.astype(np.uint8), mode="P")
    picture.putpalette(colours.ravel().tolist())
    picture.save(path)
