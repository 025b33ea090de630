"""Image files of datasets: PNG, JPEG, and label images with a palette."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def save_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Save an RGB image as PNG.

    Args:
        path: File to write.
        pixels: (rows, cols, 3) uint8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def save_jpeg(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Save an RGB image as JPEG at the highest quality, for formats that require it.

    Args:
        path: File to write.
        pixels: (rows, cols, 3) uint8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, quality=95, subsampling=0)


def save_class_png(path: Path, numbers: NDArray[np.integer], colors: NDArray[np.uint8]) -> None:
    """Save a label image as PNG with a palette.

    Args:
        path: File to write.
        numbers: Class or instance numbers, (rows, cols), at most 255.
        colors: Palette, (n, 3) uint8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(numbers.astype(np.uint8), mode="P")
    image.putpalette(colors.ravel().tolist())
    image.save(path)
